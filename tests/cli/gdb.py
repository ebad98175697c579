#!/usr/bin/python3
"""scripts/gdb/trine-gdb.py lists coroutines with their backtraces: of a running program, and of its
core file."""
import os
import re
import resource
import shutil
import signal
import subprocess
import time

from common import PATIENCE, WORK, run

SOURCE, BUILD = os.environ["TRINE_SOURCE"], os.environ["TRINE_BUILD"]
PROGRAM = os.path.join(BUILD, "tests", "asleep")
with open("/proc/sys/kernel/core_pattern", encoding="ascii") as pattern:
    CORES_ARE_FILES = pattern.read()[0] not in "|/"


def gdb(*commands, args=()):
    script = os.path.join(SOURCE, "scripts", "gdb", "trine-gdb.py")
    words = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", f"source {script}"]
    for command in commands:
        words += ["-ex", command]
    done = subprocess.run(words + list(args), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout + done.stderr


def asleep():
    process = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "asleep\n"
    time.sleep(0.1)
    return process


def check(out):
    assert re.search(r"^loop of thread \d+$", out, re.M), out
    for words in (r"task parent, started at trine_run: waits for join",
                  r"scope opened at \S*asleep.c:\d+: 3 run, 0 wait for its limit",
                  r"task sleeper, started at \S*asleep.c:\d+: waits for sleep",
                  r"task the reader, started at \S*asleep.c:\d+: waits for channel"):
        assert re.search(words, out), (words, out)
    for function in ("deep_in_sleep", "reader", "parent"):
        assert re.search(rf"#\d+ .*{function}", out), (function, out)


def a_running_programs_coroutines_are_listed():
    process = asleep()
    try:
        check(gdb("trine-tasks", args=["-p", str(process.pid)]))
        brief = gdb("trine-tasks brief", args=["-p", str(process.pid)])
        assert "task sleeper" in brief and "deep_in_sleep" not in brief, brief
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def a_core_files_coroutines_are_listed():
    """The kernel's: gdb's own gcore leaves out a mapping of which it cannot read all, as the guard
    pages of stacks."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = os.getcwd()
    os.chdir(WORK)
    try:
        process = asleep()
    finally:
        os.chdir(before)
    process.send_signal(signal.SIGABRT)  # not SIGQUIT, which jobs in the background ignore
    process.wait(PATIENCE)
    process.stdout.close()
    cores = [name for name in os.listdir(WORK) if name.startswith("core")]
    assert len(cores) == 1, cores
    check(gdb("trine-tasks", args=[PROGRAM, os.path.join(WORK, cores[0])]))


def a_program_without_the_library_is_told():
    assert "no libtrine with debugging" in gdb("trine-tasks", args=["/bin/true"])


def skip(why):
    print(f"skip a_running_programs_coroutines_are_listed: {why}")


if not shutil.which("gdb"):
    skip("no gdb here (scripts/setup.sh --test installs it)")
elif float(os.environ.get("TRINE_TEST_SLOW", "1")) > 1:
    skip("gdb sees the sanitizers' stacks otherwise")
else:
    if not CORES_ARE_FILES:
        print("skip a_core_files_coroutines_are_listed: the kernel puts cores elsewhere "
              "(/proc/sys/kernel/core_pattern)")
    run(a_running_programs_coroutines_are_listed,
        *([a_core_files_coroutines_are_listed] if CORES_ARE_FILES else []),
        a_program_without_the_library_is_told)
