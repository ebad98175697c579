#!/bin/bash
# Each public header compiles alone, as C11 and as C++20, with both compilers and no warning.
bad=0 count=0
strict=(-pedantic -Wall -Wextra -Werror -fsyntax-only -Iinclude)
for header in $(cd include && find . -name '*.h' | sort); do
    for compiler in "gcc -x c -std=c11" "clang-14 -x c -std=c11" \
        "g++ -x c++ -std=c++20" "clang++-14 -x c++ -std=c++20"; do
        count=$((count + 1))
        if ! why=$($compiler "${strict[@]}" - 2>&1 \
            <<<"#include \"${header#./}\""$'\nextern int not_empty;'); then
            echo "FAIL headers: ${header#./} with $compiler: ${why//$'\n'/ | }"
            bad=1
        fi
    done
done
[ $bad -eq 0 ] && echo "ok headers: $count compilations"
exit $bad
