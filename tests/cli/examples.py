#!/usr/bin/python3
"""The programs under examples/: what they print, by themselves and with other input; what they do
when a server is dead, slow or wrong; and, looked at from outside, that they work as concurrently
as they say. No server log is slept for: a server here holds its answers until it has seen what it
should."""
import json
import os
import re
import resource
import socket
import subprocess
import threading

from common import PATIENCE, Answers, await_none_left, await_that, end, run, zygote_and_workers

BUILT = os.path.join(os.environ["TRINE_BUILD"], "examples")
SOURCES = os.path.join(os.environ["TRINE_SOURCE"], "examples")

# Lines of code of the article's program: ours may have one and a half times as many and ten.
ARTICLE = {
    "asyncio_aiohttp_example": 24, "asyncio_basic_example": 20,
    "asyncio_context_manager_example": 20, "asyncio_exception_example": 20, "asyncio_fetch": 30,
    "benchmark_cpu": 25, "benchmark_io": 27, "multiprocessing_cpu_example": 20,
    "multiprocessing_fetch": 28, "multiprocessing_pool_example": 20,
    "multiprocessing_queue_example": 33, "threading_fetch": 32, "threading_io_example": 27,
    "threading_lock_example": 35, "threading_pool_example": 17, "web_scraper_pipeline": 76,
}
S = r"\d+\.\d+"  # seconds, and other such numbers
POSTS = [f"/posts/{i}" for i in range(1, 11)]
SPEEDUP = rf"Speedup: {S}x\n"

# All that each program prints, run alone.
PRINTS = {
    "asyncio_aiohttp_example": rf"Fetched 20/20 posts in {S}s\n"
                               r"Status 200, post 1\nStatus 200, post 2\nStatus 200, post 3\n",
    "asyncio_basic_example": r"Task 1 started\nTask 2 started\nTask 3 started\n"
                             r"Task 3 finished after 1s\nTask 1 finished after 2s\n"
                             rf"Task 2 finished after 3s\nAll tasks completed in {S}s\n"
                             r"Results: Result 1, Result 2, Result 3\n",
    "asyncio_context_manager_example": r"Opening connection: DB1\nExecuting: SELECT \*\n"
                                       r"Got: Result from DB1\nClosing connection: DB1\n",
    "asyncio_exception_example": r"Task 1: Task 1 success\nTask 2 raised: Task 2 failed!\n"
                                 r"Task 3: Task 3 success\n",
    "asyncio_fetch": rf"Asyncio: 10 results in {S}s\n",
    "benchmark_cpu": rf"The list of 16 numbers, \d+ times\nSequential: {S}s\n"
                     rf"Threads \(4\): {S}s\n{SPEEDUP}Processes \(4\): {S}s\n{SPEEDUP}"
                     r"In Python, threads would gain nothing here; C has no GIL\.\n",
    "benchmark_io": "".join(rf"{name} +{S}s\n{SPEEDUP}" for name in (
        "Processes, one a CPU", "Threads, 10 at a time", "Coroutines, 10 at a time",
        "Coroutines, all at once")),
    "multiprocessing_cpu_example": rf"The list of 8 numbers, \d+ times\nSequential: {S}s\n"
                                   rf"Multiprocessing \(4 processes\): {S}s\n{SPEEDUP}"
                                   r"Computed 8 factorials\n",
    "multiprocessing_fetch": rf"Multiprocessing: 10 results in {S}s\n",
    "multiprocessing_pool_example": r"Primes up to 10000: 1229\nPrimes up to 20000: 2262\n"
                                    r"Primes up to 30000: 3245\nPrimes up to 40000: 4203\n"
                                    rf"Primes up to 50000: 5133\nCompleted in {S}s\n",
    "multiprocessing_queue_example": r"2\^10 = 1024\n3\^10 = 59049\n4\^10 = 1048576\n"
                                     r"5\^10 = 9765625\n6\^10 = 60466176\n",
    "threading_fetch": rf"Threading: 10 results in {S}s\n",
    "threading_io_example": r"(\[Thread\] Fetched /posts/\d+: 200\n){10}"
                            rf"Completed 10 requests in {S} seconds\nAll results: .*\n",
    "threading_lock_example": r"Unsafe result: \d+ \(expected 100\)\n"
                              r"Safe result: 100 \(expected 100\)\n",
    "threading_pool_example": rf"ThreadPoolExecutor: 50/50 successful in {S}s\n",
    "web_scraper_pipeline": r"Stage 1: Fetching URLs with asyncio\.\.\.\n"
                            rf"  Fetched 20 URLs in {S}s\n"
                            rf"Stage 2: .*\n  Processed .* in {S}s\n"
                            rf"Stage 3: .*\n  Stored 20 results in {S}s\n\n"
                            r"=== Pipeline Complete ===\nDocuments processed: 20\nFailed: 0\n"
                            rf"Total words: 569\nTotal time: {S}s\n"
                            rf"Fetching: {S}s \(\d+%\)\nProcessing: {S}s \(\d+%\)\n",
}


def start(name, *args, **options):
    return subprocess.Popen([os.path.join(BUILT, name), *args], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **options)


def output(process, code=0):
    try:
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        end(process)
    assert process.returncode == code, f"{process.args}: exit {process.returncode}: {out[-600:]}"
    return out


def example(name, *args, code=0):
    return output(start(name, *args), code)


# --- servers ---

def post(path):
    number = int(path.rsplit("/", 1)[-1])
    body = json.dumps({"id": number, "title": "two words"})
    return 200, {"Content-Type": "application/json"}, body


class Holding(Answers):
    """Holds its answers until `expected` requests are there at once, or all that are left, and
    until `look` was called, which sees the program while they wait."""

    def __init__(self, expected, total, look):
        self.expected, self.left = expected, total
        self.inside = self.peak = 0
        self.change = threading.Condition()
        self.failure = None
        self.full, self.looked = threading.Event(), threading.Event()
        super().__init__(self.hold)
        threading.Thread(target=self.watch, args=[look], daemon=True).start()

    def watch(self, look):
        self.full.wait(PATIENCE)
        try:
            look()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        self.looked.set()

    def hold(self, path, _):
        with self.change:
            self.inside += 1
            self.peak = max(self.peak, self.inside)
            self.change.notify_all()
            if not self.change.wait_for(lambda: self.inside >= min(self.expected, self.left),
                                        PATIENCE):
                self.failure = f"never {self.expected} requests at once, but {self.peak}"
        self.full.set()
        self.looked.wait(PATIENCE)
        with self.change:
            self.left -= 1
            self.inside -= 1
            self.change.notify_all()
        return post(path)


def threads_named(pid, beginning):
    found = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as f:
            found += f.read().startswith(beginning)
    return found


def at_rest(pid):
    """Does no thread of the process run? Then no more requests are on their way."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as f:
            if f.read().rsplit(")", 1)[1].split()[0] != "S":
                return False
    return True


def held(name, expected, total, look, *args):
    """Runs a program against a server that waits for `expected` requests at once, and calls
    look(process) while they wait. Gives what it printed."""
    process = None
    started = threading.Event()

    def look_now():
        started.wait(PATIENCE)
        for _ in range(50):
            await_that(lambda: at_rest(process.pid), "the program waits")
        look(process)

    server = Holding(expected, total, look_now)
    urls = args or [f"{server.url}/posts/{i}" for i in range(1, total + 1)]
    process = start(name, *[u.replace("BASE", server.url) for u in urls])
    started.set()
    try:
        out = output(process)
    finally:
        server.stop()
    assert server.failure is None, server.failure
    assert server.peak == expected, f"{server.peak} requests at once, not {expected}"
    return out


# --- cases ---

def each_is_here_and_no_longer_than_it_may_be():
    programs = sorted(f[:-2] for f in os.listdir(SOURCES) if f.endswith(".c"))
    assert programs == sorted(ARTICLE), set(programs) ^ set(ARTICLE)
    assert programs == sorted(PRINTS)
    for name, lines in ARTICLE.items():
        source = os.path.join(SOURCES, name + ".c")
        code = subprocess.run(["gcc", "-fpreprocessed", "-dD", "-E", "-P", source],
                              capture_output=True, text=True, check=True).stdout
        ours_has = sum(bool(line.strip()) for line in code.splitlines())
        assert ours_has <= lines * 3 // 2 + 10, f"{name} has {ours_has} lines of code"
        assert not re.search(r"\b(m|c|re)alloc\b", code), f"{name} allocates by hand"


def each_prints_its_lines_when_run_alone():
    processes = {name: start(name) for name in PRINTS}
    try:
        for name, process in processes.items():
            out = output(process)
            assert re.fullmatch(PRINTS[name], out), f"{name} printed {out!r}"
            assert "wrong" not in out and "failed)" not in out, f"{name} printed {out!r}"
    finally:
        for process in processes.values():
            end(process)
    await_none_left()


def what_they_are_given_is_what_they_work_on():
    out = example("multiprocessing_pool_example", "100", "1000")
    assert out.startswith("Primes up to 100: 25\nPrimes up to 1000: 168\nCompleted"), out
    out = example("multiprocessing_queue_example", "3")
    assert out == "2^3 = 8\n3^3 = 27\n4^3 = 64\n5^3 = 125\n6^3 = 216\n", out
    server = Answers(lambda path, _: post(path))
    paths = ["/posts/7", "/posts/3", "/posts/30"]
    urls = [server.url + path for path in paths]
    for name, said in {"threading_fetch": "Threading: 3 results", "benchmark_io": None,
                       "multiprocessing_fetch": "Multiprocessing: 3 results",
                       "asyncio_fetch": "Asyncio: 3 results",
                       "threading_pool_example": "ThreadPoolExecutor: 3/3 successful",
                       "asyncio_aiohttp_example": "Fetched 3/3 posts",
                       "web_scraper_pipeline": "Documents processed: 3\n"}.items():
        del server.asked[:]
        out = example(name, *urls)
        assert said is None or said in out, f"{name}: {out}"
        assert sorted(server.asked) == sorted(paths * (1 if said else 4)), f"{name}: {server.asked}"
        if name == "asyncio_aiohttp_example":
            assert re.findall(r"post (\d+)", out) == ["7", "3", "30"], out
    del server.asked[:]
    out = example("threading_io_example", server.url + "/elsewhere/index.html")
    assert sorted(server.asked) == sorted(POSTS), server.asked
    results = json.loads(out[out.index("All results: ") + 13:])
    assert results == {path: 200 for path in POSTS}, out
    server.stop()


def a_fetch_that_fails_says_why_and_fails_alone():
    with socket.socket() as closed:  # bound, not listening
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/posts/2"
        server = Answers(lambda path, _: (200, {}, "<p>no JSON") if path == "/html" else post(path))
        for name, word in (("threading_fetch", "Threading"), ("asyncio_fetch", "Asyncio"),
                           ("multiprocessing_fetch", "Multiprocessing")):
            out = example(name, server.url + "/posts/1", dead, server.url + "/html")
            assert re.search(rf"Error fetching {dead}: .*(refused|connect)", out, re.I), out
            assert f"Error fetching {server.url}/html: it is no JSON\n" in out, out
            assert f"{word}: 1 results in" in out, out
        out = example("asyncio_aiohttp_example", server.url + "/posts/1", dead)
        assert "Fetched 1/2 posts" in out, out
        out = example("threading_pool_example", server.url + "/posts/1", dead)
        assert "1/2 successful" in out, out
        out = example("benchmark_io", server.url + "/posts/1", dead)
        assert out.count("(some failed)") == 4, out
        server.stop()


def a_server_that_does_not_answer_is_given_up():
    never = threading.Event()
    server = Answers(lambda path, _: never.wait(PATIENCE) and (200, {}, ""))
    url = server.url + "/posts/1"
    names = ("threading_fetch", "asyncio_fetch", "multiprocessing_fetch")
    processes = [start(name, url) for name in names]
    try:
        for process in processes:
            out = output(process)
            why = "(timed out|no complete answer within 5000 ms)"
            assert re.match(rf"Error fetching {url}: {why}", out), out
            assert ": 0 results in" in out, out
    finally:
        never.set()
        server.stop()


def ten_threads_fetch_at_once():
    def look(process):
        assert threads_named(process.pid, "trine-") == 10
    out = held("threading_fetch", 10, 10, look)
    assert "Threading: 10 results" in out, out
    out = held("threading_io_example", 10, 10, look, "BASE")
    assert "Completed 10 requests" in out, out
    out = held("threading_pool_example", 10, 50, look)
    assert "50/50 successful" in out, out


def ten_coroutines_fetch_at_once_in_one_thread():
    def look(process):
        assert len(os.listdir(f"/proc/{process.pid}/task")) == 1
    assert "Asyncio: 10 results" in held("asyncio_fetch", 10, 10, look)
    assert "Fetched 20/20 posts" in held("asyncio_aiohttp_example", 20, 20, look)


def four_processes_fetch_at_once():
    out = held("multiprocessing_fetch", 4, 10, lambda process: zygote_and_workers(process, 4))
    assert "Multiprocessing: 10 results" in out, out


def the_pipeline_fetches_ten_at_once_and_counts_in_four_processes():
    out = held("web_scraper_pipeline", 10, 20, lambda process: zygote_and_workers(process, 4))
    assert "Documents processed: 20\n" in out, out


def as_many_processes_compute_as_they_say():
    for name, argument, count in (("multiprocessing_pool_example", "2000000000", 4),
                                  ("multiprocessing_queue_example", "2000000000", 2)):
        process = start(name, *([argument] * (4 if count == 4 else 1)))
        try:
            zygote_and_workers(process, count)
        finally:
            end(process)
    await_none_left()


def the_counter_without_a_lock_loses_counts():
    out = example("threading_lock_example")
    unsafe, safe = map(int, re.findall(r"result: (\d+)", out))
    assert 0 < unsafe < 100 and safe == 100, out


def the_connection_is_closed_after_an_error_and_a_cancel():
    for how, query in (("error", "SELECT nothing"), ("cancel", r"SELECT \*")):
        out = example("asyncio_context_manager_example", how, code=1)
        assert re.fullmatch(rf"Opening connection: DB1\nExecuting: {query}\n"
                            r"Closing connection: DB1\n", out), out


def the_pipeline_counts_words_and_failures():
    texts = {"/a": "one two  three", "/b": "\n four\tfive ", "/c": ""}
    server = Answers(lambda path, _: (200, {}, texts[path]) if path in texts else (404, {}, "no"))
    out = example("web_scraper_pipeline", *[server.url + path for path in (*texts, "/missing")])
    assert "Documents processed: 3\nFailed: 1\nTotal words: 5\n" in out, out
    server.stop()


def none_hangs_or_crashes_without_descriptors():
    def limit(most):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # LeakSanitizer itself needs descriptors
    asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    env = dict(os.environ, ASAN_OPTIONS=asan)
    processes = [(most, start(name, env=env, preexec_fn=limit(most)))
                 for name in PRINTS for most in (4, 7)]
    try:
        for most, process in processes:
            out, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode in (0, 1), f"{process.args}, {most} descriptors: {out}"
    finally:
        for _, process in processes:
            end(process)
    await_none_left()


run(each_is_here_and_no_longer_than_it_may_be, each_prints_its_lines_when_run_alone,
    what_they_are_given_is_what_they_work_on, a_fetch_that_fails_says_why_and_fails_alone,
    a_server_that_does_not_answer_is_given_up, ten_threads_fetch_at_once,
    ten_coroutines_fetch_at_once_in_one_thread, four_processes_fetch_at_once,
    the_pipeline_fetches_ten_at_once_and_counts_in_four_processes,
    as_many_processes_compute_as_they_say, the_counter_without_a_lock_loses_counts,
    the_connection_is_closed_after_an_error_and_a_cancel, the_pipeline_counts_words_and_failures,
    none_hangs_or_crashes_without_descriptors)
