#!/bin/bash
# The parse of real pages against tests/cli/reference.py, which shares nothing with it but the
# definition of words, titles and links: at least 99.5 % of the pages must agree exactly on words.
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0

compare() { # name, folder
    if [ ! -d "$2" ]; then
        echo "skip $1: no $2 here (scripts/setup.sh installs it)"
    elif ! "$TRINE_BUILD/tests/page_dump" "$2" >"$work/dump"; then
        echo "FAIL $1: page_dump"
        failed=1
    elif "$TRINE_SOURCE/tests/cli/reference.py" --dump "$work/dump" "$2" >"$work/out"; then
        echo "ok $1"
    else
        echo "FAIL $1: $(head -c 2000 "$work/out" | tr '\n' '|')"
        failed=1
    fi
}

compare reference_agrees_on_postgresql /usr/share/doc/postgresql-doc-15/html
compare reference_agrees_on_python /usr/share/doc/python3.11/html

# And the comparison itself finds a page that is wrong.
mkdir "$work/site"
echo '<title>t</title><p>one two <a href=x>three</a>' >"$work/site/a.html"
"$TRINE_BUILD/tests/page_dump" "$work/site" | sed 's/"words":3/"words":4/' >"$work/dump"
if "$TRINE_SOURCE/tests/cli/reference.py" --dump "$work/dump" "$work/site" >"$work/out"; then
    echo "FAIL reference_finds_a_difference: it did not"
    failed=1
elif grep -q 'a.html: words: reference 3, trine 4' "$work/out"; then
    echo "ok reference_finds_a_difference"
else
    echo "FAIL reference_finds_a_difference: $(cat "$work/out")"
    failed=1
fi
exit $failed
