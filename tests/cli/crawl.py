#!/usr/bin/python3
"""trine crawl end to end against trine serve, whose log is the oracle: what is fetched, followed,
skipped and stored; workers that die; kills at any moment; Ctrl-C. One line a case."""
import csv
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

TRINE = os.environ["TRINE"]
SLOW = float(os.environ.get("TRINE_TEST_SLOW", "1"))
KILLS = 50 if os.environ.get("TRINE_STRESS") else 8
WORK = tempfile.mkdtemp(prefix="trine-crawl-")
failed = 0


class Server:
    def __init__(self, root, delay="0"):
        self.log = os.path.join(WORK, f"log{random.getrandbits(40)}")
        self.process = subprocess.Popen(
            [TRINE, "serve", "--port", "0", "--delay", delay, "--log", self.log, root],
            stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def served(self):
        """The paths of pages that were answered, in order; robots.txt left out."""
        with open(self.log) as f:
            lines = [line.split() for line in f]
        return [line[-1] for line in lines if line[-1] != "/robots.txt"]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def command(*args):
    return [TRINE, "crawl", *args]


def crawl(*args, code=0, env=None, stdin=None):
    done = subprocess.run(command(*args), capture_output=True, text=True, timeout=120 * SLOW,
                          env={**os.environ, **(env or {})}, input=stdin)
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {done.stderr[-600:]}"
    return done


def rows(store, columns="url, status, bytes, title, words, links, sha256, error"):
    db = sqlite3.connect(store)
    found = {r[0]: r[1:] for r in db.execute(f"SELECT {columns} FROM pages")}
    db.close()
    return found


def link_rows(store):
    db = sqlite3.connect(store)
    found = sorted(db.execute("SELECT pages.url, n, links.url FROM links JOIN pages ON id = page"))
    db.close()
    return found


def descendants(pid):
    found = [pid]
    for p in found:  # a thread's children stand with the thread
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return found[1:]


def alive(pids):
    return [p for p in pids if os.path.exists(f"/proc/{p}")]


def await_none(pids, seconds=2):
    until = time.monotonic() + seconds * SLOW
    while alive(pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pids), f"processes are left: {alive(pids)}"


def make_site(pages, name):
    """A binary tree of pages, /0.html at its root; each links its children and the root."""
    root = os.path.join(WORK, name)
    os.makedirs(root)
    for i in range(pages):
        kids = [k for k in (2 * i + 1, 2 * i + 2) if k < pages]
        links = "".join(f'<a href="{k}.html#part">{k}</a> ' for k in kids)
        with open(os.path.join(root, f"{i}.html"), "w") as f:
            f.write(f"<html lang=en><head><title>Page {i}</title></head><body>{links}"
                    f"<a href='0.html'>root</a><p>{'word ' * (i % 7)}</p></body></html>")
    return root


def store(name):
    return os.path.join(WORK, name + ".db")


def follows_links_to_the_depth_and_fetches_each_once():
    site = make_site(31, "tree")
    for depth, pages in ((0, 1), (1, 3), (2, 7), (9, 31)):
        server = Server(site)
        out = crawl("--depth", str(depth), "--store", store(f"d{depth}"), "--json",
                    f"{server.url}/0.html#top")
        served = server.served()
        server.stop()
        found = rows(store(f"d{depth}"))
        assert len(found) == pages == json.loads(out.stdout)["stored"], (depth, len(found))
        assert sorted(served) == sorted(set(served)) and len(served) == pages, served
        assert found[f"{server.url}/0.html"][2:5] == ("Page 0", 3, 3), found


def goes_on_where_it_stopped():
    server = Server(os.path.join(WORK, "tree"))
    crawl("--depth", "2", "--store", store("resume"), f"{server.url}/0.html")
    crawl("--depth", "9", "--store", store("resume"), f"{server.url}/0.html")
    crawl("--depth", "9", "--store", store("resume"), f"{server.url}/0.html")
    served = server.served()
    server.stop()
    assert len(rows(store("resume"))) == 31 and len(served) == 31, len(served)


def bad_lines_are_named_and_skipped():
    server = Server(os.path.join(WORK, "tree"))
    text = f"{server.url}/1.html\n\nnonsense\n{server.url}/none.html\nftp://x/\n"
    out = crawl("-i", "-", "--store", store("list"), stdin=text)
    server.stop()
    assert ":3: skipped" in out.stderr and ":5: skipped" in out.stderr, out.stderr
    found = rows(store("list"))
    assert found[f"{server.url}/none.html"][0] == 404 and len(found) == 2, found


def refused_connections_are_results():
    out = crawl("--store", store("refused"), "http://127.0.0.1:1/", code=0)
    row = rows(store("refused"))["http://127.0.0.1:1/"]
    assert row[0] is None and "onnect" in row[-1], (row, out.stderr)


def bad_usage_is_exit_2_and_names_it():
    for args, text in ((("--depth", "x", "http://a/"), "--depth x"), (("nonsense",), "nonsense"),
                       ((), "URL"), (("-i", "/no/file"), "/no/file")):
        out = crawl("--store", store("usage"), *args, code=2)
        assert text in out.stderr, (args, out.stderr)


def bad_stores_are_exit_1_and_named():
    plain = os.path.join(WORK, "plain.db")
    with open(plain, "w") as f:
        f.write("this is text, and no database at all " * 50)
    for path in (plain, "/no/such/folder/x.db"):
        out = crawl("--store", path, "http://127.0.0.1:1/", code=1)
        assert path in out.stderr, out.stderr


def robots_are_honoured():
    site = make_site(7, "robots")
    with open(os.path.join(site, "robots.txt"), "w") as f:
        f.write("User-agent: *\nDisallow: /1.html\n")
    server = Server(site)
    crawl("--depth", "9", "--store", store("robots"), f"{server.url}/0.html")
    assert sorted(server.served()) == ["/0.html", "/2.html", "/5.html", "/6.html"], server.served()
    crawl("--depth", "9", "--no-robots", "--store", store("norobots"), f"{server.url}/0.html")
    server.stop()
    assert len(rows(store("norobots"))) == 7


def export_gives_the_rows_back():
    want = rows(store("d9"), "url, title, words")
    out = subprocess.run([TRINE, "export", "--csv", store("d9")], capture_output=True, text=True,
                         check=True, timeout=60)
    got = {r["url"]: (r["title"], int(r["words"])) for r in csv.DictReader(io.StringIO(out.stdout))}
    assert got == want
    out = subprocess.run([TRINE, "export", "--jsonl", store("d9")], capture_output=True, text=True,
                         check=True, timeout=60)
    got = [json.loads(line) for line in out.stdout.splitlines()]
    assert {r["url"]: (r["title"], r["words"]) for r in got} == want


def a_worker_that_dies_costs_one_page():
    site = make_site(100, "poison")
    for i, kind in enumerate(("segfault", "loop", "memory")):
        with open(os.path.join(site, f"{10 + i}.html"), "a") as f:
            f.write(f"<!-- trine-poison: {kind} -->")
    server = Server(site)
    urls = "".join(f"{server.url}/{i}.html\n" for i in range(100))
    env = {"TRINE_TEST_POISON": "1",
           "ASAN_OPTIONS": "handle_segv=0:detect_leaks=0:allocator_may_return_null=1",
           "TSAN_OPTIONS": "handle_segv=0"}
    process = subprocess.Popen(command("-i", "-", "--store", store("poison")), text=True,
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, **env})
    process.stdin.write(urls)
    process.stdin.close()
    children = set()
    while process.poll() is None:
        children.update(descendants(process.pid))
        time.sleep(0.02)
    errors = process.stderr.read()
    server.stop()
    assert process.returncode == 0, errors
    found = rows(store("poison"))
    bad = {url.rsplit("/", 1)[1]: row[-1] for url, row in found.items() if row[-1]}
    assert len(found) == 100 and sorted(bad) == ["10.html", "11.html", "12.html"], bad
    assert "SIGSEGV" in bad["10.html"] and "10 s" in bad["11.html"], bad
    assert "memory" in bad["12.html"] or "SIGSEGV" in bad["12.html"], bad
    assert len(children) >= 3, children
    await_none(children)


def a_kill_at_any_moment_loses_nothing():
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    server = Server(make_site(400, "kill"), delay="0.3")
    args = ("--depth", "20", "--store", store("killed"), f"{server.url}/0.html")
    between = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command(*args), stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.35, 1.5 if KILLS < 50 else 0.9) * (1 + SLOW) / 2)
        children = descendants(process.pid)
        process.kill()
        process.wait()
        await_none(children)
        if os.path.exists(store("killed")):
            done = {u.replace(server.url, "") for u in rows(store("killed"))}
            lost = set(server.served()) - done
            between += bool(lost)
    crawl(*args)
    served = server.served()
    server.stop()
    calm = Server(os.path.join(WORK, "kill"))
    crawl("--depth", "20", "--store", store("calm"), f"{calm.url}/0.html")
    calm.stop()

    def strip(found, url):
        return json.dumps(found, sort_keys=True).replace(url, "")

    for read in (rows, link_rows):
        assert strip(read(store("killed")), server.url) == strip(read(store("calm")), calm.url)
    assert len(set(served)) == 400 and between >= KILLS // 5, (seed, len(set(served)), between)
    print(f"# {KILLS} kills, {between} of them between fetch and commit; "
          f"{len(served) - 400} pages were fetched again; seed {seed}")


def interrupt_commits_and_goes_on():
    for how in (signal.SIGINT, signal.SIGTERM):
        server = Server(os.path.join(WORK, "kill"), delay="0.3")
        args = ("--depth", "20", "--store", store(f"stop{how}"), f"{server.url}/0.html")
        process = subprocess.Popen(command(*args), stderr=subprocess.PIPE, text=True)
        while len(server.served()) < 5:
            time.sleep(0.02)
        process.send_signal(how)
        start = time.monotonic()
        errors = process.communicate(timeout=30 * SLOW)[1]
        assert process.returncode == 130, (process.returncode, errors)
        assert time.monotonic() - start < 5 * SLOW, "it took more than 5 s"
        assert 0 < len(rows(store(f"stop{how}"))) < 400, errors
        crawl(*args)
        served = server.served()
        server.stop()
        assert len(rows(store(f"stop{how}"))) == 400 and len(served) == 400, len(served)


def interrupt_ends_hanging_fetches():
    server = Server(os.path.join(WORK, "tree"), delay="600")
    for second, most in ((False, 5), (True, 2)):
        process = subprocess.Popen(command("--no-robots", "--store", store("hang"),
                                           f"{server.url}/0.html"), stderr=subprocess.PIPE)
        time.sleep(0.5 * SLOW)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        if second:
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30 * SLOW)
        assert process.returncode == 130, process.returncode
        assert time.monotonic() - start < most * SLOW, f"{time.monotonic() - start:.1f} s"
    server.stop()


for case in (follows_links_to_the_depth_and_fetches_each_once, goes_on_where_it_stopped,
             bad_lines_are_named_and_skipped, refused_connections_are_results,
             bad_usage_is_exit_2_and_names_it, bad_stores_are_exit_1_and_named, robots_are_honoured,
             export_gives_the_rows_back, a_worker_that_dies_costs_one_page,
             a_kill_at_any_moment_loses_nothing, interrupt_commits_and_goes_on,
             interrupt_ends_hanging_fetches):
    try:
        case()
        print(f"ok {case.__name__}", flush=True)
    except (AssertionError, subprocess.SubprocessError, OSError, sqlite3.Error) as error:
        failed = 1
        print(f"FAIL {case.__name__}: {error!r}"[:1500].replace("\n", " "), flush=True)
sys.exit(failed)
