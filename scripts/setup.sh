#!/bin/bash
# Installs the Debian packages of scripts/packages.txt that are missing:
# setup.sh [--test|--stress|--bench|--ports].
# Asks nothing, needs root or sudo only when something is missing, and is quick when nothing is.
# On a system without apt-get it names what is missing and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

sections=" build "
[ "${1-}" = --test ] && sections=" build test "
[ "${1-}" = --stress ] && sections=" build stress "
[ "${1-}" = --bench ] && sections=" build bench "
[ "${1-}" = --ports ] && sections=" build ports "

found() { # cmd:NAME, pc:NAME or file:PATH
    case $1 in
    cmd:*) [ -n "$(type -P "${1#*:}")" ] ;;
    pc:*) pkg-config --exists "${1#*:}" 2>/dev/null ;;
    file:*) [ -e "${1#*:}" ] ;;
    *) echo "scripts/packages.txt: \"$1\" is none of cmd:, pc:, file:" >&2 && exit 1 ;;
    esac
}

section= missing=() missing_checks=()
while read -r name check _; do
    case $name in
    '' | '#'*) continue ;;
    \[*\]) section=${name:1:-1} && continue ;;
    esac
    if [[ $sections == *" $section "* ]] && ! found "$check"; then
        missing+=("$name")
        missing_checks+=("$check")
    fi
done <scripts/packages.txt
[ ${#missing[@]} -eq 0 ] && exit 0

if [ -z "$(type -P apt-get)" ] || [ -z "$(type -P dpkg)" ]; then
    echo "setup: this system has no apt-get. Please install what provides:" >&2
    for i in "${!missing[@]}"; do
        echo "  ${missing_checks[$i]}   (Debian: ${missing[$i]})" >&2
    done
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
        echo "setup: needs root, or sudo without a password. Please run as root:" >&2
        echo "  apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi

# A package's service must not start here (nginx would take port 80): policy-rc.d says so while we
# install, unless the system has a policy of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
fi

# Small images leave documentation out; the pages of make run and make bench are documentation. A
# package that is there without its files is installed again.
echo "setup: installing ${missing[*]}" >&2
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q)
"${apt[@]}" update
"${apt[@]}" install --no-install-recommends --reinstall \
    -o Dpkg::Options::=--path-include='/usr/share/doc/*' \
    -o Dpkg::Options::=--force-confold "${missing[@]}" </dev/null

for i in "${!missing[@]}"; do
    if ! found "${missing_checks[$i]}"; then
        echo "setup: ${missing[$i]} is installed, but ${missing_checks[$i]} is not there" >&2
        exit 1
    fi
done
