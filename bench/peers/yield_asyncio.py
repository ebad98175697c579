#!/usr/bin/python3
"""asyncio.sleep(0) between tasks."""
import asyncio
import time

from frame import measure

YIELDS = 200_000


async def yielder(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


async def yield_all(tasks):
    start = time.perf_counter_ns()
    await asyncio.gather(*(yielder(YIELDS // tasks) for _ in range(tasks)))
    return (time.perf_counter_ns() - start) / YIELDS


measure("yield", "yield/two", "ns", lambda: asyncio.run(yield_all(2)))
measure("yield", "yield/1000", "ns", lambda: asyncio.run(yield_all(1000)))
