/* core_watchdog.c - a coroutine that holds up its loop is named while it does so; what the library
 * says goes where the program wants it. */
#include "loop_case.h"

#include <trine/debug.h>
#include <trine/task.h>

#include <pthread.h>
#include <stdatomic.h>

static char lines[1 << 14];
static size_t used;
static atomic_int seen;

static void keep_line(void *arg, const char *line, size_t length) {
    CHECK(arg == lines);
    CHECK_EQ(strlen(line), length);
    if (used + length + 2 < sizeof(lines)) {
        memcpy(lines + used, line, length);
        used += length;
        lines[used++] = '\n';
    }
    if (strstr(line, "core_watchdog") && strstr(line, "#"))
        atomic_store(&seen, 1);
}

static int blocks(struct nothing *n) {
    (void)n;
    int64_t until = test_now_ms() + 30000;
    while (!atomic_load(&seen) && test_now_ms() < until)
        ;
    return 0;
}
TRINE_TASK(blocks, struct nothing);

IN_LOOP(who_blocks_the_loop_is_named_while_it_does) {
    trine_log_to(keep_line, lines);
    CHECK_OK(trine_watchdog(TRINE_MS(20)));
    TRINE_SCOPE(s);
    char site[64];
    snprintf(site, sizeof(site), "core_watchdog.c:%d;", __LINE__ + 1);
    trine_spawn_opts(s, blocks, NULL, .name = "the culprit");
    CHECK_OK(trine_join(s));
    CHECK_OK(trine_watchdog(0));
    trine_log_to(NULL, NULL);
    CHECK_EQ(seen, 1); /* else it ended by itself */
    CHECK(strstr(lines, " ms by the task the culprit, started at "));
    CHECK(strstr(lines, site));
    CHECK(strstr(lines, "#0 "));
#ifdef __x86_64__ /* what lies beyond a signal frame is not found under qemu-user */
    CHECK(strstr(lines, "#1 "));
#endif
    return 0;
}

/* Busy all the time, but never for long in one turn. */
static int waits_properly(struct nothing *n) {
    (void)n;
    for (int64_t until = test_now_ms() + 2500; test_now_ms() < until;) {
        for (volatile int spin = 0; spin < 1500000; spin++)
            ;
        int r = trine_sleep(1);
        if (r < 0)
            return r;
    }
    return 0;
}
TRINE_TASK(waits_properly, struct nothing);

IN_LOOP(who_waits_is_not_named) {
    trine_log_to(keep_line, lines);
    CHECK_OK(trine_watchdog(TRINE_SEC(1)));
    TRINE_SCOPE(s);
    trine_spawn(s, waits_properly, NULL);
    CHECK_OK(trine_join(s));
    CHECK_OK(trine_watchdog(0));
    CHECK_EQ(used, 0);
    return 0;
}

TEST(a_negative_limit_is_an_error) {
    CHECK_EQ(trine_watchdog(-1), -EINVAL);
    CHECK_OK(trine_watchdog(0));
}

IN_LOOP(the_environment_starts_it) { /* read when the first loop starts: in a program of its own */
    if (!getenv("TRINE_WATCHDOG")) {
        setenv("TRINE_WATCHDOG", "20ms", 1);
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        self[n > 0 ? n : 0] = 0;
        execl(self, self, "--case", "the_environment_starts_it", (char *)NULL);
        test_skip("it cannot start itself again: an emulator runs it");
    }
    trine_log_to(keep_line, lines);
    TRINE_SCOPE(s);
    trine_spawn(s, blocks, NULL);
    CHECK_OK(trine_join(s));
    CHECK_OK(trine_watchdog(0));
    CHECK_EQ(seen, 1);
    return 0;
}

static atomic_int began;

static int never_ends(struct nothing *n) {
    (void)n;
    atomic_store(&began, 1);
    while (!atomic_load(&seen))
        usleep(1000);
    return 0;
}
TRINE_TASK(never_ends, struct nothing);

static void note_overdue(void *arg, const char *line, size_t length) {
    (void)arg, (void)length;
    if (strstr(line, "has ended, and still waits for the task never_ends"))
        atomic_store(&seen, 1);
}

TEST(an_overdue_scope_says_so_to_the_programs_function) {
    trine_log_to(note_overdue, NULL);
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        CHECK_OK(trine_submit(s, pool, never_ends, NULL));
        while (!atomic_load(&began))
            CHECK_OK(trine_sleep(TRINE_MS(1)));
        trine_scope_cancel(s, 0);
    } /* waits for it: 5 s until it is said */
    trine_executor_close(&pool);
    CHECK_EQ(seen, 1);
}
