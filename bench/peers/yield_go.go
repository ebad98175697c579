// runtime.Gosched between goroutines.
package main

import (
	"runtime"
	"sync"
	"time"
)

const yields = 1000000

func yieldAll(goroutines int) float64 {
	var all sync.WaitGroup
	all.Add(goroutines)
	start := time.Now()
	for i := 0; i < goroutines; i++ {
		go func() {
			for turn := 0; turn < yields/goroutines; turn++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	return nsSince(start) / yields
}

func main() {
	measure("yield", "yield/two", "ns", func() float64 { return yieldAll(2) })
	measure("yield", "yield/1000", "ns", func() float64 { return yieldAll(1000) })
}
