/* core_dump.c - the tree of tasks as text: everybody is in it, with what they wait for. */
#include "loop_case.h"

#include <trine/debug.h>
#include <trine/sync.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char text[1 << 16];

static const char *dumped(void) {
    int fd = memfd_create("dump", MFD_CLOEXEC);
    trine_dump(fd);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    return text;
}

/* The line that has `word` in it. */
static const char *line_with(const char *word) {
    static char line[1024];
    const char *at = strstr(text, word);
    if (!at)
        test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", word, text);
    const char *begin = at;
    while (begin > text && begin[-1] != '\n')
        begin--;
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(begin, "\n"), begin);
    return line;
}

static int sleeper(struct nothing *n) {
    (void)n;
    return trine_sleep(TRINE_SEC(600));
}
TRINE_TASK(sleeper, struct nothing);

static int receiver(trine_channel **c) {
    int item;
    return trine_channel_recv(*c, &item);
}
TRINE_TASK(receiver, trine_channel *);

static int nester(trine_channel **c) {
    TRINE_SCOPE(s, .name = "inner", .timeout = TRINE_SEC(600));
    trine_spawn(s, receiver, c);
    return trine_join(s);
}
TRINE_TASK(nester, trine_channel *);

static int hold_thread(trine_event *go_on) {
    return trine_event_wait(go_on);
}
TRINE_TASK(hold_thread, trine_event);

IN_LOOP(every_task_is_shown_with_its_wait_and_its_place) {
    trine_channel *c = trine_channel_new(sizeof(int), 1);
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    trine_event go_on = {0};
    struct nothing nothing;
    {
        TRINE_SCOPE(s, .name = "outer", .limit = 3);
        trine_spawn(s, sleeper, &nothing);
        trine_spawn(s, nester, &c);
        trine_submit(s, pool, hold_thread, &go_on);
        trine_spawn(s, sleeper, &nothing); /* beyond the limit */
        trine_future *after = trine_after(s, TRINE_SEC(600));
        settle();
        dumped();
        CHECK(strstr(line_with("loop of thread "), "loop"));
        CHECK(strstr(line_with("_body, started at trine_run"), ": runs"));
        CHECK(strstr(line_with("scope outer"), "core_dump.c:"));
        CHECK(strstr(line_with("scope outer"), "3 run, 1 wait for its limit"));
        CHECK(strstr(line_with("task sleeper"), "waits for sleep since 0.0"));
        CHECK(strstr(line_with("waits for its scope's limit"), "task sleeper"));
        CHECK(strstr(line_with("task nester"), "waits for join"));
        CHECK(strstr(line_with("scope inner"), "deadline in 599.") ||
              strstr(line_with("scope inner"), "deadline in 600."));
        CHECK(strstr(line_with("task receiver"), "waits for "));
        CHECK(strstr(line_with("task hold_thread"), ": handed to threads"));
        CHECK(strstr(line_with("future of time"), "core_dump.c:"));
        /* below their parent */
        CHECK(strspn(line_with("task receiver"), " ") > strspn(line_with("scope inner"), " "));
        trine_future_drop(after);
        trine_scope_cancel(s, -EPIPE);
        dumped();
        CHECK(strstr(line_with("scope outer"), "ends: the other side is closed"));
        trine_event_set(&go_on);
        CHECK_EQ(trine_join(s), -EPIPE);
    }
    dumped();
    CHECK(!strstr(text, "sleeper"));
    trine_executor_close(&pool);
    trine_channel_free(&c);
    return 0;
}

TEST(a_plain_thread_shows_its_scopes) {
    TRINE_SCOPE(s, .name = "plain");
    dumped();
    CHECK(strstr(line_with("scope plain"), "0 run"));
}

static int dump_on_usr2(struct nothing *n) {
    (void)n;
    return trine_dump_on(SIGUSR2);
}
TRINE_TASK(dump_on_usr2, struct nothing);

IN_LOOP(a_signal_dumps_as_often_as_it_comes) {
    test_said = memfd_create("stderr", MFD_CLOEXEC);
    int before = dup(STDERR_FILENO);
    dup2(test_said, STDERR_FILENO);
    struct nothing nothing;
    {
        TRINE_SCOPE(s);
        trine_spawn(s, dump_on_usr2, &nothing);
        settle();
        for (int i = 1; i <= 2; i++) {
            raise(SIGUSR2);
            int found = 0;
            while (found < i) {
                CHECK_OK(trine_sleep(TRINE_US(100)));
                ssize_t n = pread(test_said, text, sizeof(text) - 1, 0);
                text[n > 0 ? n : 0] = 0;
                found = 0;
                for (const char *at = text; (at = strstr(at, "task dump_on_usr2")); at++)
                    found++;
            }
            CHECK_EQ(found, i);
        }
        trine_scope_cancel(s, 0);
        CHECK_EQ(trine_join(s), -ECANCELED);
    }
    dup2(before, STDERR_FILENO);
    return 0;
}
