#!/bin/bash
# clang-tidy (checks: .clang-tidy) over the sources of the compile database: tidy.sh BUILD
build=$1
mapfile -t files < <(/usr/bin/env python3 -c '
import json, os, sys
build = sys.argv[1]
with open(build + "/compile_commands.json", encoding="utf-8") as f:
    paths = {os.path.relpath(os.path.join(e["directory"], e["file"])) for e in json.load(f)}
print("\n".join(sorted(p for p in paths if p.endswith(".c") and os.path.exists(p))))' "$build")
# One file a process: clang-tidy 14 takes each va_list of a second file to be uninitialised.
out=$(printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" \
    clang-tidy-14 --quiet -p "$build" 2>&1)
code=$?
# It skips a file that it finds no command for, and calls that success.
said=$(grep -E '(warning|error): |^Skipping' <<<"$out" | sort -u)
[ -n "$said" ] && sed "s#$PWD/##g; s#^\(\.\./\)*##; s#^[^ ]*/\\.\\./##; s/^/FAIL tidy: /" <<<"$said"
[ $code -ne 0 ] && [ -z "$said" ] && echo "FAIL tidy: exit code $code without a warning: $out"
[ $code -eq 0 ] && [ -z "$said" ] && echo "ok tidy: ${#files[@]} files"
[ $code -eq 0 ] && [ -z "$said" ]
