#!/usr/bin/python3
"""trine choose: every way through its questions, by options and by answers; what is no answer; the
end of the input; figures of a real run."""
import itertools
import json
import os
import subprocess

from common import PATIENCE, TRINE, WORK, run


def choose(*args, answers="", code=0):
    done = subprocess.run([TRINE, "choose", *args], input=answers, capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == code, (args, answers, done)
    return done


# What the answers lead to: the first words of the advice.
WAYS = [
    ({"work": "compute", "risk": "no"}, "threads:"),
    ({"work": "compute", "risk": "yes"}, "processes:"),
    ({"work": "wait", "style": "async"}, "the loop:"),
    ({"work": "wait", "style": "blocking", "at-once": "20"}, "threads:"),
    ({"work": "wait", "style": "blocking", "at-once": "1000"}, "threads:"),
    ({"work": "wait", "style": "neither", "at-once": "999"}, "threads:"),
    ({"work": "wait", "style": "neither", "at-once": "1000"}, "the loop:"),
    ({"work": "both", "split": "no"}, "processes with queues"),
    ({"work": "both", "split": "yes", "risk": "no"}, "the loop to wait, a thread pool"),
    ({"work": "both", "split": "yes", "risk": "yes"}, "the loop to wait, a process pool"),
]


def options_and_answers_lead_to_the_same():
    for way, expected in WAYS:
        options = [w for name, value in way.items() for w in ("--" + name, value)]
        by_options = choose(*options)
        assert by_options.stdout.startswith("Use: " + expected), (way, by_options.stdout)
        assert "Because: " in by_options.stdout and "In Python: " in by_options.stdout, way
        assert by_options.stderr == "", by_options.stderr
        by_answers = choose(answers="".join(v + "\n" for v in way.values()))
        assert by_answers.stdout == by_options.stdout, (way, by_answers.stdout)
        assert by_answers.stderr.count("?") == len(way), by_answers.stderr
    many = choose("--work", "wait", "--style", "blocking", "--at-once", "1000").stdout
    few = choose("--work", "wait", "--style", "blocking", "--at-once", "20").stdout
    assert "But: a thousand threads" in many and "But:" not in few


def each_option_spares_its_question():
    way = {"work": "both", "split": "yes", "risk": "no"}
    for given in itertools.chain.from_iterable(itertools.combinations(way, n) for n in range(4)):
        options = [w for name in given for w in ("--" + name, way[name])]
        answers = "".join(v + "\n" for name, v in way.items() if name not in given)
        done = choose(*options, answers=answers)
        assert done.stderr.count("?") == len(way) - len(given), (given, done.stderr)
        assert "thread pool" in done.stdout


def answers_may_be_short_and_are_asked_for_again():
    done = choose(answers="\nfoo\n  W \nasync!\nN\n-3\n0\n12x\n 12\n")
    assert done.stdout.startswith("Use: threads:"), done.stdout
    assert done.stderr.count("is no answer") == 6, done.stderr
    assert '"12x" is no answer: a number from 1 on is expected' in done.stderr, done.stderr


def the_end_of_the_input_is_an_error():
    for answers, option in (("", "--work"), ("wait\n", "--style"), ("both", "--split"),
                            ("wait\nneither\nx\n", "--at-once"), ("compute\n", "--risk")):
        done = choose(answers=answers, code=1)
        assert f"the input ended before this question was answered; {option}" in done.stderr, done
        assert done.stdout == "", done


def bad_usage_is_named():
    for args, word in ((["--work", "play"], "compute, wait or both"), (["--at-once", "0"], "0"),
                       (["--nope"], "--nope"), (["now"], "now"), (["--risk", ""], "--risk")):
        done = choose(*args, code=2)
        assert word in done.stderr and done.stdout == "", (args, done)


def figures_of_a_run_stand_beside_the_reason():
    path = os.path.join(WORK, "figures.json")
    with open(path, "wb") as f:
        subprocess.run([TRINE, "bench", "--quick", "--json", "--only", "io,tasks,cpu,race,crash"],
                       stdout=f, stderr=subprocess.DEVNULL, check=True, timeout=3 * PATIENCE)
    with open(path, encoding="utf-8") as f:
        rows = {r["row"]: r for r in json.load(f)["comparison"]}
    out = choose("--work", "wait", "--style", "async", "--figures", path).stdout
    assert rows["Memory"]["loop"] in out and rows["I/O"]["threads"] in out, out
    assert "loop faster than threads" in out and rows["CPU"]["loop"] not in out, out
    out = choose("--work", "compute", "--risk", "no", "--figures", path).stdout
    assert rows["CPU"]["threads"] in out and rows["Memory"]["loop"] not in out, out


def figures_that_are_none_are_refused_before_the_first_question():
    for name, text in (("none.json", None), ("broken.json", "{"), ("other.json", "[1]")):
        path = os.path.join(WORK, name)
        if text:
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
        done = choose("--figures", path, code=1)
        assert path in done.stderr and "?" not in done.stderr and done.stdout == "", done


run(options_and_answers_lead_to_the_same, each_option_spares_its_question,
    answers_may_be_short_and_are_asked_for_again, the_end_of_the_input_is_an_error,
    bad_usage_is_named, figures_of_a_run_stand_beside_the_reason,
    figures_that_are_none_are_refused_before_the_first_question)
