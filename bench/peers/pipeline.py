#!/usr/bin/python3
"""The article's pipeline in Python, doing what `trine crawl` does with a list of URLs: fetch all
with asyncio (aiohttp), take the pages apart in a process pool (html.parser), store them in SQLite.
Three barriers: each stage begins when the one before it has ended.

usage: pipeline.py URLS STORE CONCURRENCY WORKERS"""
import asyncio
import hashlib
import json
import multiprocessing
import os
import re
import sqlite3
import sys
import time
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import aiohttp

HIDDEN = {"script", "style", "template", "noscript", "head"}
CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([-\w]+)", re.I)


class Page(HTMLParser):
    def __init__(self, url):
        super().__init__()
        self.base = url
        self.words = 0
        self.links = {}
        self.title = None
        self.lang = None
        self.hidden = 0
        self.in_title = False

    def handle_starttag(self, tag, attrs):
        if tag in HIDDEN:
            self.hidden += 1
        elif tag == "body":
            self.hidden = 0  # an unclosed head ends here
        elif tag == "title" and self.title is None:
            self.title, self.in_title = "", True
        elif tag in ("a", "area", "base", "html"):
            attrs = dict(attrs)
            href = attrs.get("href")
            if tag == "html":
                self.lang = attrs.get("lang") or attrs.get("xml:lang")
            elif href is None:
                return
            elif tag == "base":
                self.base = urljoin(self.base, href.strip())
            else:
                self.add_link(href)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag in HIDDEN:
            self.hidden -= 1

    def add_link(self, href):
        try:
            link = urldefrag(urljoin(self.base, href.strip()))[0]
        except ValueError:
            return
        if link.startswith(("http://", "https://")):
            self.links[link] = None

    def handle_endtag(self, tag):
        if tag in HIDDEN and self.hidden:
            self.hidden -= 1
        elif tag == "title":
            self.in_title = False

    def handle_data(self, data):
        if self.in_title:
            self.title += data
        elif not self.hidden:
            self.words += len(data.split())


def take_apart(fetched):
    url, status, content_type, body, ms = fetched
    declared = CHARSET.search(body[:2048])
    try:
        text = body.decode(declared[1].decode() if declared else "utf-8", "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    page = Page(url)
    page.feed(text)
    page.close()
    title = " ".join(page.title.split()) if page.title is not None else None
    row = (url, url, status, content_type, len(body), title, page.lang, page.words,
           len(page.links), hashlib.sha256(body).hexdigest(), ms)
    return row, list(page.links)


async def fetch_all(urls, concurrency):
    limit = asyncio.Semaphore(concurrency)
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        async def fetch(url):
            async with limit:
                start = time.perf_counter()
                async with session.get(url) as response:
                    body = await response.read()
                    return (url, response.status, response.headers.get("Content-Type"), body,
                            (time.perf_counter() - start) * 1000)
        return await asyncio.gather(*(fetch(url) for url in urls))


def store(path, pages):
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE pages (id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE,"
               " final_url TEXT, status INTEGER, content_type TEXT, bytes INTEGER, title TEXT,"
               " lang TEXT, words INTEGER, links INTEGER, sha256 TEXT, fetch_ms REAL)")
    db.execute("CREATE TABLE links (page INTEGER NOT NULL, n INTEGER NOT NULL, url TEXT NOT NULL,"
               " PRIMARY KEY (page, n)) WITHOUT ROWID")
    for number, (row, links) in enumerate(pages, 1):
        db.execute("INSERT INTO pages VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", (number, *row))
        db.executemany("INSERT INTO links VALUES (?,?,?)",
                       ((number, n, link) for n, link in enumerate(links)))
    db.commit()
    db.close()


def main():
    urls = open(sys.argv[1]).read().split()
    t0 = time.perf_counter()
    fetched = asyncio.run(fetch_all(urls, int(sys.argv[3])))
    t1 = time.perf_counter()
    with multiprocessing.Pool(int(sys.argv[4])) as pool:
        pages = pool.map(take_apart, fetched)
    t2 = time.perf_counter()
    store(sys.argv[2], pages)
    t3 = time.perf_counter()
    print(json.dumps({"documents": len(pages), "words": sum(row[7] for row, _ in pages),
                      "links": sum(len(links) for _, links in pages), "fetch_seconds": t1 - t0,
                      "process_seconds": t2 - t1, "store_seconds": t3 - t2, "seconds": t3 - t0}))


if __name__ == "__main__":
    main()
