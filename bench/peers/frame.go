// The frame of the peers in Go: what bench.h is to those in C. `go build frame.go NAME_go.go`.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

var jsonLines = flag.Bool("json", false, "an object a line")
var runs = flag.Int("runs", 7, "runs a case")

func nsSince(t time.Time) float64 { return float64(time.Since(t).Nanoseconds()) }

func fail(what string) {
	fmt.Fprintln(os.Stderr, "bench:", what)
	os.Exit(1)
}

// The bytes of VmRSS and VmPTE together.
func memory() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		fail("/proc/self/status")
	}
	defer file.Close()
	total := 0.0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) > 1 && (field[0] == "VmRSS:" || field[0] == "VmPTE:") {
			kib, _ := strconv.ParseFloat(field[1], 64)
			total += kib * 1024
		}
	}
	return total
}

func chosen(name string) bool {
	for _, part := range flag.Args() {
		if strings.Contains(name, part) {
			return true
		}
	}
	return flag.NArg() == 0
}

func show(bench, name, unit string, values []float64) {
	sort.Float64s(values)
	n := len(values)
	median := (values[n/2] + values[(n-1)/2]) / 2
	if *jsonLines {
		fmt.Printf("{\"bench\":%q,\"case\":%q,\"value\":%.4f,\"unit\":%q,\"min\":%.4f,"+
			"\"max\":%.4f,\"n\":%d,\"peer\":\"go\"}\n",
			bench, name, median, unit, values[0], values[n-1], n)
	} else {
		fmt.Printf("go       %-28s %12.3f %-5s (%.3f to %.3f, n = %d)\n",
			name, median, unit, values[0], values[n-1], n)
	}
}

func measure(bench, name, unit string, run func() float64) {
	if !chosen(name) {
		return
	}
	run()
	values := make([]float64, *runs)
	for i := range values {
		values[i] = run()
	}
	show(bench, name, unit, values)
}

func init() {
	flag.Parse()
	runtime.GOMAXPROCS(1)
}
