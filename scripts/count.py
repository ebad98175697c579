#!/usr/bin/python3
"""Counts what tests said: count.py testlog.json...

A test prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a case. Each is counted once. A test
that failed without a FAIL line (it crashed, or meson's time was up) counts as one failure, and so
does a test that said nothing at all. Prints all that is not ok, then `N passed, N failed`."""
import json
import re
import sys

LINE = re.compile(r"^(ok|FAIL|skip) (\S.*)$")


def count_test(test):
    """(passed, lines to show, failed, skipped) of one test of meson's log."""
    cases = [m for m in map(LINE.match, test.get("stdout", "").splitlines()) if m]
    passed = sum(m[1] == "ok" for m in cases)
    shown = [f"{m[1]} [{test['name']}] {m[2]}" for m in cases if m[1] != "ok"]
    failed = sum(m[1] == "FAIL" for m in cases)
    skipped = len(cases) - passed - failed
    if failed == 0 and (test["result"] != "OK" or not cases):
        failed = 1
        why = f"{test['result']}, exit code {test.get('returncode')}, no case failed by name"
        if test["result"] == "OK":
            why = "ran no case"
        shown.append(f"FAIL [{test['name']}] {why}")
        shown += ["    " + line for line in test.get("stderr", "").splitlines()[-15:]]
    return passed, shown, failed, skipped


def main():
    passed = failed = skipped = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                ok, shown, bad, skip = count_test(json.loads(line))
                passed, failed, skipped = passed + ok, failed + bad, skipped + skip
                print("\n".join(shown), end="\n" if shown else "")
    if skipped:
        print(f"{skipped} skipped, counted neither way")
    if passed + failed == 0:
        failed = 1
        print("FAIL no test ran")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
