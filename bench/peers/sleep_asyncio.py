#!/usr/bin/python3
"""A hundred thousand tasks asleep together; one run a process."""
import asyncio
import time

from frame import memory, show

SLEEPERS, SECONDS = 100_000, 2
asleep = 0


async def sleeper():
    global asleep
    asleep += 1
    await asyncio.sleep(SECONDS)


async def main():
    before, start = memory(), time.perf_counter()
    tasks = [asyncio.create_task(sleeper()) for _ in range(SLEEPERS)]
    while asleep < SLEEPERS:
        await asyncio.sleep(0)
    held = memory() - before
    await asyncio.gather(*tasks)
    over = time.perf_counter() - start - SECONDS
    show("sleep", "sleep/100k/bytes_per_task", "B", [held / SLEEPERS])
    show("sleep", "sleep/100k/time_over", "s", [over])


asyncio.run(main())
