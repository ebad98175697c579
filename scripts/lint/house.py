#!/usr/bin/python3
"""House rules that a script can see: length of files, functions and lines, forbidden calls, words
that stand for unfinished work, and source files that no meson.build names."""
import re
from pathlib import Path

from files import code_only, project_files, read, report

FILE_LINES, FUNCTION_LINES, COLUMNS = 600, 60, 100
FORBIDDEN = {
    "system": "use trine's subprocess or posix_spawn",
    "sprintf": "use snprintf",
    "vsprintf": "use vsnprintf",
    "strcpy": "use snprintf or memcpy",
    "strcat": "use snprintf or memcpy",
    "gets": "use fgets",
    "shm_open": "memory is shared by memfd only",
    "shmget": "memory is shared by memfd only",
    "sem_open": "what has a name outlives the program: use a trine_shared_mutex",
    "semget": "what has a name outlives the program: use a trine_shared_mutex",
    "mq_open": "what has a name outlives the program: use a trine_queue",
    "msgget": "what has a name outlives the program: use a trine_queue",
}
BY_STEM = ("tests", "bench", "examples")  # their meson.build lists programs, not files
BUILT = ("src", "cli") + BY_STEM
CALL = re.compile(r"(?<![\w.>])(" + "|".join(FORBIDDEN) + r")\s*\(")
# A handler for it would take the program's own; children are waited for by pidfd.
SIGCHLD = re.compile(r"\b(sigaction|signal)\s*\([^;]*\bSIGCHLD\b(?![^;]*SIG_DFL)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
FUNCTION = re.compile(r"^(?!struct |union |enum |typedef |extern )[A-Za-z_][^;=]*\(")


def long_functions(lines):
    """(line number, length) of functions that are too long. The layout is clang-format's: a
    definition begins in column 0 and its last line is the next `}` there."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("}"):
            if start and number - start + 1 > FUNCTION_LINES:
                yield start, number - start + 1
            start = None
        elif FUNCTION.match(line):
            start = number
        elif line.endswith(";") and not line.startswith((" ", "\t")):
            start = None


def check_c(path, text):
    code = code_only(text)
    for number, line in enumerate(code.split("\n"), 1):
        for call in CALL.finditer(line):
            yield f"{path}:{number}: {call[1]}: {FORBIDDEN[call[1]]}"
    for match in SIGCHLD.finditer(code):
        yield f"{path}:{code.count(chr(10), 0, match.start()) + 1}: SIGCHLD: no handler for it"
    for number, length in long_functions(code.split("\n")):
        yield f"{path}:{number}: function of {length} lines, {FUNCTION_LINES} at the most"


def unlisted(paths):
    """Sources that the build does not know are neither compiled nor tested."""
    for path in paths:
        top = path.parts[0]
        if path.suffix not in (".c", ".S") or top not in BUILT:
            continue
        if path.parts[:2] == ("tests", "compile_fail") or "peers" in path.parts:
            continue
        names = (path.relative_to(top).as_posix(), path.stem if top in BY_STEM else "")
        listing = read(Path(top) / "meson.build")
        if not any(name and f"'{name}'" in listing for name in names):
            yield f"{path}: not named in {top}/meson.build"


def main():
    faults = []
    paths = project_files(".c", ".h", ".S", ".sh", ".py")
    for path in paths:
        text = read(path)
        lines = text.split("\n")
        if len(lines) > FILE_LINES + 1:
            faults.append(f"{path}: {len(lines) - 1} lines, {FILE_LINES} at the most")
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                faults.append(f"{path}:{number}: {len(line)} columns, {COLUMNS} at the most")
            if UNFINISHED.search(line) and path.name != "house.py":
                faults.append(f"{path}:{number}: unfinished: {line.strip()[:60]}")
        if path.suffix in (".c", ".h"):
            faults += check_c(path, text)
    faults += unlisted(paths)
    report("house", faults, f"{len(paths)} files")


main()
