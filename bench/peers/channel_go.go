// Go's channels: the cases of bench/channel.c. One thread is GOMAXPROCS(1).
package main

import (
	"runtime"
	"time"
)

func pingPong(rounds int, threads int) float64 {
	runtime.GOMAXPROCS(threads)
	there, back := make(chan int64, 1), make(chan int64, 1)
	go func() {
		for item := range there {
			back <- item
		}
	}()
	start := time.Now()
	for i := 0; i < rounds; i++ {
		there <- int64(i)
		if <-back != int64(i) {
			panic("an item did not come back")
		}
	}
	ns := nsSince(start) / float64(2*rounds)
	close(there)
	return ns
}

func stream(items int, threads int) float64 {
	runtime.GOMAXPROCS(threads)
	line, done := make(chan int64, 128), make(chan bool)
	start := time.Now()
	go func() {
		for i := 0; i < items; i++ {
			if <-line != int64(i) {
				panic("an item is missing")
			}
		}
		close(done)
	}()
	for i := 0; i < items; i++ {
		line <- int64(i)
	}
	<-done
	return nsSince(start) / float64(items)
}

func main() {
	measure("channel", "channel/pingpong", "ns", func() float64 { return pingPong(500000, 1) })
	measure("channel", "channel/stream", "ns", func() float64 { return stream(1000000, 1) })
	measure("channel", "channel/threads_stream", "ns", func() float64 { return stream(1000000, 2) })
	measure("channel", "channel/threads_hop", "ns", func() float64 { return pingPong(20000, 2) })
}
