#!/usr/bin/python3
"""The man pages of the library, section 3, made of the comments in the public headers: one page a
header, and for every function and macro in it a page that leads there, so that `man trine_spawn`
works. man-pages.py FOLDER HEADER... writes them into FOLDER, below $DESTDIR where that is set, as
`make install` has it.

What a header has to keep to: a comment in column 0 belongs to the declarations that follow it
without an empty line; a comment `/* --- title --- */` begins a section; in a comment an empty line
ends a paragraph, and a paragraph with a line indented by two spaces or more is shown as it
stands."""
import os
import re
import sys
from pathlib import Path

SECTION = re.compile(r"/\* -+ (.*?) -+ \*/$")
DEFINE = re.compile(r"#define (\w+)(\([^)]*\))?")
NAME = re.compile(r"\b(trine_\w*[a-z0-9])\(")
NOISE = re.compile(r"\b(TRINE_PUBLIC_|TRINE_MUST_USE_)\s+|\s+TRINE_ZERO_\b")
VERSION = re.compile(r'#define TRINE_VERSION "(.*)"')


def comment_text(lines):
    """The text of a comment, its frame of `/*`, ` *` and `*/` taken off."""
    text = "\n".join(lines).strip()[2:-2]
    return [re.sub(r"^ \* ?", "", line).rstrip() for line in text.split("\n")]


def items(lines):
    """Yields ("section", title), ("comment", lines) and ("code", lines) in the header's order; an
    empty line ends a piece of code."""
    piece = []
    rows = iter(lines)
    for line in rows:
        if not line.startswith("/*"):
            if line.strip():
                piece.append(line)
                continue
            if piece:
                yield "code", piece
                piece = []
            yield "gap", None
            continue
        if piece:
            yield "code", piece
            piece = []
        comment = [line]
        while "*/" not in comment[-1]:
            comment.append(next(rows))
        title = SECTION.match(comment[0])
        yield ("section", title[1]) if title else ("comment", comment_text(comment))
    if piece:
        yield "code", piece


def define_of(line):
    """How a public macro is called, or None: names that end in _ are private."""
    macro = DEFINE.match(line)
    if not macro or macro[1].endswith("_") or macro[1].endswith("_H"):
        return None
    return macro[1] + (macro[2] or "")


def declarations(code):
    """What a piece of a header declares, for its reader: macros by their call, the rest as it
    stands, without attributes and without what only the preprocessor and C++ need."""
    shown = []
    continued = False
    for line in code:
        if continued or line.startswith("#"):
            if not continued and define_of(line):
                shown.append(define_of(line))
            continued = line.endswith("\\")
        elif not line.startswith('extern "C"'):
            shown.append(NOISE.sub("", line))
    return shown


def escape(line):
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + line if line.startswith((".", "'")) else line


def verbatim(lines):
    return [".nf", *map(escape, lines), ".fi"]


def paragraphs(lines, between):
    """roff of a comment; a paragraph with an indented line in it keeps its lines."""
    out, paragraph = [], []
    for line in lines + [""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            kept = any(line.startswith("  ") for line in paragraph)
            text = verbatim(paragraph) if kept else [escape(line.strip()) for line in paragraph]
            out += [between, *text]
            paragraph = []
    return out


def without_cxx(lines):
    """A header as C sees it, without the parts for C++."""
    shown, depth = True, 0
    for line in lines:
        depth += line.startswith("#if") - line.startswith("#endif")
        if line == "#ifdef __cplusplus":
            shown, level = False, depth
        elif not shown and (line.startswith("#else") and depth == level or depth < level):
            shown = True
        elif shown:
            yield line


def names_of(shown):
    """The functions and macros that lines of declarations bring in."""
    for line in shown:
        if re.match(r"[A-Za-z]\w*(\(|$)", line) and not line.startswith(("typedef", "enum")):
            yield re.match(r"\w+", line)[0]
        elif not line.startswith((" ", "typedef")):
            yield from NAME.findall(line)[:1]


class Page:
    def __init__(self, header):
        text = header.read_text()
        lines = list(without_cxx(text.split("\n")))
        self.include = str(header).split("include/", 1)[1]
        self.name = self.include.removesuffix(".h").replace("/", "_")
        self.names, self.body = [], []
        pieces = list(items(lines))
        self.opening = next(lines for kind, lines in pieces if kind == "comment")
        self.fill([piece for piece in pieces if piece[1] is not self.opening])

    def fill(self, pieces):
        comment = None
        for kind, value in pieces + [("gap", None)]:
            if kind == "section":
                self.body.append(".SH " + value.upper())
            if kind == "code":
                shown = declarations(value)
                if shown:
                    self.names += [n for n in names_of(shown) if n not in self.names]
                    self.body += [".PP", *verbatim(shown)]
                    self.body += paragraphs(comment or [], ".IP")
                comment = None
            else:
                comment = value if kind == "comment" else None

    def write(self, folder, version, pages):
        title = re.sub(r"^[\w/]+\.h - ", "", self.opening[0].strip())
        rest = self.opening[1:]
        while rest and rest[0].strip():  # the first sentence may go on
            title += " " + rest.pop(0).strip()
        summary = re.split(r"(?<=\w)[.:] |\.$", title)[0]
        library = "\\-ltrine\\-http \\-ltrine" if self.name == "trine_http" else "\\-ltrine"
        names = ", ".join([self.name, *(n for n in self.names if n != self.name)])
        others = ", ".join(f"{p.name} (3)" for p in pages if p is not self)
        page = [f'.TH {escape(self.name.upper())} 3 "" "trine {version}" "Trine library"',
                ".SH NAME", f"{names} \\- {escape(summary)}",
                ".SH SYNOPSIS", ".nf", f"#include <{self.include}>", f"Link with {library}.", ".fi",
                ".SH DESCRIPTION", escape(title), *paragraphs(rest, ".PP"), *self.body,
                ".SH SEE ALSO", escape(others) or "trine (1)"]
        (folder / f"{self.name}.3").write_text("\n".join(page) + "\n")
        for name in self.names:
            if name != self.name:
                (folder / f"{name}.3").write_text(f".so man3/{self.name}.3\n")


def main():
    folder = Path(os.environ.get("DESTDIR", "") + sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    headers = [Path(name) for name in sys.argv[2:]]
    version = next(VERSION.search(h.read_text())[1] for h in headers if h.name == "trine.h")
    pages = [Page(header) for header in headers]
    for page in pages:
        page.write(folder, version, pages)


if __name__ == "__main__":
    main()
