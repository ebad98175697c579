#!/usr/bin/python3
"""make bench: fetching alone. 20,000 real pages over 64 connections from one nginx, by bench/fetch
and by a bare libcurl program (bench/peers/curl_multi.c), in turns. What compares is the CPU that
1,000 pages cost, since the server has the other core; the ratio is taken in each turn, since the
machine's speed moves between turns. Prints a table; with --json an object a line.

usage: fetch.py [--runs N] [--pages N] [--json]"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from common import BUILD, SOURCE, Nginx, make_pages, print_rows, row, run

CONNECTIONS = "64"


def build_peer(work):
    peer = os.path.join(work, "curl_multi")
    source = os.path.join(SOURCE, "bench", "peers", "curl_multi.c")
    subprocess.run(["cc", "-O2", "-o", peer, source, "-lcurl"], check=True)
    return peer


def figures(command):
    """What one run printed, by the case's name without the program's."""
    lines = run(command)["out"].decode().splitlines()
    return {r["case"].split("/")[0]: r["value"] for r in map(json.loads, lines)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pages", type=int, default=20000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pages, paths = make_pages()
    work = tempfile.mkdtemp(prefix="trine-fetch-")
    server = Nginx(os.path.join(pages, "site"), work)
    try:
        urls = os.path.join(work, "urls")
        with open(urls, "w") as f:
            f.writelines(f"http://127.0.0.1:{server.port}{p}\n" for p in paths[:args.pages])
        programs = {"trine": os.path.join(BUILD, "bench", "fetch"), "curl": build_peer(work)}
        results = {name: [] for name in programs}
        for turn in range(args.runs):
            for name in list(programs)[::-1 if turn % 2 else 1]:
                results[name].append(figures([programs[name], "--json", urls, CONNECTIONS]))
    finally:
        server.stop()
        shutil.rmtree(work)
    if len({r["bytes"] for runs in results.values() for r in runs}) != 1:
        sys.exit("the programs did not fetch the same number of bytes")
    rows = []
    for name, runs in results.items():
        rows.append(row("fetch", f"{name}, CPU per 1,000 pages",
                        [r["cpu_per_1000_pages"] for r in runs], "ms"))
        rows.append(row("fetch", f"{name}, pages", [r["pages_per_second"] for r in runs], "1/s", 0))
    rows.append(row("fetch", "trine over curl, CPU, turn by turn",
                    [a["cpu_per_1000_pages"] / b["cpu_per_1000_pages"]
                     for a, b in zip(results["trine"], results["curl"])], "x"))
    print_rows(rows, args.json)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main()
