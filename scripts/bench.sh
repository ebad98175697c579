#!/bin/bash
# make bench: runs each bench/NAME.sh or NAME.py, which measure one topic beside its peers and print
# a table: bench.sh BUILD [NAME...]. They find the built programs in $TRINE_BUILD/bench.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench.sh BUILD [NAME...]}
shift
TRINE_SOURCE=$PWD
TRINE_BUILD=$(cd "$build" && pwd)
export TRINE_SOURCE TRINE_BUILD TRINE=$TRINE_BUILD/cli/trine

ran=0 failed=0
for script in bench/*.sh bench/*.py; do
    name=$(basename "${script%.*}")
    if [ -x "$script" ] && { [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; }; then
        echo "== $name"
        ran=$((ran + 1))
        "$script" || failed=$((failed + 1))
    fi
done
if [ $ran -eq 0 ]; then
    echo "make bench: there is no such benchmark in bench/" >&2
    exit 1
fi
exit $((failed > 0))
