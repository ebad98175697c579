#!/bin/bash
# ports.sh BUILD: the unit tests of the core on what this machine would not choose by itself: guard
# pages by mprotect, the switch by ucontext, and aarch64 under qemu-user where its compiler and qemu
# are installed (section [ports] of packages.txt). qemu-user says yes to MADV_GUARD_INSTALL and does
# nothing, so there the probe for guard pages is tested too. And control groups, in a machine of
# their own (vm.sh). The last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: ports.sh BUILD}
meson=$(type -P /usr/bin/meson meson | head -1)
logs=$build/ports
mkdir -p "$logs"
passed=0 failed=0

make_build() { # name, options of meson setup: builds the tests of the core
    local folder=build-$1
    shift
    if [ ! -e "$folder/build.ninja" ]; then
        "$meson" setup "$folder" -Dhttp=false "$@" || return 1
    fi
    ninja -C "$folder" $(programs "$build" | sed "s|^$build/||")
}

programs() { # folder
    for source in tests/unit/core_*.c; do
        echo "$1/tests/unit_$(basename "$source" .c)"
    done
}

# Each case is started from here, since a program under an emulator cannot start itself again.
run_cases() { # name, folder, command in front of each program
    local name=$1 folder=$2 log=$logs/$1.log ok=0 bad=0 program case line
    shift 2
    : >"$log"
    for program in $(programs "$folder"); do
        for case in $("$@" "$program" --list); do
            line=$(timeout 300 "$@" "$program" --case "$case" 2>>"$log" </dev/null)
            case $? in
            0) ok=$((ok + 1)) ;;
            77) echo "$name: $line" | tee -a "$log" ;;
            *)
                bad=$((bad + 1))
                echo "FAIL [$name $(basename "$program")] $case: $line" | tee -a "$log"
                ;;
            esac
        done
    done
    [ $((ok + bad)) -gt 0 ] || bad=1
    echo "$name: $ok passed, $bad failed ($log)"
    passed=$((passed + ok)) failed=$((failed + bad))
}

broken() { # name
    echo "$1: FAIL, it does not build ($logs/$1.build)"
    failed=$((failed + 1))
}

run_cases mprotect "$build" env TRINE_TEST_GUARD=mprotect
if make_build ucontext -Dcontext=ucontext >"$logs/ucontext.build" 2>&1 </dev/null; then
    run_cases ucontext build-ucontext env
else
    broken ucontext
fi
if [ -z "$(type -P qemu-aarch64)" ] || [ -z "$(type -P aarch64-linux-gnu-g++)" ]; then
    echo "aarch64: not run, its compiler or qemu-user is not installed"
elif make_build aarch64 --cross-file scripts/aarch64.ini \
    >"$logs/aarch64.build" 2>&1 </dev/null; then
    run_cases aarch64 build-aarch64 env TRINE_TEST_SLOW=10 \
        qemu-aarch64 -L /usr/aarch64-linux-gnu
else
    broken aarch64
fi

said=$(scripts/vm.sh "$build" 2>&1 </dev/null)
code=$?
echo "$said" >"$logs/vm.log"
if [ $code -eq 77 ]; then
    echo "$said"
else
    echo "$said" | grep -v '^ok '
    ok=$(echo "$said" | grep -c '^ok ') bad=$(echo "$said" | grep -c '^FAIL ')
    [ $((ok + bad)) -gt 0 ] || bad=1
    echo "vm: $ok passed, $bad failed ($logs/vm.log)"
    passed=$((passed + ok)) failed=$((failed + bad))
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
