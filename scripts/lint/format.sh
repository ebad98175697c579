#!/bin/bash
# All C files as clang-format 14 has them. To mend one: clang-format-14 -i FILE.
mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.c' '*.h' | sort -u |
    while read -r file; do [ -e "$file" ] && echo "$file"; done)
out=$(printf '%s\0' "${files[@]}" | xargs -0 -n 16 -P "$(nproc)" \
    clang-format-14 --dry-run -Werror 2>&1)
code=$?
grep -E 'clang-format-violations' <<<"$out" | sort -t: -k1,1 -k2,2n | sort -t: -u -k1,1 |
    
    sed -E 's/^([^:]*):([0-9]+):.*/FAIL format: \1:\2: mend it by clang-format-14 -i \1/'
[ $code -eq 0 ] && echo "ok format: ${#files[@]} files"
exit $code
