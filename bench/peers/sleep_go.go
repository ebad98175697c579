// A hundred thousand goroutines asleep together; one run a process.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const sleepers, seconds = 100000, 2

func main() {
	var all sync.WaitGroup
	var asleep int64
	before := memory()
	all.Add(sleepers)
	start := time.Now()
	for i := 0; i < sleepers; i++ {
		go func() {
			atomic.AddInt64(&asleep, 1)
			time.Sleep(seconds * time.Second)
			all.Done()
		}()
	}
	for atomic.LoadInt64(&asleep) < sleepers {
		runtime.Gosched()
	}
	bytes := (memory() - before) / sleepers
	all.Wait()
	over := nsSince(start)/1e9 - seconds
	show("sleep", "sleep/100k/bytes_per_task", "B", []float64{bytes})
	show("sleep", "sleep/100k/time_over", "s", []float64{over})
}
