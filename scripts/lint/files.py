"""The project's own files: what git knows, and what is about to be added."""
import re
import subprocess
import sys
from pathlib import Path

COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def project_files(*suffixes):
    """Paths relative to the current folder, sorted; those that still exist."""
    out = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout
    paths = sorted(set(map(Path, filter(None, out.split("\0")))))
    return [p for p in paths if (not suffixes or p.suffix in suffixes) and p.is_file()]


def read(path):
    return path.read_text(encoding="utf-8")


def code_only(text):
    """The text with comments and the inside of literals blanked; lines stay where they are."""
    def blank(match):
        kept = re.sub(r"[^\n]", " ", match[0])
        return '"' + kept[1:-1] + '"' if match[0][0] == '"' else kept
    return COMMENT_OR_STRING.sub(blank, text)


def report(name, faults, good):
    """Prints `ok` or `FAIL` lines, one a fault, and ends the program."""
    for fault in faults:
        print(f"FAIL {name}: {fault}")
    if not faults:
        print(f"ok {name}: {good}")
    sys.exit(bool(faults))
