#!/bin/bash
# The manual: what is installed of it reads without a complaint of groff, and no public header, and
# no function that the libraries export, is without a page.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

report() { # name, what is wrong
    if [ -z "$2" ]; then
        echo "ok $1"
    else
        echo "FAIL $1: ${2//$'\n'/ | }"
        failed=1
    fi
}

meson=$(type -P /usr/bin/meson meson | head -1)
DESTDIR="$work" "$meson" install --no-rebuild -C "$TRINE_BUILD" >"$work/log" 2>&1 ||
    report installs "$(tail -n 3 "$work/log")"
man=$(dirname "$(find "$work" -name trine.3)")
include=$(dirname "$(find "$work" -name trine.h)")

cd "$TRINE_SOURCE/include" || exit 1
missing=
while read -r header; do
    page=${header%.h}
    [ -e "$include/$header" ] && [ -s "$man/${page//\//_}.3" ] || missing+="$header "
done < <(find . -name '*.h' -printf '%P\n')
report each_public_header_is_installed_and_has_a_page "$missing"

missing=
while read -r _ symbol; do
    symbol=${symbol%%@*}
    case $symbol in trine_*) # trine_select's page is its header's
        grep -qsE "^\.so man3/|\b$symbol\(" "$man/$symbol.3" || missing+="$symbol "
        ;;
    esac
done <"$TRINE_SOURCE/scripts/lint/symbols.txt"
report each_exported_function_has_a_page "$missing"

lost= said=
for page in "$man"/*.3 "${man%3}1"/*.1; do
    read -r first <"$page"
    target=${first#.so }
    if [ "$target" != "$first" ]; then
        grep -q "$(basename "$page" .3)" "$man/../$target" || lost+="$(basename "$page") "
    else
        said+=$(groff -man -Tutf8 -ww "$page" 2>&1 >/dev/null | sed "s#$work##")
    fi
done
report a_functions_page_leads_to_one_that_tells_of_it "$lost"
report the_pages_read_without_a_complaint "$said"

options() { # of a text; "-" alone is no option
    grep -oE -- '(^|[^a-z0-9-])-{1,2}[a-z][a-z-]*' | grep -oE -- '-{1,2}[a-z][a-z-]*' | sort -u
}
differ=
for command in bench choose crawl export serve; do
    helped=$("$TRINE" help "$command" | grep -E '^ +-' | options)
    told=$(sed -n '/^\.SH OPTIONS/,/^\.SH [^O]/p' "$TRINE_SOURCE/man/trine-$command.1" |
        grep -A 1 '^\.TP' | grep '^\.B' | sed 's/\\-/-/g' | options)
    [ -n "$helped" ] && [ "$helped" = "$told" ] ||
        differ+="$command: $(diff <(echo "$helped") <(echo "$told") | grep '^[<>]' | tr '\n' ' ')"
done
report each_option_of_help_has_a_paragraph_and_no_other "$differ"

text=$(groff -man -Tascii -P-cbou "$man/trine.3")
shown=
for words in 'int trine_sleep(int64_t ns);' 'Waits for `ns` nanoseconds' 'TRINE_SCOPE(...)'; do
    grep -qF -- "$words" <<<"$text" || shown+="\"$words\" is not in trine(3) "
done
grep -qE 'TRINE_(PUBLIC|MUST_USE|ZERO)_|__attribute__|__cplusplus' <<<"$text" &&
    shown+="trine(3) shows what only a compiler wants "
report a_page_shows_declarations_and_what_they_mean "$shown"
exit $failed
