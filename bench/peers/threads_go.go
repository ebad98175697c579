// Go: a goroutine a task, and two that take tasks from a buffered channel; one task at a time, which
// the waiter may run itself.
package main

import (
	"runtime"
	"sync"
	"time"
)

const tasks, rounds = 1000000, 200000

func goroutines() float64 {
	var group sync.WaitGroup
	start := time.Now()
	group.Add(tasks)
	for i := 0; i < tasks; i++ {
		go group.Done()
	}
	group.Wait()
	return tasks / nsSince(start) * 1e3
}

func fromChannel() float64 {
	var group sync.WaitGroup
	line := make(chan func(), 4096)
	for i := 0; i < 2; i++ {
		go func() {
			for task := range line {
				task()
			}
		}()
	}
	start := time.Now()
	group.Add(tasks)
	for i := 0; i < tasks; i++ {
		line <- group.Done
	}
	group.Wait()
	ns := nsSince(start)
	close(line)
	return tasks / ns * 1e3
}

func helps() float64 {
	start := time.Now()
	for i := 0; i < rounds; i++ {
		done := make(chan bool)
		go func() { done <- true }()
		<-done
	}
	return nsSince(start) / rounds / 1e3
}

func main() {
	runtime.GOMAXPROCS(2)
	measure("threads", "threads/submit", "M/s", fromChannel)
	measure("threads", "threads/goroutines", "M/s", goroutines)
	measure("threads", "threads/help", "us", helps)
}
