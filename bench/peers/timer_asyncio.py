#!/usr/bin/python3
"""loop.call_later and cancel."""
import asyncio
import random
import time

from frame import measure

TIMERS, SINGLES = 1_000_000, 200_000


def nothing():
    pass


async def create_then_cancel():
    loop = asyncio.get_running_loop()
    start = time.perf_counter_ns()
    for i in range(SINGLES):
        loop.call_later(30 + i * 1e-9, nothing).cancel()
    return (time.perf_counter_ns() - start) / SINGLES


async def million():
    loop = asyncio.get_running_loop()
    timeouts = [30 + random.random() * 60 for _ in range(TIMERS)]
    start = time.perf_counter_ns()
    handles = [loop.call_later(timeout, nothing) for timeout in timeouts]
    created = time.perf_counter_ns()
    for handle in handles:
        handle.cancel()
    return (created - start) / TIMERS, (time.perf_counter_ns() - created) / TIMERS


measure("timer", "timer/create_then_cancel", "ns", lambda: asyncio.run(create_then_cancel()))
measure("timer", "timer/1m_create", "ns", lambda: asyncio.run(million())[0])
measure("timer", "timer/1m_cancel", "ns", lambda: asyncio.run(million())[1])
