#!/usr/bin/python3
"""Takes pages apart with Python's html.parser and compares with what trine found, page by page.

    reference.py [options] DIR|FILE...

    --store FILE.db   what a crawl stored (tables pages and links)
    --dump FILE       what tests/unit/page_dump.c printed
    --base URL        the URL that DIR was served as (default: the site of the store's first page;
                      http://localhost/ with --dump)
    --quiet           only the totals

It shares no code with trine and follows the definition in cli/crawl/page.h. Exit 0 when at least
99.5 % of the pages have exactly the same number of words, and every page was found; 1 otherwise.
"""
import argparse
import codecs
import hashlib
import html
import html.parser
import json
import os
import re
import sqlite3
import sys
from urllib.parse import urljoin, urlsplit

HIDDEN = {"script", "style", "template", "noscript"}
IN_HEAD = HIDDEN | {"html", "head", "base", "basefont", "bgsound", "link", "meta", "title"}


class Page(html.parser.HTMLParser):
    """Words, title, language and raw links of one page, by the tokens of html.parser."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.pieces, self.title, self.lang = [], [], None
        self.hrefs, self.base = [], None
        self.hidden = []
        self.in_head, self.in_title, self.has_title = True, False, False

    def separate(self):
        self.pieces.append(" ")
        if self.in_title:
            self.title.append(" ")

    def handle_starttag(self, tag, attrs):
        self.separate()
        first = dict(reversed(attrs))
        if tag == "html" and self.lang is None:
            self.lang = first.get("lang") or first.get("xml:lang")
        elif tag == "base" and self.base is None and first.get("href") is not None:
            self.base = first["href"]
        elif tag == "title" and not self.has_title:
            self.has_title = self.in_title = True
        elif tag in ("a", "area") and "href" in first:
            self.hrefs.append(first["href"] or "")
        if tag in HIDDEN:
            self.hidden.append(tag)
        elif tag not in IN_HEAD and not self.hidden:
            self.in_head = False

    def handle_endtag(self, tag):
        self.separate()
        if tag == "title":
            self.in_title = False
        elif tag == "head":
            self.in_head = False
        if tag in self.hidden:
            while self.hidden.pop() != tag:
                pass

    def handle_data(self, data):
        if self.in_title:
            self.title.append(data)
        elif self.in_head and not self.hidden and data.strip(" \t\r\n\f"):
            self.in_head = False
        if not self.in_head and not self.hidden:
            self.pieces.append(data)

    def handle_comment(self, data):
        self.separate()

    handle_decl = unknown_decl = handle_pi = handle_comment


META = re.compile(rb"<meta[\s/][^>]*?charset\s*=[\s\"']*([^\s\"'/;>]+)", re.I)


def charset_of(body):
    """What no header says: byte order mark, meta in the first 1,024 bytes, else UTF-8."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
                       (codecs.BOM_UTF16_BE, "utf-16")):
        if body.startswith(mark):
            return name
    found = META.search(re.sub(rb"<!--.*?(-->|$)", b"", body[:1024], flags=re.S))
    name = found.group(1).decode("ascii", "replace").lower() if found else "utf-8"
    if name in ("iso-8859-1", "latin1", "us-ascii", "ascii"):
        return "cp1252"
    try:
        return "utf-8" if name.startswith("utf-16") else codecs.lookup(name).name
    except LookupError:
        return "utf-8"


def encode(text, keep):
    """Percent-encodes what a URL may not have; %xx stays, in upper case."""
    text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    text = re.sub(r"%[0-9a-f]{2}", lambda m: m.group().upper(), text, flags=re.I)
    good = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%" + keep + "-]")
    return "".join(c if good.match(c) else "".join("%%%02X" % b for b in c.encode())
                   for c in text)


def without_dots(path):
    out = []
    segments = path.split("/")[1:]
    for i, segment in enumerate(segments):
        last = i == len(segments) - 1
        if segment == "..":
            out = out[:-1]
        elif segment != ".":
            out.append(segment)
        if segment in (".", "..") and last:
            out.append("")
    return "/" + "/".join(out)


def normalise(url):
    """The one form of an http(s) URL, or None."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    try:
        port = parts.port
    except ValueError:
        return None
    user = parts.netloc.rpartition("@")[0]
    host = "[%s]" % parts.hostname if ":" in parts.hostname else parts.hostname
    if re.search(r"[\x00-\x20\"<>\\^`{|}]", host):
        return None
    netloc = (encode(user, "") + "@" if user else "") + host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        netloc += ":%d" % port
    path = without_dots(encode(parts.path.replace("\\", "/"), "/") or "/")
    query = "?" + encode(parts.query, "/?") if "?" in url else ""
    return "%s://%s%s%s" % (parts.scheme, netloc, path, query)


def resolve(base, href):
    href = re.sub(r"[\t\r\n]", "", href.strip("".join(map(chr, range(33))))).partition("#")[0]
    try:
        joined = urljoin(base, href) if href else base
        if href.startswith("?"):
            joined = base.partition("?")[0] + href
        return normalise(joined)
    except ValueError:
        return None


def take_apart(body, url):
    page = Page()
    text = body.decode(charset_of(body), "replace")
    if text.startswith("\ufeff"):
        text = text[1:]
    page.feed(text)
    page.close()
    base = (resolve(url, page.base) if page.base else None) or url
    links = dict.fromkeys(filter(None, (resolve(base, href) for href in page.hrefs)))
    title = " ".join("".join(page.title).split()).encode()[:1024].decode(errors="ignore")
    return {
        "title": title.rstrip(),
        "lang": (page.lang or "").strip()[:64],
        "words": len("".join(page.pieces).split()),
        "sha256": hashlib.sha256(body).hexdigest(),
        "links": list(links),
    }


def read_store(path):
    """url -> what was found; and the site of the first page."""
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    found, ids = {}, {}
    for row in db.execute("SELECT id, url, title, lang, words, sha256 FROM pages ORDER BY id"):
        found[row[1]] = {"title": row[2] or "", "lang": row[3] or "", "words": row[4],
                         "sha256": row[5], "links": []}
        ids[row[0]] = found[row[1]]
    for page, url in db.execute("SELECT page, url FROM links ORDER BY page, n"):
        ids[page]["links"].append(url)
    return found, re.match(r"https?://[^/]+/", next(iter(found), "http://localhost/")).group()


def read_dump(path, base):
    with open(path, encoding="utf-8") as lines:
        return {normalise(base + page["path"]): page for page in map(json.loads, lines)}


def files_of(paths):
    """(file, name below the directory that was given)."""
    for path in paths:
        if os.path.isdir(path):
            for folder, folders, names in os.walk(path, followlinks=True):
                folders.sort()
                for name in sorted(names):
                    if name.endswith(".html"):
                        full = os.path.join(folder, name)
                        yield full, os.path.relpath(full, path)
        else:
            yield path, os.path.basename(path)


def differences(mine, theirs):
    for key in ("words", "title", "lang", "sha256"):
        if mine[key] != theirs[key]:
            yield "%s: reference %r, trine %r" % (key, mine[key], theirs[key])
    if mine["links"] != theirs["links"]:
        only = [link for link in mine["links"] if link not in theirs["links"]]
        extra = [link for link in theirs["links"] if link not in mine["links"]]
        yield "links: reference %d, trine %d; only reference %s, only trine %s" % (
            len(mine["links"]), len(theirs["links"]), only[:5], extra[:5])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument("--store")
    source.add_argument("--dump")
    arguments.add_argument("--base")
    arguments.add_argument("--quiet", action="store_true")
    arguments.add_argument("paths", nargs="+", metavar="DIR|FILE")
    given = arguments.parse_args()
    if given.store:
        found, site = read_store(given.store)
        base = given.base or site
    else:
        base = given.base or "http://localhost/"
        found = read_dump(given.dump, base)
    pages = missing = 0
    equal = dict.fromkeys(("words", "title", "lang", "sha256", "links", "all"), 0)
    totals = {"reference": [0, 0], "trine": [0, 0]}
    for path, name in files_of(given.paths):
        url = normalise(base + name)
        theirs = found.get(url)
        if not theirs:
            missing += 1
            print("%s: trine has no such page" % name)
            continue
        with open(path, "rb") as file:
            mine = take_apart(file.read(), url)
        pages += 1
        for key in mine:
            equal[key] += mine[key] == theirs[key]
        for who, page in (("reference", mine), ("trine", theirs)):
            totals[who][0] += page["words"] or 0
            totals[who][1] += len(page["links"])
        found_differences = list(differences(mine, theirs))
        equal["all"] += not found_differences
        if not given.quiet:
            for line in found_differences:
                print("%s: %s" % (name, line))
    for who, (words, links) in totals.items():
        print("%s: %d words, %d links" % (who, words, links))
    for key, count in equal.items():
        print("%s: %d of %d pages agree, %.3f %%" % (key, count, pages,
                                                     100 * count / max(pages, 1)))
    good = pages > 0 and missing == 0 and equal["words"] >= 0.995 * pages
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
