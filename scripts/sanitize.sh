#!/bin/bash
# make sanitize: the unit and command tests under ASan+UBSan and under TSan, each in a build of its
# own, the unit tests of the plain build under valgrind, and what ports.sh runs: sanitize.sh BUILD.
# What they print is kept in BUILD/sanitize/*.log. The last line is `N passed, N failed`.
# Nothing of our own code is suppressed.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
logs=$build/sanitize
meson=$(type -P /usr/bin/meson meson | head -1)
mkdir -p "$logs"

# What a sanitizer finds ends the process with a code that no test expects.
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=0:exitcode=97
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=97
export TSAN_OPTIONS=second_deadlock_stack=1:exitcode=97

# TSan of gcc 12 cannot place its shadow where the kernel randomises 32 bits.
plain_layout=()
setarch -R true 2>/dev/null && plain_layout=(setarch -R)

passed=0 failed=0
add() { # name, log: the counts are in its last line
    local last
    last=$(tail -n 1 "$2")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        echo "$1: $last ($2)"
    else
        failed=$((failed + 1))
        echo "$1: FAIL, it broke: $last ($2)"
    fi
    grep -E '^(FAIL|skip) \[' "$2" | cut -c 1-300
}

build_and_test() { # name, sanitizers, options of the tests, command in front of them
    local name=$1 sanitizers=$2 options=$3 folder=build-$1 log=$logs/$1.log
    shift 3
    (
        if [ ! -e "$folder/build.ninja" ]; then
            "$meson" setup "$folder" -Db_sanitize="$sanitizers" || exit 1
        fi
        ninja -C "$folder" || exit 1
        # shellcheck disable=SC2086
        "$@" scripts/test.sh "$folder" --suite unit --suite cli $options
    ) >"$log" 2>&1 </dev/null
    add "$name" "$log"
}

build_and_test asan address,undefined '' env
build_and_test tsan thread '--no-suite measures' env "${plain_layout[@]}"
echo "tsan: the suite measures was not run: it counts threads, and TSan adds one to each process"
scripts/test.sh "$build" --setup valgrind --suite unit --no-suite needs_pidfd \
    >"$logs/valgrind.log" 2>&1
add valgrind "$logs/valgrind.log"
echo "valgrind: the suite needs_pidfd was not run: process pools take many minutes there"

scripts/ports.sh "$build" >"$logs/ports.log" 2>&1
add ports "$logs/ports.log"
grep ': not run' "$logs/ports.log"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
