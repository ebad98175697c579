/* zygote.c - the program's side of the zygote: starting it, requests, its death; and trine_init.
 *
 * Requests of several pools go over one socket that keeps message boundaries, so one sendmsg is one
 * request; answers go over a socket per worker, so nothing must be sorted out here. The socket is
 * also the lifeline: when our end closes, for whatever reason, the zygote ends.
 *
 * Lock order: `lock` is taken by itself; it is held while a zygote starts, so that pools opened at
 * the same time wait for one instead of starting two.
 *
 * Rejected: one zygote a pool (a start of 2 to 23 ms each); PR_SET_PDEATHSIG for the zygote (it
 * strikes when the thread that started it ends); a thread that reaps it (its pidfd does). */
#include "exec/zygote.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fdpass.h"
#include "base/panic.h"
#include "base/spawn.h"
#include "exec/modules.h"

#include <trine.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_TIMEOUT_MS = 30000, END_TIMEOUT_MS = 10000 };

static struct {
    pthread_mutex_t lock;
    unsigned users, starts;
    int sock; /* -1: none runs */
    pid_t pid;
    int pidfd;          /* -1: it could not be had */
    int64_t full_since; /* when there was no room for a request; 0: there is */
} zygote = {.lock = PTHREAD_MUTEX_INITIALIZER, .sock = -1, .pidfd = -1};

static atomic_bool initialized;
static char *program_name; /* argv[0] */

void trine_init(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], ZYGOTE_MARK) == 0)
        zygote_main((pid_t)atol(argv[2]));
    program_name = argc > 0 ? argv[0] : NULL;
    atomic_store(&initialized, true);
}

void zygote_require_init(void) {
    REQUIRE(atomic_load(&initialized), "a process pool was opened in a program that did not call "
                                       "trine_init: make trine_init(argc, argv) the first line of "
                                       "main");
}

/* Polls one descriptor, for at most `ms`. */
static bool await_readable(int fd, int ms) {
    int64_t deadline = clock_monotonic() + (int64_t)ms * 1000000;
    struct pollfd event = {.fd = fd, .events = POLLIN};
    int n;
    do {
        int64_t left = (deadline - clock_monotonic()) / 1000000;
        n = poll(&event, 1, left > 0 ? (int)left : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* It is not reaped here; a program that reaps all its children may have done so. */
static bool has_ended(void) {
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)zygote.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

/* False: it has more rights than the program has by now. */
static bool send_kill(void) {
    if (zygote.pidfd >= 0)
        return syscall(SYS_pidfd_send_signal, zygote.pidfd, SIGKILL, NULL, 0) == 0 ||
               errno == ESRCH;
    return has_ended() || kill(zygote.pid, SIGKILL) == 0;
}

/* False: it hangs. */
static bool await_end(void) {
    if (zygote.pidfd >= 0)
        return await_readable(zygote.pidfd, END_TIMEOUT_MS);
    for (int ms = 0; !has_ended(); ms++) {
        if (ms == END_TIMEOUT_MS)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

/* Under the lock. `kill_it`: it has to end now, otherwise it ends because its lifeline closes: for
 * all who have it, since a child that the program forked may be one. */
static void stop(bool kill_it) {
    shutdown(zygote.sock, SHUT_RDWR);
    close(zygote.sock);
    zygote.sock = -1;
    bool ends = (!kill_it && await_end()) || send_kill();
    while (ends && waitpid(zygote.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (zygote.pidfd >= 0)
        close(zygote.pidfd);
    zygote.pidfd = -1;
}

/* The program's file: by its path, so that the zygote has its name; when the file was deleted or
 * replaced, or cannot be reached by that path, the link in /proc still leads to the one that runs
 * (but not under valgrind, where it leads to valgrind). */
static const char *program_path(char *space, size_t size) {
    static const char link[] = "/proc/self/exe", deleted[] = " (deleted)";
    ssize_t n = readlink(link, space, size - 1);
    if (n <= 0 || n >= (ssize_t)size - 1)
        return link;
    space[n] = '\0';
    size_t tail = sizeof(deleted) - 1;
    if ((size_t)n > tail && strcmp(space + n - tail, deleted) == 0)
        return link;
    return access(space, X_OK) == 0 ? space : link;
}

static int spawn_zygote(int far_end) {
    char path[4096], parent[24];
    snprintf(parent, sizeof(parent), "%ld", (long)getpid());
    const char *file = program_path(path, sizeof(path));
    char *argv[] = {program_name ? program_name : path, (char *)ZYGOTE_MARK, parent, NULL};
    int fds[] = {SPAWN_NULL, STDOUT_FILENO, STDERR_FILENO, far_end};
    return spawn_process(file, argv, fds, sizeof(fds) / sizeof(fds[0]), &zygote.pid);
}

/* Waits for the greeting: 0, or what is wrong. */
static int check_greeting(void) {
    struct build_id own;
    struct zygote_greeting greeting;
    if (modules_program(&own) < 0)
        return -ENOEXEC;
    if (!await_readable(zygote.sock, READY_TIMEOUT_MS) ||
        fdpass_receive(zygote.sock, &greeting, sizeof(greeting), NULL, 0) <= 0)
        return -EPROTO;
    if (greeting.magic != ZYGOTE_MAGIC)
        return -EPROTO;
    return memcmp(&greeting.program, &own, sizeof(own)) == 0 ? 0 : -ENOEXEC;
}

/* Under the lock. */
static int start(void) {
    int ends[2];
    if (FAULT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), -1, EMFILE, ENFILE) < 0)
        return -errno;
    int r = spawn_zygote(ends[1]);
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    zygote.sock = ends[0];
    zygote.full_since = 0;
    zygote.starts++;
    zygote.pidfd = (int)syscall(SYS_pidfd_open, zygote.pid, 0);
    r = check_greeting();
    if (r < 0)
        stop(true);
    return r;
}

int zygote_ref(void) {
    pthread_mutex_lock(&zygote.lock);
    int r = zygote.sock >= 0 ? 0 : start();
    if (r >= 0)
        zygote.users++;
    pthread_mutex_unlock(&zygote.lock);
    return r;
}

void zygote_unref(void) {
    pthread_mutex_lock(&zygote.lock);
    if (--zygote.users == 0 && zygote.sock >= 0)
        stop(false);
    pthread_mutex_unlock(&zygote.lock);
}

/* The group's descriptor is the last one. -ENOBUFS: it has to read what was sent before; if it
 * never does it is killed. */
static int send_request(const struct fork_request *request, const int fds[REQUEST_FDS]) {
    size_t n = fds[REQUEST_GROUP] < 0 ? REQUEST_GROUP : REQUEST_FDS;
    int r = fdpass_send(zygote.sock, request, sizeof(*request), fds, n);
    if (r != -EAGAIN) {
        zygote.full_since = 0;
        return r;
    }
    int64_t now = clock_monotonic();
    if (!zygote.full_since)
        zygote.full_since = now;
    else if (now - zygote.full_since > (int64_t)END_TIMEOUT_MS * 1000000)
        send_kill();
    return -ENOBUFS;
}

void zygote_signal(unsigned id, pid_t pid, int signal) {
    const struct fork_request request = {.pid = pid, .signal = signal};
    struct pollfd room = {.events = POLLOUT};
    int waits = 0;
    pthread_mutex_lock(&zygote.lock);
    while (zygote.sock >= 0 && zygote.starts == id && waits < 2 &&
           fdpass_send(zygote.sock, &request, sizeof(request), NULL, 0) == -EAGAIN) {
        room.fd = zygote.sock; /* it reads at once what it is sent, or never */
        if (poll(&room, 1, END_TIMEOUT_MS) == 0 && waits++ == 0)
            send_kill();
    }
    pthread_mutex_unlock(&zygote.lock);
}

bool zygote_has_died(unsigned id) {
    pthread_mutex_lock(&zygote.lock);
    struct pollfd socket = {.fd = zygote.sock};
    bool died = zygote.sock < 0 || zygote.starts != id ||
                (poll(&socket, 1, 0) > 0 && socket.revents & POLLHUP);
    pthread_mutex_unlock(&zygote.lock);
    return died;
}

int zygote_fork(const struct fork_request *request, const int fds[REQUEST_FDS],
                unsigned *ret_zygote) {
    pthread_mutex_lock(&zygote.lock);
    int r = zygote.sock >= 0 ? 0 : start();
    if (r >= 0)
        r = send_request(request, fds);
    if (r == -EPIPE || r == -ECONNRESET) {
        stop(true);
        r = start();
        if (r >= 0)
            r = send_request(request, fds);
    }
    *ret_zygote = zygote.starts;
    pthread_mutex_unlock(&zygote.lock);
    return r;
}
