#!/usr/bin/python3
"""Exported symbols: what `nm -D` shows of the shared libraries is what scripts/lint/symbols.txt
lists. symbols.py BUILD [--update]"""
import subprocess
import sys
from pathlib import Path

from files import report

LIBRARIES = ("libtrine.so", "libtrine-http.so")
LIST = Path("scripts/lint/symbols.txt")
HEAD = """# What the shared libraries export, with versions. Checked by make lint; after a change
# that is meant, run scripts/lint/symbols.py build --update. A released symbol never goes.
"""


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                         capture_output=True, text=True).stdout
    names = (line.split() for line in out.splitlines())
    return {f"{Path(library).name} {n[2]}" for n in names if len(n) == 3 and n[1] != "A"}


def main():
    build = Path(sys.argv[1])
    now = set().union(*(exported(str(build / "src" / name)) for name in LIBRARIES))
    if "--update" in sys.argv:
        LIST.write_text(HEAD + "".join(f"{s}\n" for s in sorted(now)), encoding="utf-8")
        print(f"{LIST}: {len(now)} symbols")
        return
    text = LIST.read_text(encoding="utf-8") if LIST.exists() else ""
    listed = {line for line in text.splitlines() if line and line[0] != "#"}
    how = f"if that is meant: scripts/lint/symbols.py {build} --update"
    faults = [f"{s}: exported, but not in {LIST}; {how}" for s in sorted(now - listed)]
    faults += [f"{s}: in {LIST}, but no longer exported; {how}" for s in sorted(listed - now)]
    report("symbols", faults, f"{len(now)} exported as listed")


main()
