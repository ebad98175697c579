#!/usr/bin/python3
"""asyncio.create_task of a coroutine that counts, awaited."""
import asyncio
import time

from frame import check, measure

SPAWNS = 50_000
count = 0


async def count_one():
    global count
    count += 1


async def one():
    for _ in range(SPAWNS):
        await asyncio.create_task(count_one())


async def batch():
    for _ in range(SPAWNS // 1000):
        for task in [asyncio.create_task(count_one()) for _ in range(1000)]:
            await task


def spawns(main):
    global count
    count = 0
    start = time.perf_counter_ns()
    asyncio.run(main())
    ns = (time.perf_counter_ns() - start) / SPAWNS
    check(count == SPAWNS, "not every task ran")
    return ns


measure("spawn", "spawn/one", "ns", lambda: spawns(one))
measure("spawn", "spawn/batch_1000", "ns", lambda: spawns(batch))
