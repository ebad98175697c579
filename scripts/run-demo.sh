#!/bin/bash
# make run: crawls the PostgreSQL manual, served from this machine, by following links; or with
# `run-demo.sh URL` that page and the pages of its host that it links to.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
trine=$build/cli/trine
pages=/usr/share/doc/postgresql-doc-15/html

finish() {
    echo
    echo "The pages are in $1. A query to try:"
    echo "  sqlite3 $1 'SELECT words, title, url FROM pages ORDER BY words DESC LIMIT 10'"
}

if [ -n "${1-}" ]; then
    "$trine" crawl --depth 1 --store crawl.db "$1"
    finish crawl.db
    exit 0
fi

# What this machine serves is not fetched through a proxy.
export no_proxy=127.0.0.1${no_proxy:+,$no_proxy}

# The port is another one each time, so an old store has nothing that this crawl could skip.
store=$build/demo.db
rm -f "$store" "$store-wal" "$store-shm"
coproc SERVER { exec "$trine" serve --port 0 --log "$build/serve.log" "$pages"; }
server=$SERVER_PID
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
if ! read -r -t 10 url <&"${SERVER[0]}"; then
    echo "make run: trine serve did not say where it listens" >&2
    exit 1
fi
echo "Serving $pages at $url (log: $build/serve.log)"
"$trine" crawl --depth 50 --store "$store" "$url/index.html"
finish "$store"
