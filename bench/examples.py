#!/usr/bin/python3
"""make bench: the programs of examples/ that measure, several times in turns; the table shows the
medians of what they print. Beside the speed-ups stand the ceilings that the order of a list allows
two CPUs when it is gone through once: each number goes to the CPU that is free first.

usage: examples.py [--runs N] [--json]"""
import argparse
import os
import re

from common import BUILD, print_rows, row, run

# Of each program: what it prints before a figure, the name of the case, its unit.
FIGURES = {
    "benchmark_io": ((r"Threads, 10 at a time +", "io/threads/10_at_a_time", "s"),
                     (r"Coroutines, 10 at a time +", "io/coroutines/10_at_a_time", "s"),
                     (r"Coroutines, all at once +", "io/coroutines/all_at_once", "s"),
                     (r"Processes, one a CPU +", "io/processes/one_a_cpu", "s")),
    "benchmark_cpu": ((r"Threads \(4\): .*\nSpeedup: ", "cpu/16_factorials/threads", "x"),
                      (r"Processes \(4\): .*\nSpeedup: ", "cpu/16_factorials/processes", "x")),
    "multiprocessing_cpu_example": ((r"Speedup: ", "cpu/8_factorials/processes", "x"),),
    "multiprocessing_pool_example": ((r"Completed in ", "cpu/primes/single_pass", "s"),),
}


def ceiling(costs, cpus=2):
    free = [0.0] * cpus
    for cost in costs:
        at = free.index(min(free))
        free[at] += cost
    return sum(costs) / max(free)


def ceilings():
    # n! by GMP costs about n^1.7 here, the primes below n by trial division about n^1.45
    yield "8_factorials", [n ** 1.7 for n in range(5000, 12001, 1000)]
    yield "16_factorials", [(5000 + 500 * i) ** 1.7 for i in range(16)]
    yield "primes", [n ** 1.45 for n in range(10000, 50001, 10000)]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--json", action="store_true")
    args = args.parse_args()
    found = {}
    for _ in range(args.runs):
        for program, figures in FIGURES.items():
            out = run([os.path.join(BUILD, "examples", program)], limit=60)["out"].decode()
            for before, case, unit in figures:
                value = float(re.search(before + r"(\d+\.\d+)", out)[1])
                found.setdefault((case, unit), []).append(value)
    rows = [row("examples", "examples/" + case, values, unit)
            for (case, unit), values in found.items()]
    rows += [row("examples", f"examples/cpu/{name}/ceiling_of_a_single_pass", [ceiling(costs)], "x")
             for name, costs in ceilings()]
    print_rows(rows, args.json)


if __name__ == "__main__":
    main()
