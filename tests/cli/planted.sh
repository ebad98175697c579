#!/bin/bash
# Errors planted on a coroutine's stack are reported by AddressSanitizer, on the right line. In
# builds without it the planted program must at least run to its end where nothing is planted.
failed=0
program=$TRINE_BUILD/tests/planted
source=$TRINE_SOURCE/tests/unit/planted.c

out=$("$program" none 2>&1)
if [ "$out" = "ran to the end: 0" ]; then
    echo "ok nothing_planted_nothing_reported"
else
    echo "FAIL nothing_planted_nothing_reported: $out"
    failed=1
fi

expect() { # case, argument, report, marker
    local line out
    line=$(grep -n "planted: $4" "$source" | tail -1 | cut -d: -f1)
    # UBSan may see it first; here it may not end the program before ASan looks
    out=$(UBSAN_OPTIONS=halt_on_error=0 "$program" "$2" 2>&1)
    if grep -q "$3" <<<"$out" && grep -q "#0 .*planted.c:$line" <<<"$out"; then
        echo "ok $1"
    else
        echo "FAIL $1: no $3 at line $line in: ${out:0:600}"
        failed=1
    fi
}

# A stack that overflows ends the program at its guard page, whichever kind of guard there is.
for guard in default mprotect; do
    (ulimit -c 0; ASAN_OPTIONS=handle_segv=0 TSAN_OPTIONS=handle_segv=0 \
        exec "$program" deep $guard > /dev/null 2>&1) 2> /dev/null
    code=$?
    if [ $code -eq 139 ]; then
        echo "ok overflow_hits_the_guard_$guard"
    else
        echo "FAIL overflow_hits_the_guard_$guard: exit code $code is not 139 (SIGSEGV)"
        failed=1
    fi
    out=$("$program" none $guard 2>&1)
    if [ "$out" = "ran to the end: 0" ]; then
        echo "ok runs_with_guard_$guard"
    else
        echo "FAIL runs_with_guard_$guard: $out"
        failed=1
    fi
done

if nm "$program" | grep -q __asan_init; then
    expect overflow_is_reported_on_its_line overflow stack-buffer-overflow overflow
    expect use_after_scope_is_reported_on_its_line scope stack-use-after-scope 'use after scope'
else
    echo "skip overflow_is_reported_on_its_line: not built with AddressSanitizer"
    echo "skip use_after_scope_is_reported_on_its_line: not built with AddressSanitizer"
fi
exit $failed
