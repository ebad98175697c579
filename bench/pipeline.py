#!/usr/bin/python3
"""make bench: 5,000 real pages through `trine crawl` and through the article's pipeline in Python
(bench/peers/pipeline.py), in turns, from one nginx. Prints a table; with --json an object a line.

Wall time is measured from outside, CPU over all processes of the program, memory as the largest
sum of their PSS, looked at 50 times a second (what workers share counts once), in a run of its own.
Both stores are compared.

usage: pipeline.py [--runs N] [--pages N] [--workers N] [--json] [--only trine|python]"""
import argparse
import json
import os
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile

from common import PYTHON, SOURCE, TRINE, Nginx, make_pages, print_rows, row, run


def read_store(path):
    db = sqlite3.connect(path)
    rows = {r[0]: r[1:] for r in db.execute("SELECT url, bytes, words, links, sha256 FROM pages")}
    links = db.execute("SELECT count(*) FROM links").fetchone()[0]
    db.close()
    return rows, links


def compare(ours, theirs, count):
    """Every page once, with the same bytes; words and links alike but for broken HTML."""
    (a, a_links), (b, b_links) = read_store(ours), read_store(theirs)
    if len(a) != count or a.keys() != b.keys():
        sys.exit(f"the stores hold {len(a)} and {len(b)} pages of {count}")
    if any(a[u][0] != b[u][0] or a[u][3] != b[u][3] for u in a):
        sys.exit("the stores differ in bytes or SHA-256")
    same = sum(a[u][1] == b[u][1] and a[u][2] == b[u][2] for u in a)
    print(f"stores: {count} pages each, bytes and SHA-256 equal; words and links of {same} "
          f"({100 * same / count:.1f} %) equal; {a_links} and {b_links} links", file=sys.stderr)


def report(results, as_json):
    rows = []
    for case in results:
        for value, unit, scale in (("wall", "s", 1), ("cpu", "s", 1), ("pss", "MB", 1e-6)):
            runs = [r[value] * scale for r in results[case] if value != "pss" or r["pss"]]
            rows.append(row("pipeline", f"{case} {value}", runs, unit))
    if len(results) == 2:
        medians = {r["case"]: r["value"] for r in rows}
        for value in ("wall", "cpu", "pss"):
            ratio = medians[f"python {value}"] / medians[f"trine {value}"]
            rows.append({"bench": "pipeline", "case": f"python over trine, {value}",
                         "value": round(ratio, 2), "unit": "x", "min": None, "max": None,
                         "n": None})
    print_rows(rows, as_json)


def fresh(store):
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(store + suffix):
            os.remove(store + suffix)


def measure(commands, stores, runs):
    """Each command `runs` times for its time, in turns, and once more for its memory."""
    results = {case: [] for case in commands}
    for turn in range(runs + 1):
        for case, command in commands.items():
            fresh(stores[case])
            last = turn == runs
            r = run(command, watch_memory=last)
            if last:  # its time counts the watching too
                r["wall"] = statistics.median(x["wall"] for x in results[case])
                r["cpu"] = statistics.median(x["cpu"] for x in results[case])
            results[case].append(r)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("trine", "python"))
    args = parser.parse_args()
    pages, paths = make_pages()
    paths = paths[:args.pages]
    work = tempfile.mkdtemp(prefix="trine-pipeline-")
    server = Nginx(os.path.join(pages, "site"), work)
    urls = os.path.join(work, "urls")
    with open(urls, "w") as f:
        f.writelines(f"http://127.0.0.1:{server.port}{path}\n" for path in paths)
    stores = {case: os.path.join(work, case + ".db") for case in ("trine", "python")}
    commands = {
        "trine": [TRINE, "crawl", "-i", urls, "--store", stores["trine"], "--concurrency", "64",
                  "--per-host", "64", "--no-robots", "--json", "--workers", str(args.workers)],
        "python": [PYTHON, os.path.join(SOURCE, "bench", "peers", "pipeline.py"), urls,
                   stores["python"], "64", "4"],
    }
    if args.only:
        commands = {args.only: commands[args.only]}
    try:
        results = measure(commands, stores, args.runs)
        if len(commands) == 2:
            compare(stores["trine"], stores["python"], len(paths))
    finally:
        server.stop()
        shutil.rmtree(work)
    report(results, args.json)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main()
