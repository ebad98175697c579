#!/usr/bin/python3
"""trine crawl ended from outside: kill -9 at any moment, with the server's log as the oracle of
what was fetched, and Ctrl-C once and twice. 8 kills; `make stress` does 50, of a crawl of more than
20 s."""
import json
import os
import random
import signal
import sqlite3
import threading
import time

from crawling import (PATIENCE, SLOW, Answers, Server, await_none_left, await_that, crawl, end,
                      json_of, link_rows, make_site, rows, run, start, store)

STRESS = bool(os.environ.get("TRINE_STRESS"))
KILLS, PAGES, DELAY = (50, 900, "0.3") if STRESS else (8, 250, "0.1")
PER_HOST = 8
SITE = make_site(PAGES, "kill")


def kill(process):
    assert process.poll() is None, "the crawl was done before the kill"
    process.kill()
    process.wait()
    await_none_left()


def kill_between_fetch_and_commit(process, server, path):
    """Another writer holds the store. Of what was answered since, as many may be answers to the
    crawl that was killed before, and as many on their way, as there are fetches at a time. What is
    more has arrived, and cannot have been committed."""
    await_that(lambda: rows(path) or process.poll() is not None, "there is a store")
    holder = sqlite3.connect(path, timeout=PATIENCE)
    holder.execute("BEGIN IMMEDIATE")
    before = len(server.served())
    await_that(lambda: len(server.served()) > before + 2 * PER_HOST or process.poll() is not None,
               "the crawl goes on fetching")
    kill(process)
    fetched = server.served()[before:]
    stored = {server.url + page for page in fetched} & set(rows(path))
    holder.rollback()
    holder.close()
    assert len(fetched) > 2 * PER_HOST and not stored, f"{len(fetched)} fetched, stored: {stored}"


def a_kill_at_any_moment_loses_nothing():
    chance = random.Random(seed := random.getrandbits(32))
    calm = Server(SITE, delay=DELAY)
    seconds = json_of(crawl("--json", "--depth", "20", "--store", store("calm"),
                            f"{calm.url}/0.html"))["seconds"]
    calm.stop()
    assert seconds >= 20 or not STRESS, f"the undisturbed crawl took {seconds} s only"
    server, path = Server(SITE, delay=DELAY), store("killed")
    args = ("--depth", "20", "--store", path, f"{server.url}/0.html")
    between = 0
    for i in range(KILLS):
        process = start(*args, stderr=-3)
        try:
            if i % 3 == 1:
                kill_between_fetch_and_commit(process, server, path)
                between += 1
            else:
                time.sleep(chance.uniform(0, 6 * float(DELAY)))
                kill(process)
        finally:
            end(process)
    left = PAGES - len(rows(path))
    crawl(*args)
    served = server.served()
    server.stop()

    def strip(found, url):
        return json.dumps(found, sort_keys=True).replace(url, "")

    for read in (rows, link_rows):
        assert strip(read(path), server.url) == strip(read(store("calm")), calm.url), seed
    assert len(set(served)) == PAGES and left > 0, (seed, len(set(served)), left)
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return (f"{KILLS} kills in a crawl of {seconds:.1f} s, {between} of them surely between fetch "
            f"and commit; {len(served) - PAGES} pages were fetched again, {left} were left to the "
            f"last run; seed {seed}")


def an_interrupt_drains_commits_and_goes_on():
    for how in (signal.SIGINT, signal.SIGTERM):
        server, path = Server(SITE, delay="0.1"), store(f"stop{how}")
        args = ("--depth", "20", "--store", path, f"{server.url}/0.html")
        process = start(*args, stderr=-1)
        await_that(lambda: len(server.served()) > 5, "some pages are fetched")
        process.send_signal(how)
        since = time.monotonic()
        errors = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 130 and "interrupted" in errors, (process.returncode, errors)
        assert time.monotonic() - since < 5 * SLOW, "it took more than 5 s"
        await_none_left()
        served = {server.url + page for page in server.served()}
        assert set(rows(path)) == served and len(served) < PAGES, errors  # what came was committed
        crawl(*args)
        assert len(rows(path)) == PAGES == len(server.served()), len(server.served())
        server.stop()


def an_interrupt_ends_fetches_that_hang():
    hang = threading.Event()
    server = Answers(lambda path, before: (200 if hang.wait(PATIENCE) else 504, {}, "late"))
    for second, most in ((False, 5), (True, 2.5)):
        asked = len(server.asked)
        process = start("--no-robots", "--store", store("hang"), f"{server.url}/{second}",
                        stderr=-1)
        try:
            await_that(lambda: len(server.asked) > asked, "the page is asked for")
            since = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert "once more to stop at once" in process.stderr.readline()
            if second:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 130, process.returncode
            assert time.monotonic() - since < most * SLOW, f"{time.monotonic() - since:.1f} s"
        finally:
            end(process)
        await_none_left()
    assert not rows(store("hang")), "a page that was cut short is for the next run"
    hang.set()
    server.stop()


run(a_kill_at_any_moment_loses_nothing, an_interrupt_drains_commits_and_goes_on,
    an_interrupt_ends_fetches_that_hang)
