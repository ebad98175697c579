#!/usr/bin/python3
"""multiprocessing.Pool with two workers; one task at a time from a map, and one awaited."""
import multiprocessing
import struct
import time

from frame import check, measure

TASKS, ROUNDS = 10_000, 2_000
SIZES = {"64k": 64 << 10, "1m": 1 << 20}
VOLUME = 16 << 20
TABLE = bytes(i ^ 0x5a for i in range(256))


def add_up(packed):
    return struct.pack("4Q", *(n + 1 for n in struct.unpack("4Q", packed)))


def rewrite(piece):
    return piece.translate(TABLE)


def maps(pool):
    args = [struct.pack("4Q", i, i, i, i) for i in range(TASKS)]
    start = time.perf_counter()
    results = pool.map(add_up, args, chunksize=1)
    seconds = time.perf_counter() - start
    check(struct.unpack("4Q", results[-1])[3] == TASKS, "a wrong result")
    return TASKS / seconds / 1e3


def awaits(pool):
    arg = struct.pack("4Q", 1, 2, 3, 4)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        pool.apply(add_up, (arg,))
    return (time.perf_counter() - start) / ROUNDS * 1e6


def transfer(pool, size):
    pieces = [bytes([1]) * size] * (VOLUME // size)
    start = time.perf_counter()
    results = pool.map(rewrite, pieces, chunksize=1)
    seconds = time.perf_counter() - start
    check(results[-1] == bytes([1 ^ 0x5a]) * size, "a wrong result")
    return VOLUME / seconds / 1e6


def cold():
    start = time.perf_counter()
    with multiprocessing.Pool(2) as pool:
        pool.apply(add_up, (struct.pack("4Q", 1, 2, 3, 4),))
        return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    measure("processes", "processes/cold", "ms", cold)
    with multiprocessing.Pool(2) as workers:
        measure("processes", "processes/noop", "k/s", lambda: maps(workers))
        measure("processes", "processes/await", "us", lambda: awaits(workers))
        for name, size in SIZES.items():
            measure("processes", "processes/" + name, "MB/s", lambda s=size: transfer(workers, s))
