#!/bin/bash
# Runs the tests of a build folder that is up to date and counts their cases:
#   test.sh BUILD                    make test
#   test.sh BUILD MESON_OPTION...    with options of `meson test`, e.g. --suite unit
#   test.sh --stress BUILD           full counts of the stress and fault tests, fault sites armed
# The last line is `N passed, N failed`; exit code 1 when anything failed.
set -uo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."
meson=$(type -P /usr/bin/meson meson | head -1)

options=()
if [ "${1-}" = --stress ]; then
    shift
    [ -e "$1/build.ninja" ] || "$meson" setup "$1" -Dfault_sites=true || exit 1
    ninja -C "$1" || exit 1
    export TRINE_STRESS=1
    options=(--suite stress --suite fault)
fi
build=${1:?usage: test.sh [--stress] BUILD [MESON_OPTION...]}
shift

# meson names the logs testlog*.json, after the setup where there is one.
rm -f "$build"/meson-logs/testlog*.json
"$meson" test -C "$build" --no-rebuild --print-errorlogs "${options[@]}" "$@" </dev/null
$(type -P /usr/bin/python3 python3 | head -1) scripts/count.py "$build"/meson-logs/testlog*.json
