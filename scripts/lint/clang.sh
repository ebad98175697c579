#!/bin/bash
# The whole project builds with the second compiler too, without a warning: clang.sh. It warns of
# other things than gcc, and programs that use the library may be built with it.
set -uo pipefail
cd "$(dirname "$0")/../.."
meson=$(type -P /usr/bin/meson meson | head -1)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! -e build-clang/build.ninja ]; then
    CC=clang-14 CXX=clang++-14 "$meson" setup build-clang >"$log" 2>&1 </dev/null ||
        { cat "$log" && exit 1; }
fi
if ninja -k 0 -C build-clang >"$log" 2>&1; then
    echo "ok clang: all of it builds"
else
    grep -E '(error|warning):' "$log" | sort -u | sed 's/^/FAIL clang: /'
    exit 1
fi
