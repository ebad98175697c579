#!/usr/bin/python3
"""Include layers: who may include whom (DESIGN: base < arch < core < io < net < http; exec uses
base, arch and core; core sees io and exec only through core/backend.h and core/executor.h; cli,
examples and benchmarks see no inside of the library), and no cycle of includes."""
import os
import re
from pathlib import Path

from files import project_files, read, report

ALLOWED = {
    "base": {"base"},
    "arch": {"base", "arch"},
    "core": {"base", "arch", "core"},
    "io": {"base", "arch", "core", "io"},
    "exec": {"base", "arch", "core", "exec"},
    "net": {"base", "arch", "core", "io", "net"},
    "http": {"base", "arch", "core", "io", "net", "http"},
    "runtime.c": {"base", "arch", "core", "io", "exec", "net"},
}
# The core links libc alone; other people's libraries stay behind these folders.
FOREIGN = {"curl/": "src/http", "libxml/": "cli", "sqlite3.h": "cli",
           "jansson.h": "cli", "gmp.h": "cli"}
# Users of the public headers; benchmarks measure parts of the command too.
USERS = {"cli": ("cli",), "bench": ("bench", "cli"), "examples": ("examples",)}
# It times the loop's bare timers, which have no public name.
INSIDE = ("bench/timer.c",)
FREE = ("tests", "bench", "examples")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def resolve(path, quote, name):
    """The project's file that is meant, or None for a header of the system."""
    roots = [Path("include")]
    if path.parts[0] == "src":
        roots.insert(0, Path("src"))
    elif path.parts[0] == "cli":
        roots.insert(0, Path("cli"))
    elif path.parts[0] == "bench":
        roots[:0] = [Path("cli"), Path("src")]
    elif path.parts[0] == "tests":
        roots[:0] = [Path("src"), Path("cli"), Path("tests/unit")]
    if quote == '"':
        roots.insert(0, path.parent)
    for root in roots:
        target = Path(os.path.normpath(root / name))
        if target.is_file():
            return target
    return None


def fault_of(path, quote, name, target):
    for prefix, home in FOREIGN.items():
        at_home = str(path).startswith(home + "/") or path.parts[0] in FREE
        if name.startswith(prefix) and not at_home:
            return f"{name} belongs to {home} alone"
    if target is None:
        return "no such file in the project" if quote == '"' else None
    if target.parts[0] == "include":
        return None
    top = path.parts[0]
    if top == "src":
        allowed = ALLOWED.get(path.parts[1])
        if allowed is None:
            return f"src/{path.parts[1]} has no place among the layers (scripts/lint/layers.py)"
        if target.parts[0] != "src" or target.parts[1] not in allowed:
            return f"src/{path.parts[1]} may use {', '.join(sorted(allowed))} and include/"
    elif top == "include":
        return "a public header may include public headers only"
    elif str(path) not in INSIDE and top in USERS and target.parts[0] not in USERS[top]:
        return f"{top} may use include/ and {'/, '.join(USERS[top])}/ only"
    return None


def find_cycle(graph):
    """A list of files that include each other in a ring, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for following in graph.get(node, ()):
            ring = visit(following)
            if ring:
                return ring
        path.pop()
        done.add(node)
        return None

    for start in sorted(graph):
        ring = visit(start)
        if ring:
            return ring
    return None


def main():
    faults, graph = [], {}
    paths = [p for p in project_files(".c", ".h", ".S") if len(p.parts) > 1]
    for path in paths:
        text = read(path)
        for match in INCLUDE.finditer(text):
            target = resolve(path, match[1], match[2])
            fault = fault_of(path, match[1], match[2], target)
            if fault:
                line = text.count("\n", 0, match.start()) + 1
                faults.append(f"{path}:{line}: includes {match[2]}: {fault}")
            if target:
                graph.setdefault(path, []).append(target)
    ring = find_cycle(graph)
    if ring:
        faults.append("include cycle: " + " -> ".join(map(str, ring)))
    report("layers", faults, f"{len(paths)} files")


main()
