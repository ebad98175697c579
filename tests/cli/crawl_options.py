#!/usr/bin/python3
"""trine crawl's options, each with what it changes; redirects; progress on a terminal and not."""
import os
import pty
import re
import signal
import sqlite3
import threading

from crawling import (PATIENCE, Answers, Server, await_that, children, crawl, end, json_of,
                      make_site, ours, rows, run, start, store)

SITE = make_site(60, "site")
LINE = (r"\d+ done, \d+ queued, \d+ failed \| \d+ pages/s, \d+\.\d MB/s \| "
        r"fetching \d+, to parse \d+, to store \d+ \| ETA (\d+ (s|min)|unknown)")


def site_of(pages):
    """A server of {path: body or (status, headers, body)}; all else is a 404."""
    def answer(path, _):
        page = pages.get(path, (404, {}, ""))
        return (200, {}, page) if isinstance(page, str) else page
    return Answers(answer)


def progress_is_one_line_on_a_terminal_and_plain_lines_elsewhere():
    server = Server(SITE, delay="0.5")
    args = ("--per-host", "1", "--depth", "9", f"{server.url}/0.html")
    plain = start("--store", store("plain"), *args, stderr=-1)
    main, terminal = pty.openpty()
    shown = start("--store", store("pty"), *args, stderr=terminal)
    os.close(terminal)
    try:
        seen = ""
        while not re.search(r"\r\x1b\[K[1-9]" + LINE[2:] + r"\r", seen):
            seen += os.read(main, 4096).decode()
        assert "\n" not in seen, repr(seen)
        assert re.fullmatch(LINE + "\n", line := plain.stderr.readline()), line
        for process in (plain, shown):
            process.send_signal(signal.SIGINT)
        errors = plain.communicate(timeout=PATIENCE)[1]
        try:
            while text := os.read(main, 4096).decode():
                seen += text
        except OSError:
            pass  # the other end is closed
        assert shown.wait(PATIENCE) == plain.returncode == 130
    finally:
        end(plain)
        end(shown)
        server.stop()
    assert "\x1b" not in errors and "\r" not in errors, errors
    after = seen[seen.index("Documents processed"):]
    assert "\x1b" not in after and seen[:-len(after)].endswith(("\x1b[K", "\n")), repr(seen[-900:])


def per_host_and_concurrency_bound_what_is_under_way():
    """The server's log says how many requests were in progress at each answer."""
    for per_host, concurrency, hosts, peak in ((3, 64, 1, 3), (1, 64, 1, 1), (5, 64, 2, 10),
                                               (8, 2, 2, 2)):
        server = Server(SITE, delay="0.1")
        urls = [f"http://{host}:{server.url.rsplit(':', 1)[1]}/{i}.html" for i in range(12)
                for host in ("127.0.0.1", "localhost")[:hosts]]
        crawl("--per-host", str(per_host), "--concurrency", str(concurrency), "--no-robots",
              "--store", store(f"peak{peak}"), *urls)
        found = max(int(line[3]) for line in server.lines())
        server.stop()
        assert found == peak and len(rows(store(f"peak{peak}"))) == len(urls), (peak, found)


def a_page_that_takes_too_long_is_an_error():
    go = threading.Event()
    server = Answers(lambda path, before: (200 if path != "/slow" or go.wait(PATIENCE) else 504,
                                           {}, "x"))
    crawl("--timeout", "0.3", "--no-robots", "--store", store("slow"), server.url + "/slow",
          server.url + "/quick")
    go.set()
    server.stop()
    found = {url.rsplit("/", 1)[1]: row for url, row in rows(store("slow")).items()}
    assert found["quick"][0] == 200 and found["quick"][-1] is None, found
    assert found["slow"][:2] == (None, None) and "300 ms" in found["slow"][-1], found


def a_page_over_max_bytes_is_an_error():
    server = site_of({"/fits": "x" * 1000, "/over": "x" * 1001})
    crawl("--max-bytes", "1000", "--store", store("bytes"), server.url + "/fits",
          server.url + "/over")
    server.stop()
    found = {url.rsplit("/", 1)[1]: row for url, row in rows(store("bytes")).items()}
    assert found["fits"][:2] == (200, 1000) and found["fits"][-1] is None, found
    assert found["over"][:2] == (200, None) and "1000 bytes" in found["over"][-1], found
    assert found["over"][2:6] == (None,) * 4, found


def what_a_page_is_too_large_for_is_said():
    server = site_of({"/links": "".join(f"<a href={i}>" for i in range(70000)),
                      "/deep": "<div>" * 3000 + "lost",
                      "/both": "".join(f"<a href={i}>" for i in range(66000)) + "<div>" * 3000,
                      "/whole": "<a href=1>"})
    out = crawl("--json", "--store", store("large"), *(server.url + path for path in
                                                       ("/links", "/deep", "/both", "/whole")))
    server.stop()
    found = {url.rsplit("/", 1)[1]: row for url, row in
             rows(store("large"), "url, links, error, left_out").items()}
    assert found == {"links": (65536, None, "links"), "deep": (0, None, "nesting"),
                     "both": (65536, None, "links, nesting"), "whole": (1, None, None)}, found
    assert json_of(out)["left_out"] == 3 and "left_out" in out.stderr, out


def text_is_stored_when_asked_for():
    server = site_of({"/": "<title>no</title><p>one <b>two</b><script>three</script>\n four"})
    for options, text in ((("--text",), [("one two four",)]), ((), [])):
        path = store(f"text{len(options)}")
        crawl(*options, "--store", path, server.url)
        db = sqlite3.connect(path)
        assert db.execute("SELECT text FROM page_text").fetchall() == text, options
        db.close()
    server.stop()


def other_hosts_are_followed_when_asked_for():
    pages = {"/b": "<title>other</title>"}
    server = site_of(pages)
    other = server.url.replace("127.0.0.1", "localhost") + "/b"
    pages["/a"] = f"<a href='{other}'>"
    for options, want in (((), [server.url + "/a"]),
                          (("--span-hosts",), [server.url + "/a", other])):
        path = store(f"span{len(options)}")
        crawl(*options, "--depth", "1", "--store", path, server.url + "/a")
        assert sorted(rows(path)) == want, (options, rows(path))
    server.stop()


def redirects_are_rows_and_each_url_is_fetched_once():
    def to(where):
        return 302, {"Location": where}, "moved"
    pages = {"/a": to("b?x#part"), "/b?x": "<title>here</title><a href=/a>", "/loop1": to("/loop2"),
             "/loop2": to("/loop1"), "/self": to("/self"), "/bad": to("gopher://x/"),
             "/nowhere": (302, {}, ""), **{f"/hop{i}": to(f"/hop{i + 1}") for i in range(14)}}
    server = site_of(pages)
    crawl("--no-robots", "--store", store("redirects"), *(server.url + path for path in
          ("/a", "/loop1", "/self", "/bad", "/nowhere", "/hop0")))
    asked = list(server.asked)
    crawl("--no-robots", "--store", store("redirects"), server.url + "/a", server.url + "/hop0")
    assert server.asked == asked and sorted(asked) == sorted(set(asked)), server.asked
    server.stop()
    found = {url.replace(server.url, ""): (final.replace(server.url, ""), *row)
             for url, (final, *row) in
             rows(store("redirects"), "url, final_url, status, title, error").items()}
    assert found["/a"] == ("/b?x", 302, None, None), found
    assert found["/b?x"] == ("/b?x", 200, "here", None), found
    assert found["/loop1"][:2] == ("/loop2", 302) and found["/loop2"][:2] == ("/loop1", 302), found
    assert found["/self"] == ("/self", 302, None, None), found
    assert found["/nowhere"] == ("/nowhere", 302, None, None), found
    assert "gopher://x/" in found["/bad"][3], found
    assert "10 redirects" in found["/hop10"][3] and "/hop11" not in found, found


def a_start_url_may_redirect_to_its_true_host():
    pages = {"/end": "<a href=/more>", "/more": "<title>more</title>"}
    server = site_of(pages)
    there = server.url.replace("127.0.0.1", "localhost")
    pages["/start"] = (301, {"Location": there + "/end"}, "")
    crawl("--depth", "1", "--store", store("true"), server.url + "/start")
    server.stop()
    assert sorted(rows(store("true"))) == [server.url + "/start", there + "/end", there + "/more"]


def failed_pages_are_fetched_again_when_asked_for():
    def answer(path, before):
        if path == "/flaky" and before == 0:
            return 200, {"Content-Length": "1000"}, "cut short"
        return (404, {}, "") if path == "/none" else (200, {}, "<title>fine</title>")

    server = Answers(answer)
    args = ("--no-robots", "--store", store("retry"), *(server.url + p for p in
                                                        ("/flaky", "/none", "/good")))
    for options, asked in (((), 1), ((), 1), (("--retry",), 2)):
        crawl(*options, *args)
        assert [server.asked.count(p) for p in ("/flaky", "/none", "/good")] == [asked, 1, 1], (
            options, server.asked)
    server.stop()
    found = rows(store("retry"))
    assert len(found) == 3 and found[server.url + "/flaky"][-1] is None, found


def max_pages_bounds_what_is_known():
    server = Server(SITE)
    out = crawl("--max-pages", "7", "--depth", "9", "--json", "--store", store("max"),
                f"{server.url}/0.html")
    server.stop()
    stats = json_of(out)
    assert stats["stored"] == len(rows(store("max"))) == 7 and stats["dropped"] > 0, stats
    assert "beyond --max-pages 7" in out.stderr, out.stderr


def workers_are_as_many_as_asked_for():
    go = threading.Event()
    server = Answers(lambda path, before: (200 if go.wait(PATIENCE) else 504, {}, "x"))
    process = start("--workers", "3", "--no-robots", "--store", store("workers"), server.url,
                    stderr=-1)
    try:
        await_that(lambda: server.asked, "the page is asked for")
        await_that(lambda: len(ours()) == 5, "a crawl, its zygote and three workers")
        zygote, = children(process.pid)
        assert len(children(zygote)) == 3
        go.set()
        assert process.wait(PATIENCE) == 0, process.stderr.read()
    finally:
        end(process)
        server.stop()


run(progress_is_one_line_on_a_terminal_and_plain_lines_elsewhere,
    per_host_and_concurrency_bound_what_is_under_way, a_page_that_takes_too_long_is_an_error,
    a_page_over_max_bytes_is_an_error, what_a_page_is_too_large_for_is_said,
    text_is_stored_when_asked_for, other_hosts_are_followed_when_asked_for,
    redirects_are_rows_and_each_url_is_fetched_once, a_start_url_may_redirect_to_its_true_host,
    failed_pages_are_fetched_again_when_asked_for, max_pages_bounds_what_is_known,
    workers_are_as_many_as_asked_for)
