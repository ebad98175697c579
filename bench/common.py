"""What the scripts under bench/ share: a server of real pages, commands with a time limit, rows.

A script makes rows {bench, case, value, unit, min, max, n} and prints them with `print_rows`, as a
table or, with --json, one object a line."""
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time

SOURCE = os.environ.get("TRINE_SOURCE") or os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("TRINE_BUILD") or os.path.join(SOURCE, "build")
TRINE = os.environ.get("TRINE") or os.path.join(BUILD, "cli", "trine")
PYTHON = "/usr/bin/python3"


def row(bench, case, values, unit, digits=3):
    """The median of `values` with its spread."""
    return {"bench": bench, "case": case, "value": round(statistics.median(values), digits),
            "unit": unit, "min": round(min(values), digits), "max": round(max(values), digits),
            "n": len(values)}


def print_rows(rows, as_json):
    width = max((len(r["case"]) for r in rows), default=0) + 2
    for r in rows:
        if as_json:
            print(json.dumps(r), flush=True)
            continue
        spread = f"({r['min']:g} to {r['max']:g}, n {r['n']})" if r["n"] else ""
        print(f"{r['case']:{width}} {r['value']:12g} {r['unit']:4} {spread}", flush=True)


# --- pages and their server ---

def make_pages():
    """The folder of the page set and the paths in it; made when it is not there yet."""
    folder = os.path.join(BUILD, "bench-pages")
    subprocess.run([os.path.join(SOURCE, "scripts", "make-pages.py"), folder, "20000"], check=True,
                   stdout=sys.stderr)
    with open(os.path.join(folder, "paths")) as f:
        return folder, f.read().split()


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
        self.stop()
        sys.exit("nginx did not start: " + open(f"{work}/error.log").read())

    def stop(self):
        self.process.terminate()
        self.process.wait()


# --- commands ---

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
    """Bytes of memory of a process and its descendants; what they share counts once."""
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total * 1024


def run(command, watch_memory=False, limit=300):
    """Runs a command to its end: wall and CPU seconds, what it printed, and the largest PSS when
    that is watched, 50 times a second. A command that takes longer than `limit` seconds, or fails,
    ends the benchmark."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    most, over = [0], threading.Event()

    def watch():
        while not over.wait(0.02):
            most[0] = max(most[0], pss(process.pid))

    watcher = threading.Thread(target=watch)
    if watch_memory:
        watcher.start()
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        sys.exit(f"{command[0]} was not done after {limit} s")
    finally:
        over.set()
        if watch_memory:
            watcher.join()
    wall = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "pss": most[0], "out": out}
