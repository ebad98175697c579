"""The frame of the peers in Python: what bench.h is to those in C."""
import argparse
import json
import statistics
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--json", action="store_true")
parser.add_argument("--runs", type=int, default=7)
parser.add_argument("cases", nargs="*")
options = parser.parse_args()


def memory():
    """Bytes of VmRSS and VmPTE together."""
    with open("/proc/self/status") as f:
        return sum(int(line.split()[1]) * 1024 for line in f
                   if line.startswith(("VmRSS:", "VmPTE:")))


def show(bench, case, unit, values, peer="asyncio"):
    median = statistics.median(values)
    if options.json:
        print(json.dumps({"bench": bench, "case": case, "value": round(median, 4), "unit": unit,
                          "min": round(min(values), 4), "max": round(max(values), 4),
                          "n": len(values), "peer": peer}), flush=True)
    else:
        print(f"{peer:8} {case:28} {median:12.3f} {unit:5} ({min(values):.3f} to "
              f"{max(values):.3f}, n = {len(values)})", flush=True)


def measure(bench, case, unit, run):
    """`run` gives the value."""
    if options.cases and not any(part in case for part in options.cases):
        return
    run()
    show(bench, case, unit, [run() for _ in range(options.runs)])


def check(condition, what):
    if not condition:
        sys.exit("bench: " + what)
