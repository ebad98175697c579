"""The measurements of `trine bench` in Python: threading, multiprocessing, asyncio. Takes the words
of cell.h and prints the same lines. Standard library only. It is run as `python3 -I -c`."""
import asyncio
import concurrent.futures as futures
import ctypes
import math
import mmap
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time

GROUP, MODEL, N, WORK, A, B = sys.argv[1:7]
N, A, B = int(N), int(A), int(B)
PORTS = [int(p) for p in sys.argv[7].split(",") if p != "-"]
CPUS = len(os.sched_getaffinity(0))
PATIENCE = 60
MAIN = os.getpid()
fork = multiprocessing.get_context("fork")
libc = ctypes.CDLL(None)


def say(name, value):
    print(name, repr(float(value)), flush=True)


def begin():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    say("before", sum(u.ru_utime + u.ru_stime for u in used))
    return time.perf_counter()


def check(right, what):
    if not right:
        sys.exit(what)


def die_with_parent():
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != MAIN:  # it had ended before
        os._exit(1)


def process_pool(workers):
    return fork.Pool(workers, initializer=die_with_parent)


def process_executor(workers):
    return futures.ProcessPoolExecutor(workers, mp_context=fork, initializer=die_with_parent)


# --- io ---

def put_request(number):
    return b"GET /%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % number


def take_answer(text):
    head, _, body = text.partition(b"\r\n\r\n")
    check(head[8:13] == b" 200 ", "an answer is not 200")
    return int(body)


def ask(number):
    with socket.create_connection(("127.0.0.1", PORTS[number % len(PORTS)]), PATIENCE) as s:
        s.sendall(put_request(number))
        text = b""
        while got := s.recv(4096):
            text += got
    return take_answer(text)


async def ask_on_loop(number):
    port = PORTS[number % len(PORTS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(put_request(number))
    text = await reader.read(-1)
    writer.close()
    return take_answer(text)


async def ask_all_on_loop(numbers):
    return await asyncio.gather(*map(ask_on_loop, numbers))


def io():
    numbers = range(1, N + 1)
    start = begin()
    if MODEL == "loop":
        answers = asyncio.run(ask_all_on_loop(numbers))
    elif MODEL == "threads":
        with futures.ThreadPoolExecutor(N) as pool:
            answers = list(pool.map(ask, numbers))
    else:
        with process_pool(N) as pool:
            answers = pool.map(ask, numbers, chunksize=1)
    say("wall", time.perf_counter() - start)
    check(answers == list(numbers), "an answer belongs to another request")


# --- cpu ---

def factorial(n):
    return math.factorial(n) % 65537


def is_prime(n):
    for d in range(2, math.isqrt(n) + 1):
        if n % d == 0:
            return False
    return n > 1


def primes(limit):
    return sum(map(is_prime, range(2, limit)))


def small_factorial(n):
    rest = 1
    for factor in range(2, n + 1):
        rest = rest * factor % 65537
    return rest


async def compute_on_loop(function, numbers):
    async def one(n):
        return function(n)
    return await asyncio.gather(*map(one, numbers))


def cpu():
    function, numbers = {"factorials": (factorial, [5000 + 500 * i for i in range(16)]),
                         "primes": (primes, [10000 * (i + 1) for i in range(5)])}[WORK]
    start = begin()
    if MODEL == "loop":
        results = asyncio.run(compute_on_loop(function, numbers * A))
    elif MODEL == "threads":
        with futures.ThreadPoolExecutor(N) as pool:
            results = list(pool.map(function, numbers * A))
    else:
        with process_pool(N) as pool:
            results = pool.map(function, numbers * A, chunksize=1)
    say("wall", time.perf_counter() - start)
    expected = ([1229, 2262, 3245, 4203, 5133] if WORK == "primes"
                else list(map(small_factorial, numbers)))
    check(list(results) == expected * A, "a computed result is wrong")


# --- mixed ---

MASK = (1 << 64) - 1
MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407


def spin(rounds):
    x = 1
    for _ in range(rounds):
        x = (x * MULTIPLIER + INCREMENT) & MASK
    return x


def spin_expected(rounds):
    times, plus, m, p = 1, 0, MULTIPLIER, INCREMENT
    while rounds:
        if rounds & 1:
            times, plus = times * m & MASK, (plus * m + p) & MASK
        p, m = (m + 1) * p & MASK, m * m & MASK
        rounds >>= 1
    return (times + plus) & MASK


def wait_and_compute(_):
    time.sleep(A / 1e6)
    return spin(B)


async def mixed_on_loop(pool):
    async def one():
        await asyncio.sleep(A / 1e6)
        return await asyncio.get_running_loop().run_in_executor(pool, spin, B) if pool else spin(B)
    return await asyncio.gather(*(one() for _ in range(N)))


def mixed():
    start = begin()
    if MODEL == "loop":
        results = asyncio.run(mixed_on_loop(None))
    elif MODEL == "loop+processes":
        with process_executor(CPUS) as pool:
            results = asyncio.run(mixed_on_loop(pool))
    elif MODEL == "loop+threads":
        with futures.ThreadPoolExecutor(CPUS) as pool:
            results = asyncio.run(mixed_on_loop(pool))
    elif MODEL == "threads":
        with futures.ThreadPoolExecutor(min(N, 32)) as pool:
            results = list(pool.map(wait_and_compute, range(N)))
    else:
        with process_pool(2 * CPUS) as pool:
            results = pool.map(wait_and_compute, range(N), chunksize=1)
    say("wall", time.perf_counter() - start)
    check(list(results) == [spin_expected(B)] * N, "a computed result is wrong")


# --- tasks ---

def field(pid, file, name):
    with open(f"/proc/{pid}/{file}", encoding="utf-8") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(name))


def memory(pids):
    return sum(field(pid, "smaps_rollup", "Pss:") for pid in pids) * 1024


def say_counts(pids):
    say("processes", len(pids))
    say("threads", sum(field(pid, "status", "Threads:") for pid in pids))


async def tasks_on_loop():
    gate, here = asyncio.Event(), 0

    async def one():
        nonlocal here
        here += 1
        await gate.wait()
    before = memory(["self"])
    start = time.perf_counter()
    waiting = [asyncio.create_task(one()) for _ in range(N)]
    while here < N:
        await asyncio.sleep(0)
    created = time.perf_counter() - start
    used = memory(["self"]) - before
    say_counts(["self"])
    start = time.perf_counter()
    gate.set()
    await asyncio.gather(*waiting)
    return created + time.perf_counter() - start, used


def wait_at_gate(here, gate):
    die_with_parent()
    here.release()
    gate.wait()


def wait_in_thread(here, gate):
    here.release()
    gate.wait()


def tasks_of(kind, here, gate, function, pids):
    before = memory(["self"])
    start = time.perf_counter()
    waiting = [kind(target=function, args=(here, gate)) for _ in range(N)]
    for w in waiting:
        w.start()
    for _ in range(N):
        here.acquire()
    created = time.perf_counter() - start
    used = memory(["self", *pids(waiting)]) - before
    say_counts(["self", *pids(waiting)])
    start = time.perf_counter()
    gate.set()
    for w in waiting:
        w.join()
    return created + time.perf_counter() - start, used


def tasks():
    begin()
    if MODEL == "loop":
        seconds, used = asyncio.run(tasks_on_loop())
    elif MODEL == "threads":
        seconds, used = tasks_of(threading.Thread, threading.Semaphore(0), threading.Event(),
                                 wait_in_thread, lambda waiting: [])
    else:
        seconds, used = tasks_of(fork.Process, fork.Semaphore(0), fork.Event(), wait_at_gate,
                                 lambda waiting: [w.pid for w in waiting])
    say("create", seconds / N)
    say("each", used / N)


# --- handover ---

def add_one(n):
    return n + 1


async def add_one_on_loop(n):
    return n + 1


async def handover_on_loop():
    async def trips():
        return [await asyncio.create_task(add_one_on_loop(n)) for n in range(N)]

    async def batch():
        return await asyncio.gather(*map(add_one_on_loop, range(N)))
    for name, part in (("trip", trips), ("batch", batch)):
        await part()
        start = time.perf_counter()
        results = await part()
        say(name, (time.perf_counter() - start) / N)
        check(results == list(range(1, N + 1)), "a result is wrong")


def handover_with(one, many):
    for name, part in (("trip", lambda: [one(n) for n in range(N)]),
                       ("batch", lambda: list(many(range(N))))):
        part()
        start = time.perf_counter()
        results = part()
        say(name, (time.perf_counter() - start) / N)
        check(results == list(range(1, N + 1)), "a result is wrong")


def handover():
    begin()
    if MODEL == "loop":
        asyncio.run(handover_on_loop())
    elif MODEL == "pool":
        with process_pool(2) as pool:
            handover_with(lambda n: pool.apply(add_one, (n,)),
                          lambda numbers: pool.map(add_one, numbers, chunksize=1))
    else:
        kind = futures.ThreadPoolExecutor if MODEL == "threads" else process_executor
        with kind(2) as pool:
            handover_with(lambda n: pool.submit(add_one, n).result(),
                          lambda numbers: pool.map(add_one, numbers))


# --- data ---

PAGE = 4096
shared_block = None


def look(block):
    with memoryview(block) as view:
        return sum(view[::PAGE])


def look_at_mapping(_):
    return look(shared_block)


def data():
    global shared_block
    shared_block = mmap.mmap(-1, N)
    for at in range(0, N, PAGE):
        shared_block[at] = at // PAGE * 7 & 255
    expected = look(shared_block) - shared_block[0]
    begin()

    async def on_loop(block):
        return look(block)

    def measure(hand_over):
        taken, times, i = 0, 0, -2
        while times < 5 or (taken < 0.04 and times < 2000):
            shared_block[0] = i & 255
            argument = bytes(shared_block) if WORK == "copied" else shared_block
            start = time.perf_counter()
            result = hand_over(argument)
            if i >= 0:
                taken += time.perf_counter() - start
                times += 1
            check(result == expected + (i & 255), "the bytes are wrong")
            i += 1
        say("each", taken / times)
    if MODEL == "loop":
        loop = asyncio.new_event_loop()
        measure(lambda block: loop.run_until_complete(on_loop(block)))
        loop.close()
    elif MODEL == "threads":
        with futures.ThreadPoolExecutor(1) as pool:
            measure(lambda block: pool.submit(look, block).result())
    else:
        with process_pool(1) as pool:
            if WORK == "copied":
                measure(lambda block: pool.apply(look, (block,)))
            else:
                measure(lambda block: pool.apply(look_at_mapping, (None,)))


# --- calls that block ---

def block(us):
    start = time.perf_counter()
    time.sleep(us / 1e6)
    return time.perf_counter() - start


def crew():
    start = begin()
    with futures.ThreadPoolExecutor(N) as pool:
        took = list(pool.map(block, [B] * A))
    say("wall", time.perf_counter() - start)
    check(min(took) >= B / 1e6, "a call did not block as long as it should")


async def blocking_on_loop():
    async def direct():
        return block(A)
    calls = [direct() if WORK == "direct" else asyncio.to_thread(block, A) for _ in range(N)]
    return await asyncio.gather(*calls)


def blocking():
    start = begin()
    took = asyncio.run(blocking_on_loop())
    say("wall", time.perf_counter() - start)
    check(min(took) >= A / 1e6, "a call did not block as long as it should")


# --- what goes wrong ---

number = 0
lock = threading.Lock()


def add_slowly():
    global number
    seen = number
    time.sleep(0.0001)
    number = seen + 1


def add_locked():
    with lock:
        add_slowly()


async def race_on_loop():
    async def one():
        add_slowly()
    await asyncio.gather(*(one() for _ in range(N)))


def race():
    begin()
    if MODEL == "loop":
        asyncio.run(race_on_loop())
    else:
        function = add_locked if WORK == "locked" else add_slowly
        with futures.ThreadPoolExecutor(N) as pool:
            for f in [pool.submit(function) for _ in range(N)]:
                f.result()
    say("lost", N - number)


def work_or_crash(crashes):
    if crashes:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.03)
    return 1


async def crash_on_loop(victims):
    async def one(crashes):
        return work_or_crash(crashes)
    await asyncio.gather(*map(one, victims))


def crash():
    victims = [i == 0 for i in range(N)]
    begin()
    if MODEL == "loop":
        asyncio.run(crash_on_loop(victims))
        return
    kind = futures.ThreadPoolExecutor if MODEL == "threads" else process_executor
    done = 0
    with kind(4) as pool:
        started = []
        for v in victims:
            try:
                started.append(pool.submit(work_or_crash, v))
            except futures.BrokenExecutor:  # by the first one, already: the pool takes no more
                break
        for f in started:
            try:
                done += f.result()
            except futures.BrokenExecutor:
                pass
    say("lost", N - done)


def calibrate():
    best = 0
    for _ in range(5):
        start = time.perf_counter()
        check(spin(100000) == spin_expected(100000), "a computed result is wrong")
        best = max(best, 100000 / (time.perf_counter() - start))
    say("rate", best)


if GROUP in ("io", "cpu", "mixed", "tasks", "handover", "data", "crew", "blocking", "race", "crash",
             "calibrate"):
    globals()[GROUP]()
else:
    sys.exit("no such cell")
