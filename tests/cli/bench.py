#!/usr/bin/python3
"""trine bench: what it prints, as a table, as JSON, as a page; bad options; its end by a signal.
Small runs: figures are checked for what must hold on any machine, never for speed."""
import json
import os
import re
import signal
import subprocess
import sys

from common import (PATIENCE, SLOW, TRINE, WORK, Answers, await_none_left, await_that, children,
                    end, ours, run)

SOURCE = os.environ["TRINE_SOURCE"]

MODELS = ("loop", "threads", "processes")
FIGURES = {"io": ("wall", "cpu", "memory", "processes", "threads"), "cpu": ("wall", "cpu"),
           "mixed": ("wall", "cpu"), "tasks": ("create", "each", "processes", "threads"),
           "handover": ("trip", "batch"), "data": ("each",), "crew": ("wall",),
           "blocking": ("wall",), "race": ("lost",), "crash": ("lost",)}


def bench(*args, code=0, env=None):
    done = subprocess.run([TRINE, "bench", *args], capture_output=True, text=True,
                          timeout=200 * SLOW, env={**os.environ, **(env or {})})
    failed = re.findall(r'.*"failed": "[^"]*"', done.stdout)
    assert done.returncode == code, (args, done.returncode, failed, done.stderr[-600:],
                                     done.stdout[-600:])
    return done


def report(*args, **options):
    return json.loads(bench("--quick", "--json", *args, **options).stdout)


def cells(found, group, **words):
    return [c for c in found["cells"] if c["group"] == group and
            all(c[k] == v for k, v in words.items())]


def figures_are_whole(found, languages):
    for group, names in FIGURES.items():
        for c in cells(found, group):
            assert "failed" not in c, c
            assert c["language"] in languages, c
            for name in names:
                v = c[name]
                assert v["min"] <= v["median"] <= v["max"] and v["runs"] >= 1, c
                assert v["min"] > 0 or name in ("lost", "cpu", "each"), c
    delay = found["delay"]
    for c in cells(found, "io"):  # no request is answered before its time
        assert c["wall"]["min"] >= delay, c
    for c in cells(found, "tasks"):  # each has what its model says
        many = {"threads": "threads", "processes": "processes"}.get(c["model"])
        for name in ("threads", "processes"):
            assert c[name]["min"] >= c["n"] if name == many else c[name]["max"] <= c["n"] + 9, c
        if c["model"] == "loop":
            assert c["processes"]["max"] == c["threads"]["max"] == 1, c
    for c in cells(found, "crew"):
        assert c["wall"]["min"] >= 0.005 * (40 // c["n"]), c
    for language in languages:
        for c in cells(found, "blocking", language=language, work="direct"):
            assert c["wall"]["min"] >= 0.2, c  # one after another
        for c in cells(found, "race", language=language):
            if c["model"] == "loop" or c["work"] == "locked":
                assert c["lost"]["max"] == 0, c
        for c in cells(found, "crash", language=language):
            if c["model"] != "processes":
                assert c["lost"]["min"] == 8, c
    assert all(c["lost"]["max"] == 1 for c in cells(found, "crash", language="C",
                                                    model="processes"))


def every_group_is_measured_in_c():
    found = report()
    figures_are_whole(found, ("C",))
    for group in FIGURES:
        assert cells(found, group), group
    for group in ("io", "tasks", "handover", "data", "crash"):
        assert {c["model"] for c in cells(found, group)} == set(MODELS), group
    assert {c["work"] for c in cells(found, "cpu")} >= {"primes"}
    cpus = found["machine"]["cpus"]
    assert {c["n"] for c in cells(found, "cpu", model="threads")} >= {1, 2 * cpus}, cpus
    assert {c["n"] for c in cells(found, "io")} == {1, 10, 50}
    rows = [r["row"] for r in found["comparison"]]
    assert rows == ["Count", "Memory", "Creation", "True parallelism", "I/O", "CPU", "Data",
                    "Debugging"], rows
    for row in found["comparison"]:
        assert all(row[m] for m in MODELS), row
    assert {(c["metric"], c["better"], c["worse"]) for c in found["crossings"]} == {
        (m, *pair) for m in ("wall", "cpu", "memory")
        for pair in (("loop", "threads"), ("threads", "processes"))}
    m = found["machine"]
    assert m["cpus"] >= 1 and m["memory"] > 0 and len(m["loop_ms"]) == 3, m


def the_same_is_measured_in_python():
    found = report("--python", "--only", "io,tasks,race,crash,blocking,data", "--concurrency", "10")
    figures_are_whole(found, ("C", "Python"))
    assert re.fullmatch(r"3\.\d+\.\d+", found["machine"]["python"]), found["machine"]
    words = ("group", "model", "work", "n")
    mine, theirs = ({tuple(c[w] for w in words) for c in found["cells"]
                     if c["language"] == language} for language in ("C", "Python"))
    assert mine == theirs, mine ^ theirs
    for group in ("io", "data"):
        assert {c["model"] for c in cells(found, group, language="Python")} == set(MODELS)


def python_computes_too():
    found = report("--python", "--only", "cpu,mixed,handover,crew")
    figures_are_whole(found, ("C", "Python"))
    assert cells(found, "handover", language="Python", model="pool")
    assert not cells(found, "handover", language="C", model="pool")


def without_python_c_alone_is_measured():
    done = bench("--quick", "--python", "--json", "--only", "race", env={"PATH": "/nowhere"})
    assert "no python3" in done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert {c["language"] for c in found["cells"]} == {"C"} and found["machine"]["python"] == ""


def rounds_are_counted_and_bounded():
    found = report("--only", "race", "--rounds", "3")
    assert found["rounds"] == 3
    assert all(c["lost"]["runs"] == 3 for c in found["cells"]), found["cells"]
    found = report("--only", "blocking", "--rounds", "9", "--limit", "1")
    assert 1 <= found["rounds"] < 9, found["rounds"]
    assert any("--limit" in note for note in found["notes"]), found["notes"]


def the_table_says_the_same():
    out = bench("--quick", "--only", "io,tasks,crash").stdout
    for words in ("CPUs usable", "load before the start", "I/O: requests at once",
                  "From how many requests at once", "The models compared, in C",
                  "a crash loses 1 of 8 tasks", "not measured"):
        assert words in out, (words, out)
    for model in MODELS:
        assert re.search(rf"^  C +{model} +10 .*wall [\d.]+ m?s ", out, re.M), (model, out)
    assert "CPU: a list" not in out and "Python" not in out


def concurrency_is_capped_by_descriptors_and_says_so():
    done = subprocess.run(["bash", "-c", 'ulimit -n 100 && exec "$0" "$@"', TRINE, "bench",
                           "--quick", "--json", "--only", "io", "--concurrency", "200"],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert max(c["n"] for c in found["cells"]) == 36, found["cells"]
    assert any("up to 36 at once" in note and "open files" in note for note in found["notes"])
    at_once = [c["n"] for c in found["cells"] if c["model"] == "processes"]
    assert 1 <= max(at_once) <= 9, at_once  # a worker takes several descriptors


def the_page_needs_nothing_else():
    page = os.path.join(WORK, "page.html")
    bench("--quick", "--only", "io,crash", "--html", page)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    assert not os.path.exists(page + ".part")
    assert not re.findall(r'<(?:link|img|iframe|script)\b[^>]*\b(?:src|href)\s*=', text)
    assert not re.findall(r"@import|url\(\s*['\"]?(?!#)\w", text.split("<script>", maxsplit=1)[0])
    assert "Released under the MIT License" in text
    embedded = json.loads(re.search(r"const report = (\{.*?\n\]\})\n;", text, re.S)[1])
    assert cells(embedded, "io") and embedded["rounds"] == 1
    # figures of the machine must not be able to leave the script
    assert "<" not in re.search(r"const report = (\{.*?\n\]\})\n;", text, re.S)[1]


def bad_usage_is_named():
    nowhere = os.path.join(WORK, "no", "page.html")
    for args, code, word in (
            (["--nope"], 2, "--nope"), (["io"], 2, "io"), (["--only", "io,cpus"], 2, "io,cpus"),
            (["--only", ""], 2, "--only"), (["--rounds", "0"], 2, "--rounds"),
            (["--rounds", "10"], 2, "1 to 9"), (["--limit", "x"], 2, "--limit"),
            (["--concurrency", "0"], 2, "--concurrency"), (["--html"], 2, "--html"),
            (["--html", nowhere], 1, nowhere)):
        done = bench(*args, code=code)
        assert word in done.stderr and done.stdout == "", (args, done)


def started(*args):
    process = subprocess.Popen([TRINE, "bench", *args], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    # until a measurement with workers is under way, beside the server
    await_that(lambda: len(ours()) > 4 and len(children(process.pid)) >= 2, "a measurement")
    return process


def interrupted_it_leaves_nothing_and_an_old_page():
    page = os.path.join(WORK, "old.html")
    with open(page, "w", encoding="ascii") as f:
        f.write("old")
    for number in (signal.SIGINT, signal.SIGTERM):
        process = started("--python", "--only", "io", "--concurrency", "10", "--html", page)
        try:
            process.send_signal(number)
            out, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 130, (process.returncode, errors)
            assert "interrupted" in errors and out == "", (out, errors)
            assert not ours(), "processes are left"
        finally:
            end(process)
    with open(page, encoding="ascii") as f:
        assert f.read() == "old"
    assert not os.path.exists(page + ".part")


def killed_it_leaves_nothing():
    process = started("--python", "--only", "io", "--concurrency", "10")
    process.kill()
    process.communicate(timeout=PATIENCE)
    await_none_left()


def cell(*words):
    """One measurement, in C and in Python: [(exit status, output)]."""
    with open(os.path.join(SOURCE, "cli", "bench", "peer.py"), encoding="utf-8") as f:
        peer = f.read()
    return [(done.returncode, done.stdout + done.stderr) for done in (
        subprocess.run([*command, *words], capture_output=True, text=True, timeout=PATIENCE)
        for command in ([TRINE, "bench", "--cell", "0"], [sys.executable, "-I", "-c", peer]))]


def a_wrong_answer_is_noticed():
    """The server answers with the next number."""
    server = Answers(lambda path, _: (200, {}, str(int(path[1:]) + wrong)))
    port = server.url.rsplit(":", maxsplit=1)[1]
    for model in MODELS:
        wrong = 0
        for status, out in cell("io", model, "3", "-", "0", "0", port):
            assert status == 0 and "wall " in out, (model, out)
        wrong = 1
        for status, out in cell("io", model, "3", "-", "0", "0", port):
            assert status == 1 and "an answer belongs to another request" in out, (model, out)
    server.stop()
    for status, out in cell("io", "loop", "3", "-", "0", "0", port):
        assert status == 1 and "efused" in out, out


def crossings_are_where_the_figures_cross():
    found = report("--python", "--only", "io", "--rounds", "2")
    for c in found["crossings"]:
        better, worse = ({x["n"]: x[c["metric"]]["median"] for x in
                          cells(found, "io", model=c[which], language=c["language"])}
                         for which in ("better", "worse"))
        both = sorted(better.keys() & worse.keys())
        expected = None
        for n in reversed(both):
            if better[n] > 0.95 * worse[n]:
                break
            expected = n
        assert (c["from"], c["measured_up_to"]) == (expected, both[-1]), c


run(every_group_is_measured_in_c, the_same_is_measured_in_python, python_computes_too,
    without_python_c_alone_is_measured, rounds_are_counted_and_bounded, the_table_says_the_same,
    concurrency_is_capped_by_descriptors_and_says_so, the_page_needs_nothing_else,
    bad_usage_is_named, interrupted_it_leaves_nothing_and_an_old_page, killed_it_leaves_nothing,
    a_wrong_answer_is_noticed, crossings_are_where_the_figures_cross)
