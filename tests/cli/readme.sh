#!/bin/bash
# The example in README.md compiles as it stands and prints what it should.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk '/^<!-- example:/ { found = 1 } found && /^```c$/ { on = 1; next } /^```$/ { on = 0 } on' \
    "$TRINE_SOURCE/README.md" > "$work/example.c"
lines=$(grep -c '[a-z]' "$work/example.c")
flags="-Wall -Wextra -Werror -I$TRINE_SOURCE/include"
sanitize=$(nm "$TRINE_BUILD/src/libtrine.so" | grep -oE '__(asan|tsan)_init' | head -1)
case $sanitize in
__asan_init) flags="$flags -fsanitize=address,undefined" ;;
__tsan_init) flags="$flags -fsanitize=thread" ;;
esac
if ! gcc $flags "$work/example.c" -o "$work/example" -L"$TRINE_BUILD/src" -ltrine \
    -Wl,-rpath,"$TRINE_BUILD/src" 2> "$work/errors"; then
    echo "FAIL readme_example_compiles: $(head -5 "$work/errors")"
    exit 1
fi
echo "ok readme_example_compiles"
if [ "$lines" -le 20 ]; then
    echo "ok readme_example_is_short"
else
    echo "FAIL readme_example_is_short: $lines lines"
    exit 1
fi
out=$("$work/example" 2>&1)
if [ $? -eq 0 ] && [ "$out" = "49 64 81" ]; then
    echo "ok readme_example_runs"
else
    echo "FAIL readme_example_runs: $out"
    exit 1
fi
