#!/usr/bin/python3
"""The pages that the pipeline benchmarks fetch: HTML files of installed documentation packages, in
a random order that is always the same, copied to DIR/site/p/NNN/NNNNN.html.

usage: make-pages.py DIR [COUNT]

Says how many there are, of which packages, and of how many bytes. Does nothing when the set is
there already. The packages stand in scripts/packages.txt, section [bench]."""
import collections
import os
import random
import shutil
import sys

SOURCES = {
    "apache2-doc": "/usr/share/doc/apache2-doc",
    "cppreference-doc-en-html": "/usr/share/cppreference/doc",
    "debian-handbook": "/usr/share/doc/debian-handbook",
    "libboost1.74-doc": "/usr/share/doc/libboost1.74-doc",
    "nodejs-doc": "/usr/share/doc/nodejs",
    "openjdk-17-doc": "/usr/share/doc/openjdk-17-jre-headless/api",
    "postgresql-doc-15": "/usr/share/doc/postgresql-doc-15",
    "python-django-doc": "/usr/share/doc/python-django-doc",
    "qtbase5-doc-html": "/usr/share/qt5/doc",
    "sqlite3-doc": "/usr/share/doc/sqlite3",
}
SMALLEST = 200  # bytes; less is a redirect stub


def html_files(root):
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".html", ".htm")) and not os.path.islink(path):
                if os.path.getsize(path) >= SMALLEST:
                    yield path


def collect():
    files = []
    for package, root in SOURCES.items():
        files += [(path, package) for path in html_files(root)]
    files.sort()
    random.Random(42).shuffle(files)
    return files


def main():
    target = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    done = os.path.join(target, f"done.{count}")
    if os.path.exists(done):
        print(open(done).read(), end="")
        return
    shutil.rmtree(target, ignore_errors=True)
    files = collect()[:count]
    packages, total = collections.Counter(), 0
    for i, (path, package) in enumerate(files):
        folder = os.path.join(target, "site", "p", f"{i // 200:03d}")
        os.makedirs(folder, exist_ok=True)
        shutil.copyfile(path, os.path.join(folder, f"{i:05d}.html"))
        packages[package] += 1
        total += os.path.getsize(path)
    with open(os.path.join(target, "paths"), "w") as f:
        f.writelines(f"/p/{i // 200:03d}/{i:05d}.html\n" for i in range(len(files)))
    text = f"{len(files)} pages of {count} asked for, {total / 1e6:.0f} MB: "
    text += ", ".join(f"{n} {p}" for p, n in sorted(packages.items())) + "\n"
    with open(done, "w") as f:
        f.write(text)
    print(text, end="")


main()
