#!/usr/bin/python3
"""concurrent.futures.ThreadPoolExecutor with two workers."""
import concurrent.futures
import time

from frame import measure

TASKS, ROUNDS = 20_000, 2_000


def nothing():
    pass


def submits(pool):
    start = time.perf_counter()
    for future in [pool.submit(nothing) for _ in range(TASKS)]:
        future.result()
    return TASKS / (time.perf_counter() - start) / 1e6


def awaits(pool):
    start = time.perf_counter()
    for _ in range(ROUNDS):
        pool.submit(nothing).result()
    return (time.perf_counter() - start) / ROUNDS * 1e6


with concurrent.futures.ThreadPoolExecutor(2) as threads:
    measure("threads", "threads/submit", "M/s", lambda: submits(threads))
    measure("threads", "threads/await", "us", lambda: awaits(threads))
