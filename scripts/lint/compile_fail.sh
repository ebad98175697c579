#!/bin/bash
# tests/compile_fail: NAME.c compiles as it is; with -DBREACH it does not, and each compiler's words
# match the extended regular expression after `expect:` in its first lines. every_macro.c uses each
# public macro, and compiles as C11 and as C++20.
bad=0 count=0
strict=(-pedantic -Wall -Wextra -Werror -c -o /dev/null -Iinclude)

fail() {
    echo "FAIL compile_fail: $1"
    bad=1
}

for file in tests/compile_fail/*.c; do
    [ "$file" = tests/compile_fail/every_macro.c ] && continue
    expect=$(sed -n 's/.*expect: *\(.*[^ ]\) *\*\/.*/\1/p' "$file" | head -1)
    [ -n "$expect" ] || fail "$file: no /* expect: REGEX */ in it"
    for compiler in "gcc -std=c11" "clang-14 -std=c11"; do
        count=$((count + 1))
        why=$($compiler "${strict[@]}" "$file" 2>&1) ||
            fail "$file with $compiler: ${why//$'\n'/ | }"
        if why=$($compiler "${strict[@]}" -DBREACH "$file" 2>&1); then
            fail "$file: compiles with -DBREACH by $compiler"
        elif ! grep -qE -- "$expect" <<<"$why"; then
            fail "$file: $compiler says something else than /$expect/: ${why//$'\n'/ | }"
        fi
    done
done

file=tests/compile_fail/every_macro.c
for compiler in "gcc -x c -std=c11" "clang-14 -x c -std=c11" \
    "g++ -x c++ -std=c++20" "clang++-14 -x c++ -std=c++20"; do
    count=$((count + 1))
    why=$($compiler "${strict[@]}" $file 2>&1) || fail "$file with $compiler: ${why//$'\n'/ | }"
done
# Names that end in _ are private, those that end in _H are guards.
for macro in $(grep -rhoE '^#[ ]*define +[A-Za-z0-9_]+' include | awk '{print $NF}' | sort -u |
    grep -vE '(_|_H)$'); do
    grep -qw -- "$macro" $file || fail "$file: does not use $macro"
done
[ $bad -eq 0 ] && echo "ok compile_fail: $count compilations"
exit $bad
