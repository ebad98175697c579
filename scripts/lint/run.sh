#!/bin/bash
# make lint: all lints, then their self-test. run.sh BUILD; the last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

broken=0
run() { # a lint that fails without a word is a failure too
    local before after
    before=$(grep -c '^FAIL' "$log")
    "$@" 2>&1 </dev/null | tee -a "$log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        after=$(grep -c '^FAIL' "$log")
        if [ "$before" -eq "$after" ]; then
            echo "FAIL $1: broke" | tee -a "$log"
        fi
        broken=1
    fi
}

run scripts/lint/format.sh
run scripts/lint/layers.py
run scripts/lint/house.py
run scripts/lint/symbols.py "$build"
run scripts/lint/headers.sh
run scripts/lint/compile_fail.sh
run scripts/lint/clang.sh
run scripts/lint/tidy.sh "$build"
run scripts/lint/selftest.sh "$build"

failed=$(grep -c '^FAIL ' "$log")
echo "$(grep -c '^ok ' "$log") passed, $failed failed"
[ "$failed" -eq 0 ] && [ $broken -eq 0 ]
