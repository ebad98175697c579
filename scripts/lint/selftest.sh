#!/bin/bash
# Each lint on a small clean project, where it must be content, and then on the same with one
# breach planted, which it must name.
set -uo pipefail
lint=$(cd "$(dirname "$0")" && pwd)
clean=$(mktemp -d) work=$(mktemp -d)
trap 'rm -rf "$clean" "$work"' EXIT
bad=0

make_clean() {
    mkdir -p include src/core src/exec cli tests/compile_fail build/src scripts/lint
    cp "$lint/../../.clang-format" "$lint/../../.clang-tidy" .
    printf '#ifndef TRINE_H\n#define TRINE_H\n#define TRINE_ONE 1\n#endif\n' >include/trine.h
    printf '#include <trine.h>\nextern int a_value;\n' >src/core/a.h
    printf '#include "core/a.h"\n\nint a_value = TRINE_ONE;\n' >src/core/a.c
    echo 'extern int pool_value;' >src/exec/pool.h
    printf '#include <trine.h>\n\nint main(void) {\n    return TRINE_ONE - 1;\n}\n' >cli/main.c
    echo "files('core/a.c')" >src/meson.build
    echo "files('main.c')" >cli/meson.build
    printf '#include <trine.h>\nextern int one;\nint one = TRINE_ONE;\n' \
        >tests/compile_fail/every_macro.c
    printf '/* expect: breach_[a-z]+ */\nextern int x;\n' >tests/compile_fail/wrong.c
    printf '#ifdef BREACH\nint x = breach_is_here;\n#endif\n' >>tests/compile_fail/wrong.c
    echo "[{\"directory\": \"$work\", \"file\": \"cli/main.c\"," \
        '"command": "cc -Iinclude -c cli/main.c"}]' >build/compile_commands.json
    for name in trine trine-http; do
        echo "int ${name#*-}_call(void) { return 0; }" |
            gcc -shared -fPIC -x c -o build/src/lib$name.so -
    done
    "$lint/symbols.py" build --update >/dev/null
    echo build >.gitignore
    git init -q .
}

reset_work() {
    rm -rf "$work"
    cp -a "$clean" "$work"
    cd "$work" || exit 1
}

# plant LINT WORDS COMMAND: after COMMAND the lint fails and its output has WORDS.
plant() {
    local out code
    reset_work
    eval "$3"
    out=$("$lint/$1" build 2>&1)
    code=$?
    if [ $code -ne 0 ] && grep -qF -- "$2" <<<"$out"; then
        echo "ok selftest: $1 sees \"$2\""
    else
        echo "FAIL selftest: $1 does not say \"$2\" (exit code $code): ${out//$'\n'/ | }"
        bad=1
    fi
}

lines() { # N copies of a line
    yes "$2" | head -n "$1"
}

cd "$clean" && make_clean
for name in format.sh layers.py house.py symbols.py headers.sh compile_fail.sh tidy.sh; do
    reset_work
    if out=$("$lint/$name" build 2>&1); then
        echo "ok selftest: $name is content with a clean project"
    else
        echo "FAIL selftest: $name on a clean project: ${out//$'\n'/ | }"
        bad=1
    fi
done

plant format.sh "src/core/a.c:3" "sed -i 's/ = / =  /' src/core/a.c"
plant layers.py "includes exec/pool.h" "echo '#include \"exec/pool.h\"' >>src/core/a.c"
plant layers.py "cli may use" "echo '#include \"../src/core/a.h\"' >>cli/main.c"
plant layers.py "no such file" "echo '#include \"core/a.h\"' >>cli/main.c"
plant layers.py "curl/curl.h belongs" "echo '#include <curl/curl.h>' >>src/core/a.c"
plant layers.py "has no place" "mkdir src/new && echo '#include <core/a.h>' >src/new/n.c"
plant layers.py "cycle: src/core/a.h -> src/core/b.h -> src/core/a.h" \
    "echo '#include \"core/b.h\"' >>src/core/a.h; echo '#include \"core/a.h\"' >src/core/b.h"
plant house.py "601 lines" "lines 601 '/* long */' >src/core/long.h"
plant house.py "function of 61 lines" \
    "{ echo 'int f(void) {'; lines 59 '    g();'; echo '}'; } >src/core/f.h"
plant house.py "function of 62 lines" \
    "{ printf 'int f(int a,\n      int b) {\n'; lines 59 '    g();'; echo '}'; } >src/core/f.h"
plant house.py "101 columns" "printf '/*%97s*/\n' '' >src/core/wide.h"
plant house.py "SIGCHLD" "echo 'void f(void) { signal(SIGCHLD, h); }' >src/core/s.h"
plant house.py "unfinished" "echo '/* TO''DO: more */' >src/core/t.h"
plant house.py "src/core/b.c: not named" "echo '/* b */' >src/core/b.c"
for call in system sprintf vsprintf strcpy strcat gets shm_open shmget sem_open semget mq_open \
    msgget; do
    plant house.py "a.h:3: $call:" "echo 'int f(void) { return $call(0); }' >>src/core/a.h"
done
plant symbols.py "other_call: exported, but not in" \
    "echo 'int other_call(void) { return 0; }' | gcc -shared -fPIC -x c -o build/src/libtrine.so -"
plant symbols.py "gone_call: in" "echo 'libtrine.so gone_call' >>scripts/lint/symbols.txt"
plant headers.sh "lonely.h with gcc" "echo 'size_t f(void);' >include/lonely.h"
plant headers.sh "with g++" "echo 'int f(int class);' >include/not_cpp.h"
wrong=tests/compile_fail/wrong.c macros=tests/compile_fail/every_macro.c
plant compile_fail.sh "compiles with -DBREACH" "sed -i 's/ = breach.*/;/' $wrong"
plant compile_fail.sh "says something else" "sed -i 's/breach_\[/bleach_[/' $wrong"
plant compile_fail.sh "wrong.c with gcc" "echo 'int x = y;' >>$wrong"
plant compile_fail.sh "does not use TRINE_TWO" "echo '#define TRINE_TWO 2' >>include/trine.h"
plant compile_fail.sh "every_macro.c with g++" "echo 'int class;' >>$macros"
plant tidy.sh "clang-analyzer-core.NullDereference" \
    "echo 'int *gone(void) { int *p = 0; *p = 1; return p; }' >>cli/main.c"
plant tidy.sh "Skipping" "sed -i 's#\"$work\"#\".\"#' build/compile_commands.json"
exit $bad
