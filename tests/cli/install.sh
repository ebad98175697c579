#!/bin/bash
# What `make install` puts somewhere can be used from there: programs build by pkg-config alone,
# against the shared and the static library, and a core program needs no library but libc's.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

check() { # name, command...
    local name=$1 why
    shift
    if why=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "FAIL $name: ${why//$'\n'/ | }"
        failed=1
    fi
}

meson=$(type -P /usr/bin/meson meson | head -1)
check installs env DESTDIR="$work" "$meson" install --no-rebuild -C "$TRINE_BUILD"
pc=$(find "$work" -name trine.pc -printf '%h\n')
lib=${pc%/pkgconfig}
export PKG_CONFIG_LIBDIR=$pc:$(pkg-config --variable pc_path pkg-config)
flags() { # pkg-config's words, with our paths below $work
    pkg-config "$@" | sed "s#\(-[IL]\)/usr/local#\1$work/usr/local#g"
}

cat >"$work/core.c" <<'C'
#include <trine.h>
static int add(int *n) { return ++*n; }
TRINE_TASK(add, int);
int main(void) {
    int n = 41;
    return trine_run(add, &n) == 42 && n == 42 ? 0 : 1;
}
C
cat >"$work/http.c" <<'C'
#include <trine/http.h>
#include <string.h>
int main(void) {
    trine_buf url = {0};
    trine_http *http;
    trine_http_response r = {0};
    if (trine_url_join("http://a/b", "c", &url) < 0 || strncmp(url.ptr, "http://a/c", url.len) != 0)
        return 1;
    trine_buf_free(&url);
    if (trine_http_open(&http, NULL) < 0)
        return 2;
    int error = trine_http_get(http, "http://127.0.0.1:1/", &r); /* nobody listens there */
    trine_http_response_free(&r);
    trine_http_close(&http);
    return error < 0 ? 0 : 3;
}
C
build() { # name, flags...
    local name=$1
    shift
    # shellcheck disable=SC2086 # words on purpose
    ${CC:-cc} $SANITIZE -std=c11 -pedantic -Wall -Wextra -Werror "$work/$name.c" "$@" \
        -o "$work/$name" && LD_LIBRARY_PATH=$lib "$work/$name"
}
# A library with a sanitizer in it wants the program to begin with one.
SANITIZE=
nm -D "$lib/libtrine.so" | grep -q __asan_init && SANITIZE=-fsanitize=address,undefined
nm -D "$lib/libtrine.so" | grep -q __tsan_init && SANITIZE=-fsanitize=thread

# shellcheck disable=SC2046
check core_program_with_the_shared_library build core $(flags --cflags --libs trine)
# shellcheck disable=SC2046
check http_program_with_the_shared_library build http $(flags --cflags --libs trine-http)
only_libc() {
    local extra
    extra=$(LD_LIBRARY_PATH=$lib ldd "$lib/libtrine.so" |
        grep -vE 'linux-vdso|libc\.so|ld-linux|lib[atu]b?san|libubsan|libm\.so|libgcc_s|libstdc')
    [ -z "$extra" ] || { echo "libtrine.so needs more than libc: $extra" && false; }
}
check the_core_needs_libc_alone only_libc
# Workers of a program in C++, which finds itself whatever the way it was started by, and though it
# has left its directory.
cat >"$work/workers.cpp" <<'C'
#include <stdexcept>
#include <trine.h>
#include <unistd.h>
struct number { int in, out; };
static int twice(number *n) {
    try {
        throw std::runtime_error("caught");
    } catch (const std::exception &) {
        n->out = 2 * n->in;
    }
    return 0;
}
TRINE_TASK(twice, number);
int main(int argc, char **argv) {
    trine_init(argc, argv);
    trine_executor *pool;
    number n[4] = {{1, 0}, {2, 0}, {3, 0}, {4, 0}};
    int r = chdir("/");
    if (r == 0)
        r = trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = 2));
    if (r < 0)
        return 1;
    r = trine_map_all(pool, twice, n, 4);
    trine_executor_close(&pool);
    return r == 0 && n[3].out == 8 ? 0 : 2;
}
C
start_workers() {
    mkdir -p "$work/bin"
    # shellcheck disable=SC2046,SC2086
    ${CXX:-c++} $SANITIZE -std=c++20 -Wall -Wextra -Werror "$work/workers.cpp" \
        $(flags --cflags --libs trine) -Wl,--build-id -o "$work/bin/workers" || return
    export LD_LIBRARY_PATH=$lib
    "$work/bin/workers" || { echo "by its path: $?"; return 1; }
    (cd "$work/bin" && ./workers) || { echo "by ./: $?"; return 1; }
    (cd "$work" && bin/workers) || { echo "by a relative path: $?"; return 1; }
    (cd / && PATH=$work/bin:$PATH workers) || { echo "by PATH: $?"; return 1; }
}
check a_program_in_cpp_starts_workers_however_it_is_started start_workers
# A worker finds a task by the build id of its module.
cat >"$work/nameless.c" <<'C'
#include <errno.h>
#include <trine.h>
int main(int argc, char **argv) {
    trine_init(argc, argv);
    trine_executor *pool;
    int r = trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = 1));
    if (r == 0)
        trine_executor_close(&pool);
    return r == 0 ? 1 : r == -ENOEXEC ? 0 : 2;
}
C
# shellcheck disable=SC2046
check a_program_without_a_build_id_opens_no_process_pool build nameless \
    $(flags --cflags --libs trine) -Wl,--build-id=none

# shellcheck disable=SC2046
check core_program_with_the_static_library build core $(flags --cflags trine) \
    -l:libtrine.a $(flags --libs-only-L trine) -pthread
check no_private_header_is_installed test ! -e "$work/usr/local/include/core"
check the_command_is_installed "$work/usr/local/bin/trine" --version
exit $failed
