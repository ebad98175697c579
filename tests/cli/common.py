"""What script tests share: servers, waiting, the cases, and a look at the processes that a test
started. Each of them has a mark in its environment, so that all are found, whoever their parents
are."""
import atexit
import http.server
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TRINE = os.environ["TRINE"]
SLOW = float(os.environ.get("TRINE_TEST_SLOW", "1"))
PATIENCE = 60 * SLOW
WORK = tempfile.mkdtemp(prefix="trine-test-")
MARK = f"TRINE_TEST_MARK={os.getpid()}-{random.getrandbits(40)}"
os.environ[MARK.split("=")[0]] = MARK.split("=")[1]
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]  # what is served here is fetched from here
atexit.register(shutil.rmtree, WORK, ignore_errors=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # then nothing is left either


class Server:
    """trine serve, whose log is the oracle of what was fetched."""

    def __init__(self, root, delay="0"):
        self.log = os.path.join(WORK, f"log{random.getrandbits(40)}")
        env = {k: v for k, v in os.environ.items() if not MARK.startswith(k + "=")}
        self.process = subprocess.Popen(
            [TRINE, "serve", "--port", "0", "--delay", delay, "--log", self.log, root],
            stdout=subprocess.PIPE, text=True, env=env)
        self.url = self.process.stdout.readline().strip()
        atexit.register(end, self.process)

    def lines(self):
        with open(self.log) as f:
            return [line.split() for line in f.read().splitlines()]

    def served(self):
        """The paths of pages that were answered, in order; robots.txt left out."""
        return [line[-1] for line in self.lines() if line[-1] != "/robots.txt"]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Answers(http.server.ThreadingHTTPServer):
    """A server that answers what the test says: fn(path, asked_so_far) gives (status, headers,
    body), and may wait. One request a connection, so that no idle one is left."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fn):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with outer.lock:
                    before = outer.asked.count(self.path)
                    outer.asked.append(self.path)
                status, headers, body = fn(self.path, before)
                try:
                    self.send_response(status)
                    for name, value in {"Content-Type": "text/html", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body if isinstance(body, bytes) else body.encode())
                except OSError:
                    pass  # the client is gone

            def log_message(self, *args):
                pass

        self.lock, self.asked = threading.Lock(), []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


def await_that(condition, what, seconds=PATIENCE):
    """Waits until the condition holds; gives what it gave."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"it never came to this: {what}"
        time.sleep(0.005)
    return value


def end(process):
    """Whatever happened to the test, its program does not stay."""
    if process.poll() is None:
        process.kill()
    process.wait()


# --- processes ---

def ours():
    """The pids of all processes with our mark, but for this one; zombies have no environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if MARK.encode() in f.read().split(b"\0") and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # a thread's children stand with the thread
            with open(f"/proc/{pid}/task/{task}/children") as f:
                found += [int(c) for c in f.read().split()]
    except OSError:
        pass
    return found


def zygote_and_workers(process, count=2):
    """Once the program's zygote has as many workers as it should. The server of an example is a
    child too."""
    def look():
        zygotes = [pid for pid in children(process.pid) if is_zygote(pid)]
        workers = children(zygotes[0]) if len(zygotes) == 1 else []
        return (zygotes[0], workers) if len(workers) == count else None
    return await_that(look, f"a zygote with {count} workers")


def is_zygote(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return "zygote" in f.read()
    except OSError:
        return False


def await_none_left():
    await_that(lambda: not ours(), "no process of the test is left", 10 * SLOW)


def run(*cases):
    failed = 0
    only = sys.argv[1:]
    for case in cases:
        if only and case.__name__ not in only:
            continue
        try:
            said = case()
            if isinstance(said, str):
                print(f"# {said}")
            print(f"ok {case.__name__}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed = 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAIL {case.__name__}: line {where.lineno}: {error!r}"[:1500]
                  .replace("\n", " "), flush=True)
        for pid in ours():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    sys.exit(failed)
