#!/usr/bin/python3
"""trine crawl when its own processes die: workers by what they parse, workers and the zygote by
SIGKILL. Each page is stored once, the crawl goes on, and nothing is left: no process, no
descriptor, no shared memory."""
import os
import random
import signal
import threading
import time

from crawling import (PATIENCE, SLOW, Answers, await_none_left, await_that, children, descriptors,
                      end, ours, rows, run, shared_memory, start, store, zygote_and_workers)

# A sanitizer's own handler would make another death of it; a crash by design is no leak.
POISON = {"TRINE_TEST_POISON": "1",
          "ASAN_OPTIONS": "handle_segv=0:detect_leaks=0:allocator_may_return_null=1",
          "TSAN_OPTIONS": "handle_segv=0"}
GOOD = 100
BIG = "<p>word " * 40000


def holdings(process):
    zygote, workers = zygote_and_workers(process)
    return {"crawl": descriptors(process.pid), "zygote": descriptors(zygote),
            "workers": [descriptors(worker) for worker in workers]}


def closed_in(pid):
    """Whether a filter of system calls holds for the process, and no privilege can be had."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    except FileNotFoundError:
        return False
    return lines["Seccomp"] == "2" and lines["NoNewPrivs"] == "1"


class Flight:
    """A server that answers when GOOD good and three further pages have all been asked for, the
    three first; /last is answered when the test says so."""

    def __init__(self, kinds):
        self.pages = [f"/{kind}.html" for kind in kinds] + [f"/{i}.html" for i in range(GOOD)]
        self.all_asked, self.release = threading.Barrier(GOOD + len(kinds)), threading.Event()
        self.first = threading.Semaphore(0)
        self.kinds = kinds
        self.server = Answers(self.answer)

    def answer(self, path, _):
        name = path[1:].split(".")[0]
        if name == "last":
            self.release.wait(PATIENCE)
            return 200, {}, "last"
        self.all_asked.wait(PATIENCE)
        if name in self.kinds:
            self.first.release()
        else:
            self.first.acquire(timeout=PATIENCE)
            self.first.release()
        poison = f"<!-- trine-poison: {name} -->" if name in ("segfault", "loop", "memory") else ""
        return 200, {}, f"<title>{name}</title><p>one two{poison}"

    def crawl(self, name, expected=None):
        """What the crawl's processes hold when all but /last is stored, and all rows at the end. A
        process that is just being replaced gets time to come to what is expected."""
        urls = "".join(f"{self.server.url}{page}\n" for page in [*self.pages, "/last.html"])
        path = store(name)
        process = start("-i", "/dev/stdin", "--workers", "2", "--no-robots", "--concurrency", "200",
                        "--per-host", "200", "--store", path, stdin=-1, stderr=-1, env=POISON)
        try:
            process.stdin.write(urls)
            process.stdin.close()
            await_that(lambda: len(rows(path)) == len(self.pages), "all pages but one are stored")
            await_that(lambda: len(ours()) == 4, "the crawl is its four processes")
            held = holdings(process)
            await_that(lambda: all(map(closed_in, zygote_and_workers(process)[1])),
                       "the workers are closed in")
            assert not closed_in(zygote_and_workers(process)[0])
            until = time.monotonic() + 5 * SLOW
            while expected and held != expected and time.monotonic() < until:
                held = holdings(process)
            shared = [shared_memory(pid) for pid in ours()]
            assert not any(shared), shared
            self.release.set()
            errors = process.stderr.read()
            assert process.wait(PATIENCE) == 0, errors
        finally:
            end(process)
            self.server.stop()
        await_none_left()
        return held, {u.rsplit("/", 1)[1]: row for u, row in rows(path).items()}


def pages_that_kill_their_worker_cost_nothing_else():
    calm, _ = Flight(("quiet", "calm", "still")).crawl("calm")
    for worker in calm["workers"]:  # nothing of the crawl's own, which libcurl leaves inheritable
        assert worker.count("anon_inode:[eventfd]") == 1 and len(worker) == 4, worker
    held, found = Flight(("segfault", "loop", "memory")).crawl("poison", calm)
    assert held == calm, f"after deaths: {held}, without any: {calm}"
    bad = {page: row[-1] for page, row in found.items() if row[-1]}
    assert len(found) == GOOD + 4, len(found)
    assert sorted(bad) == ["loop.html", "memory.html", "segfault.html"], bad
    assert "SIGSEGV" in bad["segfault.html"] and "10 s" in bad["loop.html"], bad
    assert "memory" in bad["memory.html"] or "SIGSEGV" in bad["memory.html"], bad
    assert all(found[f"{i}.html"][:5] == (200, 25 + len(str(i)), str(i), 2, 0)
               for i in range(GOOD)), found


class Stream:
    """A server of many pages, of which it answers as many as the test allows."""

    def __init__(self, pages, body=BIG):
        self.pages, self.body = pages, body
        self.allowed, self.changed = 0, threading.Condition()
        self.server = Answers(self.answer)

    def answer(self, path, _):
        with self.changed:
            self.changed.wait_for(lambda: self.allowed > 0, PATIENCE)
            self.allowed -= 1
        return 200, {}, f"<title>{path}</title>{self.body}"

    def allow(self, pages):
        with self.changed:
            self.allowed += pages
            self.changed.notify_all()

    def start(self, name):
        urls = "".join(f"{self.server.url}/{i}\n" for i in range(self.pages))
        process = start("-i", "/dev/stdin", "--workers", "2", "--no-robots", "--store", store(name),
                        stdin=-1, stderr=-1)
        process.stdin.write(urls)
        process.stdin.close()
        return process

    def finish(self, process, name):
        self.allow(self.pages)
        try:
            errors = process.stderr.read()
            assert process.wait(PATIENCE) == 0, errors
        finally:
            end(process)
            self.server.stop()
        await_none_left()
        found = rows(store(name), "url, words, error")
        assert len(found) == self.pages, len(found)
        assert sorted(self.server.asked) == sorted(set(self.server.asked)), "a page was asked twice"
        lost = {url: row for url, row in found.items() if row[1]}
        assert all(row == (40000, None) for url, row in found.items() if url not in lost)
        return lost


def a_zygote_killed_between_pages_is_replaced():
    """The new one is started when there are connections and libcurl's own descriptors, which are
    not close-on-exec: it and its workers have none of them."""
    stream = Stream(60)
    process = stream.start("zygote")
    try:
        stream.allow(20)
        await_that(lambda: len(rows(store("zygote"))) == 20, "20 pages are stored")
        before = holdings(process)
        zygote, workers = zygote_and_workers(process)
        os.kill(zygote, signal.SIGKILL)
        await_that(lambda: not set(ours()) & {zygote, *workers}, "they are gone")
        stream.allow(20)
        await_that(lambda: len(rows(store("zygote"))) == 40, "20 more pages are stored")
        after = holdings(process)
        for who in ("zygote", "workers"):
            assert before[who] == after[who], f"before: {before}, after: {after}"
        lost = stream.finish(process, "zygote")
    finally:
        end(process)
    assert not lost, lost


def zygotes_and_workers_killed_at_work_cost_their_pages():
    """A page that a killed worker had is stored with the signal's name; all others are whole."""
    chance = random.Random(seed := random.getrandbits(32))
    stream = Stream(300)
    process = stream.start("storm")
    kills = 0
    try:
        for i in range(12):
            stream.allow(10)
            await_that(lambda: len(rows(store("storm"))) > 10 * i, "the crawl goes on")
            zygotes = children(process.pid)
            victims = children(zygotes[0]) if zygotes else []
            if i % 4 == 3:
                victims = zygotes
            for victim in victims[:chance.choice((1, 2))]:
                try:
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
        lost = stream.finish(process, "storm")
    finally:
        end(process)
    # a zygote takes both its workers along
    assert kills > 5 and len(lost) <= 2 * kills, (seed, kills, lost)
    assert all("SIGKILL" in row[1] or "the zygote, its parent process, died" in row[1]
               for row in lost.values()), (seed, lost)
    return f"{kills} kills cost {len(lost)} of 300 pages; seed {seed}"


run(pages_that_kill_their_worker_cost_nothing_else, a_zygote_killed_between_pages_is_replaced,
    zygotes_and_workers_killed_at_work_cost_their_pages)
