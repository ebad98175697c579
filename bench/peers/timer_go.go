// time.AfterFunc and Stop.
package main

import "time"

const timers = 1000000

var x uint64 = 88172645463325252
var all [timers]*time.Timer

func nothing() {}

func timeout() time.Duration {
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	return 30*time.Second + time.Duration(x%60000000000)
}

func createThenCancel() float64 {
	start := time.Now()
	for i := 0; i < timers; i++ {
		if !time.AfterFunc(30*time.Second+time.Duration(i), nothing).Stop() {
			fail("a timer fired")
		}
	}
	return nsSince(start) / timers
}

func million() (create, cancel float64) {
	start := time.Now()
	for i := range all {
		all[i] = time.AfterFunc(timeout(), nothing)
	}
	create = nsSince(start) / timers
	start = time.Now()
	for i := range all {
		if !all[i].Stop() {
			fail("a timer fired")
		}
	}
	return create, nsSince(start) / timers
}

func main() {
	measure("timer", "timer/create_then_cancel", "ns", createThenCancel)
	measure("timer", "timer/1m_create", "ns", func() float64 { create, _ := million(); return create })
	measure("timer", "timer/1m_cancel", "ns", func() float64 { _, cancel := million(); return cancel })
}
