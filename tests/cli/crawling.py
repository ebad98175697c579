"""What the tests of `trine crawl` share: the crawl itself, its store, sites to crawl."""
import json
import os
import re
import sqlite3
import subprocess

# pylint: disable=unused-import
from common import (MARK, PATIENCE, SLOW, TRINE, WORK, Answers, Server, await_none_left, await_that,
                    children, end, ours, run, zygote_and_workers)


def command(*args):
    return [TRINE, "crawl", *args]


def crawl(*args, code=0, env=None, stdin=None):
    done = subprocess.run(command(*args), capture_output=True, text=True, timeout=120 * SLOW,
                          env={**os.environ, **(env or {})}, input=stdin)
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {done.stderr[-600:]}"
    return done


def start(*args, env=None, **options):
    return subprocess.Popen(command(*args), text=True, env={**os.environ, **(env or {})}, **options)


# --- stores and sites ---

def store(name):
    return os.path.join(WORK, name + ".db")


def rows(path, columns="url, status, bytes, title, words, links, sha256, error"):
    """{url: the other columns}; none when there is no store yet."""
    if not os.path.exists(path):
        return {}
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE)
    try:
        return {r[0]: r[1:] for r in db.execute(f"SELECT {columns} FROM pages")}
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return {}
        raise
    finally:
        db.close()


def link_rows(path):
    db = sqlite3.connect(path)
    found = sorted(db.execute("SELECT pages.url, n, links.url FROM links JOIN pages ON id = page"))
    db.close()
    return found


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


# --- processes ---

def descriptors(pid):
    """What the process's descriptors lead to, without the numbers of sockets and names of files."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
            if name.startswith(WORK):
                name = "work/*." + name.rsplit(".", 1)[-1]
            found.append(re.sub(r"^(socket|pipe):.*", r"\1", name))
        except FileNotFoundError:
            pass
    return sorted(found)


def shared_memory(pid):
    """Named shared memory that the process has open or mapped."""
    found = [name for name in descriptors(pid) if name.startswith("/dev/shm")]
    with open(f"/proc/{pid}/maps") as f:
        return found + [line.split()[-1] for line in f if "/dev/shm" in line]


def json_of(done):
    return json.loads(done.stdout)
