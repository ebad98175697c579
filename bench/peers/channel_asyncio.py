#!/usr/bin/python3
"""asyncio.Queue between two tasks: the cases of bench/channel.c that one loop has."""
import asyncio
import time

from frame import check, measure

ROUNDS, ITEMS = 50_000, 100_000


async def answer(there, back):
    for _ in range(ROUNDS):
        await back.put(await there.get())


async def ping_pong():
    there, back = asyncio.Queue(1), asyncio.Queue(1)
    task = asyncio.create_task(answer(there, back))
    start = time.perf_counter_ns()
    for i in range(ROUNDS):
        await there.put(i)
        check(await back.get() == i, "an item did not come back")
    ns = (time.perf_counter_ns() - start) / (2 * ROUNDS)
    await task
    return ns


async def take(line):
    for i in range(ITEMS):
        check(await line.get() == i, "an item is missing")


async def stream():
    line = asyncio.Queue(128)
    start = time.perf_counter_ns()
    task = asyncio.create_task(take(line))
    for i in range(ITEMS):
        await line.put(i)
    await task
    return (time.perf_counter_ns() - start) / ITEMS


measure("channel", "channel/pingpong", "ns", lambda: asyncio.run(ping_pong()))
measure("channel", "channel/stream", "ns", lambda: asyncio.run(stream()))
