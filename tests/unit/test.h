/* test.h - the harness of the unit tests. Include it in one file a program; it brings main.
 *
 *     #include "test.h"
 *
 *     TEST(heap_pops_in_order) {
 *         CHECK(heap_is_empty(&heap));
 *         CHECK_EQ(heap_pop(&heap), 1);
 *     }
 *
 * main starts the program again for each case (`--case NAME`), so that a case that crashes or
 * hangs fails alone and says how; a fork would not do, since cases have threads. It prints
 * `ok NAME`, `FAIL NAME: file:line: why` or `skip NAME: why` a case, last `N passed, N failed`.
 * Arguments: names of cases to run; `--list`; `--case NAME` runs one in this process (for gdb).
 *
 * Defined before the include: TEST_TRINE_INIT (main begins with trine_init, as programs that open
 * process pools must), TEST_TIMEOUT (seconds for the whole program, default 60; times the
 * environment's TRINE_TEST_SLOW, which sanitizer and valgrind runs set). TRINE_TEST_GUARD=mprotect
 * asks for that kind of guard pages. */
#ifndef TRINE_TEST_H
#define TRINE_TEST_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef TEST_TRINE_INIT
#include "trine.h"
#endif
#ifndef TEST_TIMEOUT
#define TEST_TIMEOUT 60
#endif

enum { TEST_EXIT_FAIL = 99, TEST_EXIT_SKIP = 77 }; /* the case has printed its own line */

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};
static struct test_case *test_first, **test_last = &test_first;
static const char *test_current; /* the case that this process runs */
static pid_t test_pid;           /* 0 in worker processes: they never get to main's second line */

#define TEST(name)                                                                                 \
    static void test_run_##name(void);                                                             \
    __attribute__((constructor)) static void test_add_##name(void) {                               \
        static struct test_case self = {#name, test_run_##name, NULL};                             \
        *test_last = &self;                                                                        \
        test_last = &self.next;                                                                    \
    }                                                                                              \
    static void test_run_##name(void)

/* Ends the process: a check may stand in a thread, a coroutine or a worker process. In a worker it
 * only tells: the case itself fails by what becomes of its task. */
__attribute__((noreturn, format(printf, 3, 4))) static inline void
test_fail(const char *file, int line, const char *format, ...) {
    char why[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    if (getpid() == test_pid) {
        printf("FAIL %s: %s:%d: %s\n", test_current, file, line, why);
    } else {
        printf("  (process %d: %s:%d: %s)\n", (int)getpid(), file, line, why);
    }
    fflush(stdout);
    _exit(TEST_EXIT_FAIL);
}

/* For what this machine cannot do; not for what does not work yet. */
__attribute__((noreturn, unused)) static void test_skip(const char *why) {
    printf("skip %s: %s\n", test_current, why);
    fflush(stdout);
    _exit(TEST_EXIT_SKIP);
}

/* The number, and its name where it is a negative errno. */
static inline const char *test_show(char text[64], long long value) {
    const char *name = value < 0 && value > -4096 ? strerrorname_np((int)-value) : NULL;
    snprintf(text, 64, name ? "%lld (%s)" : "%lld", value, name);
    return text;
}

#define CHECK(expr) ((expr) ? (void)0 : test_fail(__FILE__, __LINE__, "CHECK(%s)", #expr))

static inline void test_check_eq(const char *file, int line, const char *what, long long a,
                                 long long b) {
    char a_text[64], b_text[64];
    if (a != b) {
        test_fail(file, line, "CHECK_EQ(%s): %s is not %s", what, test_show(a_text, a),
                  test_show(b_text, b));
    }
}

/* Integers and pointers, each side evaluated once; prints both. For a
 * double use CHECK: it would be cut to an integer here. */
#define CHECK_EQ(a, b)                                                                             \
    test_check_eq(__FILE__, __LINE__, #a ", " #b, (long long)(intptr_t)(a),                        \
                  (long long)(intptr_t)(b))

#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *test_x_ = (a), *test_y_ = (b);                                                 \
        if (!test_x_ || !test_y_ || strcmp(test_x_, test_y_) != 0) {                               \
            test_fail(__FILE__, __LINE__, "CHECK_STR(%s, %s): \"%s\" is not \"%s\"", #a, #b,       \
                      test_x_ ? test_x_ : "(null)", test_y_ ? test_y_ : "(null)");                 \
        }                                                                                          \
    } while (0)

static inline void test_check_ok(const char *file, int line, const char *what, long long value) {
    char text[64];
    if (value < 0) {
        test_fail(file, line, "CHECK_OK(%s): %s", what, test_show(text, value));
    }
}

/* A call that gives >= 0 or a negative errno. */
#define CHECK_OK(expr) test_check_ok(__FILE__, __LINE__, #expr, (expr))

static const char *test_last_words; /* what a TEST_ABORTS case must say */
static int test_said = -1;          /* the file that stderr goes to */

static inline void test_aborted(int signal) {
    char said[2048] = "";
    (void)signal;
    ssize_t n = pread(test_said, said, sizeof(said) - 1, 0);
    if (n > 0 && strstr(said, test_last_words)) {
        _exit(0);
    }
    test_fail(__FILE__, __LINE__, "aborted without \"%s\", but with: %s", test_last_words, said);
}

static inline void test_await_abort(const char *last_words) {
    test_last_words = last_words;
    test_said = memfd_create("stderr", MFD_CLOEXEC);
    dup2(test_said, STDERR_FILENO);
    signal(SIGABRT, test_aborted);
}

/* A case in which a mistake of the caller must abort the program, with these words. */
#define TEST_ABORTS(name, words)                                                                   \
    static void test_body_##name(void);                                                            \
    TEST(name) {                                                                                   \
        test_await_abort(words);                                                                   \
        test_body_##name();                                                                        \
        test_fail(__FILE__, __LINE__, "it did not abort");                                         \
    }                                                                                              \
    static void test_body_##name(void)

static inline int64_t test_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The library's, where a test links it: guards by mprotect, as on kernels without better. */
extern void stacks_use_mprotect(void) __attribute__((weak));

static inline int test_run_here(const char *name) {
    const char *guard = getenv("TRINE_TEST_GUARD");
    if (guard && strcmp(guard, "mprotect") == 0 && stacks_use_mprotect)
        stacks_use_mprotect();
    for (struct test_case *c = test_first; c; c = c->next) {
        if (strcmp(c->name, name) == 0) {
            test_current = c->name;
            test_pid = getpid();
            c->run();
            return 0;
        }
    }
    fprintf(stderr, "no case %s; --list names them\n", name);
    return 2;
}

/* Waits for the child until the deadline; then kills it and gives false. SIGCHLD is blocked, so it
 * stays pending between the look and the wait. (Valgrind 3.19 has no pidfd_open.) */
static inline bool test_wait(pid_t child, int64_t deadline, int *ret_status) {
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    for (int64_t left; (left = deadline - test_now_ms()) > 0;) {
        if (waitpid(child, ret_status, WNOHANG) == child) {
            return true;
        }
        struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        sigtimedwait(&ended, NULL, &wait);
    }
    kill(child, SIGKILL);
    waitpid(child, ret_status, 0);
    return false;
}

/* Starts a case with no signal blocked. */
static inline int test_spawn(pid_t *ret_child, const char *program, char *const args[]) {
    sigset_t ended, none;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    sigemptyset(&none);
    posix_spawnattr_t attr;
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    int error = posix_spawn(ret_child, program, NULL, &attr, args, environ);
    posix_spawnattr_destroy(&attr);
    return error;
}

/* 1 passed, 0 skipped, -1 failed. */
static inline int test_run_apart(const char *program, const char *name, int64_t deadline) {
    char *args[] = {(char *)program, (char *)"--case", (char *)name, NULL};
    pid_t child;
    int status;
    int error = test_spawn(&child, program, args);
    if (error) {
        printf("FAIL %s: posix_spawn: %s\n", name, strerror(error));
    } else if (!test_wait(child, deadline, &status)) {
        printf("FAIL %s: hangs: not done when the program's time was up\n", name);
    } else if (WIFSIGNALED(status)) {
        printf("FAIL %s: killed by signal %d (%s)\n", name, WTERMSIG(status),
               strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) == 0) {
        printf("ok %s\n", name);
        return 1;
    } else if (WEXITSTATUS(status) == TEST_EXIT_SKIP) {
        return 0;
    } else if (WEXITSTATUS(status) != TEST_EXIT_FAIL) {
        printf("FAIL %s: exit code %d\n", name, WEXITSTATUS(status));
    }
    return -1;
}

static inline bool test_is_chosen(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return argc < 2;
}

static inline int test_run_all(int argc, char **argv) {
    char program[4096] = ""; /* read here: valgrind shows its own file to an exec of the link */
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0) {
        perror("/proc/self/exe");
        return 2;
    }
    const char *slow = getenv("TRINE_TEST_SLOW");
    int64_t seconds = (int64_t)TEST_TIMEOUT * (slow ? atoi(slow) : 1);
    int64_t deadline = test_now_ms() + seconds * 1000;
    int passed = 0, failed = 0;
    for (struct test_case *c = test_first; c; c = c->next) {
        if (!test_is_chosen(c->name, argc, argv)) {
            continue;
        }
        int outcome = test_run_apart(program, c->name, deadline);
        passed += outcome > 0;
        failed += outcome < 0;
        fflush(stdout);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || (argc > 1 && passed + failed == 0);
}

int main(int argc, char **argv) {
#ifdef TEST_TRINE_INIT
    trine_init(argc, argv);
#endif
    if (argc == 3 && strcmp(argv[1], "--case") == 0) {
        pid_t parent = getppid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return getppid() == parent ? test_run_here(argv[2]) : TEST_EXIT_FAIL;
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (struct test_case *c = test_first; c; c = c->next) {
            puts(c->name);
        }
        return 0;
    }
    return test_run_all(argc, argv);
}
#endif
