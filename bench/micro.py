#!/usr/bin/python3
"""make bench: the small benchmarks, each in turns with its peers, as far as their tools are
installed. build/bench/NAME is ours; a peer is bench/peers/NAME_PEER.{c,cpp,go,py}, or a bench that
tokio/src/main.rs knows. All print the JSON lines of bench.h. A round runs each program once; the
table shows the median of the rounds, --json an object a line with the least and the most.

usage: micro.py [--rounds N] [--json] [BENCH...]"""
import argparse
import collections
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys

SOURCE, BUILD = os.environ["TRINE_SOURCE"], os.environ["TRINE_BUILD"]
PEERS, OUT = os.path.join(SOURCE, "bench", "peers"), os.path.join(BUILD, "bench", "peers")
CRATES = "/usr/share/cargo/registry"
SECONDS = 120  # that one program may take

# The benchmarks, each with its arguments and the CPUs that it is given: one, but where threads are
# the point.
BENCHES = {
    "yield": (["--runs", "3"], 1),
    "spawn": (["--runs", "3"], 1),
    "sleep": (["--runs", "1"], 1),
    "after": (["--runs", "1"], 1),
    "timer": (["--runs", "3"], 1),
    "channel": (["--runs", "3"], 2),
    "threads": (["--runs", "3"], 2),
    "processes": (["--runs", "3"], 2),
}
TOKIO = ("yield", "spawn", "sleep", "after", "timer", "channel", "threads")
LINKS = {"libuv": ["-luv"], "tbb": ["-ltbb"], "openmp": ["-fopenmp", "-lgmp"]}


def build(command, **more):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, **more)
    except FileNotFoundError:
        print(f"micro: no {command[0]}", file=sys.stderr)
        return False
    if done.returncode:
        print(f"micro: a peer does not build: {shlex.join(command)}\n{done.stderr[-800:]}",
              file=sys.stderr)
    return done.returncode == 0


def tokio():
    """The program of the tokio peer, or None."""
    if not shutil.which("cargo") or not os.path.isdir(CRATES):
        return None
    built = build(["cargo", "build", "-q", "--release", "--offline",
                   "--manifest-path", os.path.join(OUT, "tokio-source", "Cargo.toml"),
                   "--config", "source.crates-io.replace-with='system'",
                   "--config", f"source.system.directory='{CRATES}'"],
                  env=os.environ | {"CARGO_TARGET_DIR": os.path.join(OUT, "tokio")})
    return os.path.join(OUT, "tokio", "release", "tokio_peer") if built else None


def command_of(path, bench, peer):
    """The command that runs a peer's source, built first; None where that is not possible."""
    kind = os.path.splitext(path)[1]
    program = os.path.join(OUT, f"{bench}_{peer}")
    if kind == ".py":
        return ["/usr/bin/python3", path]
    if kind == ".go":
        built = build(["go", "build", "-o", program, os.path.join(PEERS, "frame.go"), path])
    else:
        compiler = ["g++", "-std=c++20"] if kind == ".cpp" else ["gcc", "-std=gnu17"]
        built = build([*compiler, "-O2", "-D_GNU_SOURCE", "-I", os.path.join(SOURCE, "bench"),
                       "-o", program, path, *LINKS.get(peer, ["-lm"]), "-lpthread"])
    return [program] if built else None


def peers_of(bench, tokio_program):
    found = {}
    for name in sorted(os.listdir(PEERS)):
        stem, kind = os.path.splitext(name)
        if stem.startswith(bench + "_") and kind in (".c", ".cpp", ".go", ".py"):
            peer = stem[len(bench) + 1:]
            command = command_of(os.path.join(PEERS, name), bench, peer)
            if command:
                found[peer] = command
    if tokio_program and bench in TOKIO:
        found["tokio"] = [tokio_program, bench]
    return found


def run(command, args, cpus):
    """The JSON lines of one program."""
    usable = sorted(os.sched_getaffinity(0))[-cpus:]
    done = subprocess.run([*command, "--json", *args], capture_output=True, text=True,
                          timeout=SECONDS, preexec_fn=lambda: os.sched_setaffinity(0, usable))
    if done.returncode:
        sys.exit(f"micro: {shlex.join(command)}: exit code {done.returncode}\n{done.stderr[-800:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def measure(bench, rounds, tokio_program):
    """{(case, unit): {who: [lines]}}; None when our program is not built."""
    ours = os.path.join(BUILD, "bench", bench)
    if not os.path.exists(ours):
        return None
    args, cpus = BENCHES[bench]
    programs = {"trine": [ours]} | peers_of(bench, tokio_program)
    lines = collections.defaultdict(lambda: collections.defaultdict(list))
    for _ in range(rounds):
        for who, command in programs.items():
            for line in run(command, args, cpus):
                lines[line["case"], line["unit"]][who].append(line)
    return lines


def show(bench, lines, as_json):
    whos = list(dict.fromkeys(who for values in lines.values() for who in values))
    if not as_json:
        print(f"\n{bench + ', median':34}{'unit':>6}" + "".join(f"{who:>12}" for who in whos))
    for (case, unit), values in lines.items():
        medians = {who: statistics.median(x["value"] for x in got) for who, got in values.items()}
        if not as_json:
            digits = 2 if unit == "s" else 1
            cells = [f"{medians[who]:,.{digits}f}" if who in medians else "" for who in whos]
            print(f"{case:34}{unit:>6}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
            continue
        for who, got in values.items():
            line = {"bench": bench, "case": case, "value": medians[who], "unit": unit,
                    "min": min(x["min"] for x in got), "max": max(x["max"] for x in got),
                    "n": sum(x["n"] for x in got)}
            print(json.dumps(line | ({} if who == "trine" else {"peer": who})), flush=True)


def main():
    parser = argparse.ArgumentParser(description="the small benchmarks beside their peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("benches", nargs="*", help=", ".join(BENCHES))
    options = parser.parse_args()
    unknown = set(options.benches) - set(BENCHES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    os.makedirs(OUT, exist_ok=True)
    # cargo writes a lock file beside its manifest: not into the sources
    shutil.copytree(os.path.join(PEERS, "tokio"), os.path.join(OUT, "tokio-source"),
                    dirs_exist_ok=True)
    tokio_program = tokio()
    for bench in options.benches or BENCHES:
        lines = measure(bench, options.rounds, tokio_program)
        if lines is not None:
            show(bench, lines, options.json)


main()
