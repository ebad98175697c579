#!/usr/bin/python3
"""trine crawl end to end against trine serve, whose log is the oracle: what is fetched, followed,
skipped and stored, and what its messages and exit codes are. crawl_options.py has the options,
crawl_death.py and crawl_kill.py what may kill it. One line a case."""
import csv
import hashlib
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import threading

from crawling import (PATIENCE, TRINE, WORK, Answers, Server, await_that, command, crawl, end,
                      json_of, make_site, rows, run, start, store)


TREE = make_site(31, "tree")


def follows_links_to_the_depth_and_fetches_each_once():
    site = TREE
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
    server = Server(TREE)
    crawl("--depth", "2", "--store", store("resume"), f"{server.url}/0.html")
    crawl("--depth", "9", "--store", store("resume"), f"{server.url}/0.html")
    crawl("--depth", "9", "--store", store("resume"), f"{server.url}/0.html")
    served = server.served()
    server.stop()
    assert len(rows(store("resume"))) == 31 and len(served) == 31, len(served)


def bad_lines_are_named_and_skipped():
    server = Server(TREE)
    text = f"{server.url}/1.html\n\nnonsense\n{server.url}/none.html\nftp://x/\n"
    path = os.path.join(WORK, "list.txt")
    with open(path, "w") as f:
        f.write("# a comment\n" + text)
    for given, stdin, name, lines in (("-", text, "standard input", (3, 5)),
                                      (path, None, path, (4, 6))):
        out = crawl("-i", given, "--store", store(f"list{lines[0]}"), stdin=stdin)
        skipped = [line for line in out.stderr.splitlines() if "skipped, " in line]
        assert [f"{name}:{line}: skipped" in skipped[i] for i, line in enumerate(lines)] == [
            True, True] and len(skipped) == 2, out.stderr
        assert "nonsense" in skipped[0] and "ftp://x/" in skipped[1], skipped
        found = rows(store(f"list{lines[0]}"))
        assert found[f"{server.url}/none.html"][0] == 404 and len(found) == 2, found
    server.stop()


def refused_connections_are_results():
    out = crawl("--store", store("refused"), "http://127.0.0.1:1/", code=0)
    row = rows(store("refused"))["http://127.0.0.1:1/"]
    assert row[0] is None and "onnect" in row[-1], (row, out.stderr)


def bad_usage_is_exit_2_and_names_it():
    for args, text in ((("--depth", "x", "http://a/"), "--depth x"), (("nonsense",), "nonsense"),
                       ((), "URL"), (("-i", "/no/file"), "/no/file"), (("--no-such",), "--no-such"),
                       (("--workers", "0", "http://a/"), "--workers 0"),
                       (("--timeout", "-1", "http://a/"), "--timeout -1"),
                       (("--timeout", "0", "http://a/"), "--timeout 0"),
                       (("--max-bytes", "1e9", "http://a/"), "--max-bytes 1e9"),
                       (("http://a/", "ftp://b/"), "ftp://b/"), (("--depth",), "--depth")):
        out = crawl("--store", store("usage"), *args, code=2)
        assert text in out.stderr and "trine help crawl" in out.stderr, (args, out.stderr)
        assert out.stdout == "" and not os.path.exists(store("usage")), (args, out.stdout)


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
    server = Server(TREE)
    crawl("--depth", "9", "--store", store("export"), f"{server.url}/0.html")
    server.stop()
    want = rows(store("export"), "url, title, words")
    out = subprocess.run([TRINE, "export", "--csv", store("export")], capture_output=True,
                         text=True, check=True, timeout=60)
    got = {r["url"]: (r["title"], int(r["words"])) for r in csv.DictReader(io.StringIO(out.stdout))}
    assert got == want
    out = subprocess.run([TRINE, "export", "--jsonl", store("export")], capture_output=True,
                         text=True, check=True, timeout=60)
    got = [json.loads(line) for line in out.stdout.splitlines()]
    assert {r["url"]: (r["title"], r["words"]) for r in got} == want
    for args, code in (((), 2), (("--csv",), 2), (("--csv", "--jsonl", store("export")), 2),
                       (("--csv", store("export"), "x"), 2), (("--xml", store("export")), 2),
                       (("--csv", "/no/file.db"), 1)):
        out = subprocess.run([TRINE, "export", *args], capture_output=True, text=True, timeout=60)
        assert (out.returncode, out.stdout) == (code, "") and out.stderr, (args, out)


def pages_in_other_charsets_are_read_by_workers_that_are_closed_in():
    """No module of a converter can be loaded any more when the first page comes."""
    texts = {"shift_jis": "日本語の文字", "euc-kr": "한국어", "gb18030": "中文", "big5": "繁體",
             "koi8-r": "русский", "iso-2022-jp": "日本", "windows-1255": "עברית"}
    answers = {f"/{name}": (200, {"Content-Type": f"text/html; charset={name}"},
                            f"<title>{text}</title><p>one two".encode(name))
               for name, text in texts.items()}
    server = Answers(lambda path, before: answers.get(path, (404, {}, "")))
    crawl("--store", store("charsets"), "--no-robots", *(server.url + path for path in answers))
    server.stop()
    found = rows(store("charsets"), "url, title, error")
    for name, text in texts.items():
        assert found[f"{server.url}/{name}"] == (text, None), found


def what_a_page_holds_is_what_the_store_says():
    page = "<html lang=de-AT><title> A\n title </title><h1>one</h1>two\u00a0three"
    page += "<script>x y</script><a href='/b#c'>four</a><a href=/b>five</a>"
    page += "<a href='mailto:x'>six</a>"
    answers = {"/page": (200, {"Content-Type": "text/html; charset=utf-8"}, page),
               "/image": (200, {"Content-Type": "image/png"}, b"\x89PNG\r\n\0\0 words here"),
               "/none": (404, {}, "<title>no such page</title>"),
               "/robots.txt": (404, {}, "")}
    server = Answers(lambda path, before: answers[path])
    out = crawl("--store", store("page"), *(server.url + path for path in list(answers)[:3]))
    server.stop()
    columns = ("url, final_url, status, content_type, bytes, title, lang, words, links, sha256, "
               "error, left_out, fetched_at, fetch_ms, process_ms")
    found = rows(store("page"), columns)
    for path, title, lang, words, links in (("/page", "A title", "de-AT", 6, 1),
                                            ("/image", None, None, None, None)):
        status, headers, body = answers[path]
        body = body if isinstance(body, bytes) else body.encode()
        assert found[server.url + path][:11] == (
            server.url + path, status, headers["Content-Type"], len(body), title, lang, words,
            links, hashlib.sha256(body).hexdigest(), None, None), found
        assert found[server.url + path][11][4::3][:1] == "-", found
        assert found[server.url + path][12] > 0 and found[server.url + path][13] >= 0, found
    assert found[server.url + "/none"][1:2] == (404,) and not found[server.url + "/none"][9], found
    db = sqlite3.connect(store("page"))
    assert db.execute("SELECT from_url, to_url FROM link_urls").fetchall() == [
        (server.url + "/page", server.url + "/b")]
    db.close()
    for line in ("Documents processed: 1", "Failed: 1", "1 of them HTTP errors", "Total words: 6",
                 "Total time: ", "Fetching: ", "Processing: ", "Storing: ", "%)"):
        assert line in out.stderr, out.stderr
    assert out.stdout == "", out.stdout  # results are in the store


def json_is_one_object_on_standard_output():
    server = Server(TREE)
    out = crawl("--json", "--depth", "9", "--store", store("json"), f"{server.url}/0.html")
    stats = json_of(out)
    assert out.stdout.count("\n") == 1 and stats["stored"] == stats["documents"] == 31, stats
    assert stats["failed"] == stats["http_errors"] == 0 and stats["interrupted"] is False, stats
    for stage in ("fetch", "process", "store"):
        assert 0 < stats[f"{stage}_seconds"] <= stats["seconds"], stats
        assert abs(stats[f"{stage}_percent"] -
                   100 * stats[f"{stage}_seconds"] / stats["seconds"]) < 0.2, stats
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("--json", "--store", store("json"), f"{server.url}/0.html"),
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    server.stop()
    assert done.returncode == 1 and "standard output" in done.stderr, done


def a_store_that_cannot_grow_fails_the_run():
    """SQLite's file reaches its limit in the middle: exit 1, the store named, and what is
    committed stays."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))

    page = "".join(f"<a href=/{'x' * 100}{i}>" for i in range(200))
    server = Answers(lambda path, before: (200, {}, page))
    urls = "".join(f"{server.url}/{i}\n" for i in range(200))
    done = subprocess.run(command("--no-robots", "-i", "-", "--store", store("limit")), text=True,
                          capture_output=True, input=urls, preexec_fn=limit, timeout=PATIENCE)
    assert done.returncode == 1 and store("limit") in done.stderr, done
    found = len(rows(store("limit")))
    crawl("--no-robots", "-i", "-", "--store", store("limit"), stdin=urls)
    server.stop()
    assert len(rows(store("limit"))) == 200 > found, found


def a_second_crawl_of_the_store_is_refused():
    """Both would fetch what the other does: the second one says so and leaves the first alone."""
    go = threading.Event()
    server = Answers(lambda path, before: (200 if go.wait(PATIENCE) else 504, {}, "x"))
    args = ("--no-robots", "--store", store("two"), f"{server.url}/1")
    first = start(*args, stderr=-1)
    try:
        await_that(lambda: server.asked, "the first one fetches")
        out = crawl(*args, code=1)
        assert store("two") in out.stderr and "another trine crawl" in out.stderr, out.stderr
        export = subprocess.run([TRINE, "export", "--jsonl", store("two")], capture_output=True,
                                timeout=PATIENCE)
        assert (export.returncode, export.stdout) == (0, b""), export
        go.set()
        errors = first.communicate(timeout=PATIENCE)[1]
        assert first.returncode == 0 and len(rows(store("two"))) == 1, errors
    finally:
        end(first)
        server.stop()
    assert server.asked == ["/1"], server.asked


run(follows_links_to_the_depth_and_fetches_each_once, goes_on_where_it_stopped,
    bad_lines_are_named_and_skipped, refused_connections_are_results,
    bad_usage_is_exit_2_and_names_it, bad_stores_are_exit_1_and_named, robots_are_honoured,
    export_gives_the_rows_back, what_a_page_holds_is_what_the_store_says,
    pages_in_other_charsets_are_read_by_workers_that_are_closed_in,
    json_is_one_object_on_standard_output, a_store_that_cannot_grow_fails_the_run,
    a_second_crawl_of_the_store_is_refused)
