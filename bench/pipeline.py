#!/usr/bin/python3
"""make bench: 5,000 real pages through `trine crawl` and through the article's pipeline in Python
(bench/peers/pipeline.py), in turns, from one nginx. Prints a table; with --json an object a line.

Wall time is measured from outside, CPU over all processes of the program, memory as the largest
sum of their PSS, looked at 50 times a second (what workers share counts once), in a run of its own.
Both stores are compared.

usage: pipeline.py [--runs N] [--pages N] [--json] [--only trine|python]"""
import argparse
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SOURCE, BUILD = os.environ["TRINE_SOURCE"], os.environ["TRINE_BUILD"]
TRINE = os.environ.get("TRINE", os.path.join(BUILD, "cli", "trine"))
PYTHON = "/usr/bin/python3"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx:
    """A server of our own: one worker, no log, ended by its pid."""

    def __init__(self, root, work):
        self.port = free_port()
        config = os.path.join(work, "nginx.conf")
        with open(config, "w") as f:
            f.write(f"""daemon off; pid {work}/nginx.pid; error_log {work}/error.log; user root;
worker_processes 1; events {{ worker_connections 4096; }}
http {{ types {{ text/html html; }} access_log off; sendfile on; tcp_nopush on;
keepalive_requests 1000000; server {{ listen 127.0.0.1:{self.port}; root {root}; }} }}""")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", work, "-c", config],
                                        stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        sys.exit("nginx did not start: " + open(f"{work}/error.log").read())

    def stop(self):
        self.process.terminate()
        self.process.wait()


def tree(pid):
    """A process and all that descend from it."""
    found = [pid]
    for p in found:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return found


def pss(pid):
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total * 1024


def run(command, watch_memory):
    """Wall and CPU seconds, the largest PSS, what it printed. Looking at the memory costs the
    program time, so that is done in runs of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    most, over = [0], threading.Event()

    def watch():
        while not over.wait(0.02):
            most[0] = max(most[0], pss(process.pid))

    watcher = threading.Thread(target=watch) if watch_memory else None
    if watcher:
        watcher.start()
    out = process.stdout.read()
    code = process.wait()
    wall = time.perf_counter() - start
    over.set()
    if watcher:
        watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        sys.exit(f"{command[0]} ended with {code}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "pss": most[0], "out": json.loads(out)}


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


def report(args, results):
    rows = []
    for case in results:
        for value, unit in (("wall", "s"), ("cpu", "s"), ("pss", "MB")):
            scale = 1e-6 if value == "pss" else 1
            runs = [r[value] * scale for r in results[case] if value != "pss" or r["pss"]]
            if runs:
                rows.append({"bench": "pipeline", "case": f"{case} {value}",
                             "value": round(statistics.median(runs), 3), "unit": unit,
                             "min": round(min(runs), 3), "max": round(max(runs), 3),
                             "n": len(runs)})
    if len(results) == 2:
        medians = {r["case"]: r["value"] for r in rows}
        for value in ("wall", "cpu", "pss"):
            if f"python {value}" in medians:
                ratio = medians[f"python {value}"] / medians[f"trine {value}"]
                rows.append({"bench": "pipeline", "case": f"python over trine, {value}",
                             "value": round(ratio, 2), "unit": "x", "min": None, "max": None,
                             "n": None})
    for r in rows:
        if args.json:
            print(json.dumps(r))
        else:
            spread = f"({r['min']} to {r['max']}, n {r['n']})" if r["n"] else ""
            print(f"{r['case']:28} {r['value']:9} {r['unit']:3} {spread}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only")
    args = parser.parse_args()
    pages = os.path.join(BUILD, "bench-pages")
    subprocess.run([os.path.join(SOURCE, "scripts", "make-pages.py"), pages, "20000"], check=True,
                   stdout=sys.stderr)
    work = tempfile.mkdtemp(prefix="trine-pipeline-")
    server = Nginx(os.path.join(pages, "site"), work)
    urls = os.path.join(work, "urls")
    paths = open(os.path.join(pages, "paths")).read().split()[:args.pages]
    with open(urls, "w") as f:
        f.writelines(f"http://127.0.0.1:{server.port}{path}\n" for path in paths)
    ours, theirs = os.path.join(work, "trine.db"), os.path.join(work, "python.db")
    commands = {
        "trine": [TRINE, "crawl", "-i", urls, "--store", ours, "--concurrency", "64", "--per-host",
                  "64", "--no-robots", "--json", "--workers", str(args.workers)],
        "python": [PYTHON, os.path.join(SOURCE, "bench", "peers", "pipeline.py"), urls, theirs,
                   "64", "4"],
    }
    if args.only:
        commands = {args.only: commands[args.only]}
    results = {case: [] for case in commands}
    try:
        for turn in range(args.runs + 1):
            for case, command in commands.items():
                for suffix in ("", "-wal", "-shm"):
                    if os.path.exists(ours + suffix):
                        os.remove(ours + suffix)
                r = run(command, watch_memory=turn == args.runs)
                if turn == args.runs:
                    r["wall"] = statistics.median(x["wall"] for x in results[case])
                    r["cpu"] = statistics.median(x["cpu"] for x in results[case])
                results[case].append(r)
        if len(commands) == 2:
            subprocess.run(commands["trine"], check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) if not os.path.exists(ours) else None
            compare(ours, theirs, len(paths))
    finally:
        server.stop()
        shutil.rmtree(work)
    report(args, results)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main()
