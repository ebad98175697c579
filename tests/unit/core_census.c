/* core_census.c - how deep stacks are used is found per place of start; a task may have a stack,
 * and a name, of its own. */
#include "loop_case.h"

#include <trine/debug.h>
#include <trine/task.h>

#include <errno.h>
#include <valgrind/valgrind.h>

struct depth {
    size_t bytes;
    uintptr_t at;
    char name[32];
};

static int use(struct depth *d) {
    volatile char *room = __builtin_alloca(d->bytes);
    for (size_t i = 0; i < d->bytes; i += 64)
        room[i] = 1;
    d->at = (uintptr_t)room;
    snprintf(d->name, sizeof(d->name), "%s", trine_task_name());
    return trine_yield();
}
TRINE_TASK(use, struct depth);

static const char *found(void) {
    static char text[4096];
    int fd = memfd_create("census", MFD_CLOEXEC);
    trine_census(fd);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    return text;
}

IN_LOOP(the_census_tells_the_deepest_use_of_each_place) {
    if (RUNNING_ON_VALGRIND)
        test_skip("valgrind takes what is below a stack's end for unused");
    struct depth shallow = {.bytes = 1000}, deep[3] = {0};
    for (size_t i = 0; i < 3; i++)
        deep[i].bytes = i == 1 ? 30000 : 10000;
    trine_census_start();
    TRINE_SCOPE(s);
    trine_spawn(s, use, &shallow);
    trine_map(s, NULL, use, deep, 3);
    CHECK_OK(trine_join(s));
    size_t most, size, least, size_too;
    unsigned long times, once;
    CHECK_EQ(sscanf(found(), "%zu of %zu bytes, %lu times: use, %*[^\n]\n%zu of %zu bytes, %lu",
                    &most, &size, &times, &least, &size_too, &once),
             6);
    CHECK(most >= 30000 && most < size && size >= 58000);
    CHECK(least >= 1000 && least < 20000);
    CHECK_EQ(times, 3);
    CHECK_EQ(once, 1);
    CHECK(strstr(found(), "started at ../tests/unit/core_census.c:"));
    return 0;
}

IN_LOOP(a_task_gets_the_stack_that_it_asks_for) {
    TRINE_SCOPE(s);
    for (int round = 0; round < 3; round++) {
        struct depth large = {.bytes = 3 << 19}, usual = {.bytes = 1000};
        trine_spawn_opts(s, use, &large, .stack_size = 2 << 20);
        trine_spawn_opts(s, use, &usual, .stack_size = 1000);
        CHECK_OK(trine_join(s));
        CHECK(large.at && usual.at);
    }
    return 0;
}

IN_LOOP(a_stack_of_its_own_size_is_used_again) {
    TRINE_SCOPE(s);
    struct depth first = {.bytes = 1000}, other = {.bytes = 1000}, again = {.bytes = 1000};
    trine_spawn_opts(s, use, &first, .stack_size = 1 << 20);
    CHECK_OK(trine_join(s));
    trine_spawn_opts(s, use, &other, .stack_size = 16 << 20);
    trine_spawn_opts(s, use, &again, .stack_size = 1 << 20);
    CHECK_OK(trine_join(s));
    CHECK_EQ(first.at, again.at);
    CHECK(first.at != other.at);
    return 0;
}

IN_LOOP(no_stack_of_that_size_is_an_error_of_the_task) {
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    struct depth d = {.bytes = 1000};
    trine_future *f = trine_start_opts(s, NULL, use, &d, .stack_size = SIZE_MAX / 8);
    CHECK_EQ(trine_join(s), -ENOMEM);
    CHECK(strstr(trine_error_of(f)->detail, "stack of the size"));
    return 0;
}

IN_LOOP(a_task_has_the_name_that_it_was_given) {
    TRINE_SCOPE(s);
    struct depth named = {.bytes = 100}, plain = {.bytes = 100};
    trine_spawn_opts(s, use, &named, .name = "digger");
    trine_spawn(s, use, &plain);
    CHECK_OK(trine_join(s));
    CHECK_STR(named.name, "digger");
    CHECK_STR(plain.name, "use");
    return 0;
}

static int fail(struct depth *d) {
    (void)d;
    return -EIO;
}
TRINE_TASK(fail, struct depth);

TEST(the_name_is_in_the_error_also_from_a_thread) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT, .limit = 1);
        struct depth d = {0};
        trine_submit_opts(s, pool, fail, &d, .name = "first");
        trine_submit_opts(s, pool, fail, &d, .name = "second");
        CHECK_EQ(trine_join(s), -EIO);
        trine_error errors[2];
        CHECK_EQ(trine_errors(s, errors, 2), 2);
        CHECK_STR(errors[0].task, "first");
        CHECK_STR(errors[1].task, "second");
    }
    trine_executor_close(&pool);
}
