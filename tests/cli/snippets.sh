#!/bin/bash
# The snippets of docs/: each block of C compiles by itself, without a warning, as C11.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
prelude='#include <trine.h>
#include <trine/debug.h>
#include <trine/select.h>
#include <trine/signal.h>
#include <trine/sync.h>
#include <trine/task.h>
#include <errno.h>
#include <stdio.h>'

count=0
for page in "$TRINE_SOURCE"/docs/*.md; do
    awk -v work="$work" -v name="$(basename "$page" .md)" '
        /^```c$/ { file = work "/" name "-" ++n ".c"; next }
        /^```$/ { file = "" }
        file { print > file }' "$page"
done
for snippet in "$work"/*.c; do
    count=$((count + 1))
    name=$(basename "$snippet" .c)
    if why=$( (echo "$prelude" && cat "$snippet") | cc -std=c11 -Wall -Wextra -Werror \
        -I"$TRINE_SOURCE/include" -fsyntax-only -x c - 2>&1); then
        echo "ok ${name//-/_}_compiles"
    else
        echo "FAIL ${name//-/_}_compiles: ${why//$'\n'/ | }"
        failed=1
    fi
done
[ $count -ge 4 ] || { echo "FAIL there_are_snippets: $count" && failed=1; }
exit $failed
