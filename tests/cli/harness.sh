#!/bin/bash
# The unit tests' harness (tests/unit/test.h) says of each way to go wrong what it should.
unset TRINE_TEST_SLOW # the hanging case has 2 s
out=$("$TRINE_BUILD/tests/harness_victim" 2>&1)
code=$?
failed=0

expect() { # name, text that must be a whole line
    if grep -qxF -- "$2" <<<"$out"; then
        echo "ok $1"
    else
        echo "FAIL $1: no line \"$2\" in: ${out//$'\n'/ | }"
        failed=1
    fi
}

line=$(grep -n 'CHECK_EQ(-ECANCELED' "$TRINE_SOURCE/tests/unit/harness_victim.c" | cut -d: -f1)
file=$(grep -o '[^ ]*harness_victim.c' <<<"$out" | head -1)
expect success_is_told "ok passes"
expect failed_check_names_line_and_values \
    "FAIL fails: $file:$line: CHECK_EQ(-ECANCELED, 4): -125 (ECANCELED) is not 4"
expect crash_names_the_signal "FAIL crashes: killed by signal 9 (Killed)"
expect exit_is_no_success "FAIL exits: exit code 7"
expect skip_says_why "skip skips: not here"
expect hang_is_ended_and_named "FAIL hangs: hangs: not done when the program's time was up"
expect sum_counts_each_case_once "1 passed, 4 failed"
out="exit code $code"
expect failure_is_the_exit_code "exit code 1"
out=$("$TRINE_BUILD/tests/harness_victim" passes 2>&1; echo "exit code $?")
expect one_case_by_name "1 passed, 0 failed"
expect success_is_the_exit_code "exit code 0"
out=$("$TRINE_BUILD/tests/harness_victim" no_such_case 2>&1; echo "exit code $?")
expect unknown_name_is_an_error "exit code 1"
exit $failed
