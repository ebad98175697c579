// A goroutine that counts, and the news that it is done.
package main

import (
	"sync"
	"time"
)

const spawns = 200000

func one() float64 {
	count := 0
	done := make(chan struct{})
	start := time.Now()
	for i := 0; i < spawns; i++ {
		go func() { count++; done <- struct{}{} }()
		<-done
	}
	ns := nsSince(start) / spawns
	if count != spawns {
		fail("not every goroutine ran")
	}
	return ns
}

func batch() float64 {
	count := 0
	var all sync.WaitGroup
	start := time.Now()
	for i := 0; i < spawns/1000; i++ {
		all.Add(1000)
		for k := 0; k < 1000; k++ {
			go func() { count++; all.Done() }()
		}
		all.Wait()
	}
	ns := nsSince(start) / spawns
	if count != spawns {
		fail("not every goroutine ran")
	}
	return ns
}

func main() {
	measure("spawn", "spawn/one", "ns", one)
	measure("spawn", "spawn/batch_1000", "ns", batch)
}
