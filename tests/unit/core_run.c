/* core_run.c - coroutines run, give way, sleep and return their values. */
#include "test.h"
#include "trine.h"

struct counting {
    int *log, *used;
    int id, rounds, result;
};

static int count(struct counting *c) {
    for (int i = 0; i < c->rounds; i++) {
        c->log[(*c->used)++] = c->id;
        if (trine_yield() < 0)
            return -1;
    }
    c->result = c->id * 10;
    return c->id;
}
TRINE_TASK(count, struct counting);

struct nothing {
    int unused;
};

static int two_take_turns(struct nothing *n) {
    (void)n;
    int log[6], used = 0;
    struct counting a = {log, &used, 1, 3, 0}, b = {log, &used, 2, 3, 0};
    TRINE_SCOPE(s);
    trine_spawn(s, count, &a);
    trine_spawn(s, count, &b);
    CHECK_EQ(used, 0); /* a spawned task does not run before its starter waits */
    CHECK_EQ(trine_join(s), 0);
    static const int expected[6] = {1, 2, 1, 2, 1, 2};
    CHECK_EQ(used, 6);
    CHECK(memcmp(log, expected, sizeof(log)) == 0);
    CHECK_EQ(a.result, 10);
    CHECK_EQ(b.result, 20);
    return 7;
}
TRINE_TASK(two_take_turns, struct nothing);

TEST(coroutines_take_turns_and_main_gives_its_value) {
    CHECK_EQ(trine_run(two_take_turns, NULL), 7);
    CHECK_EQ(trine_run(two_take_turns, NULL), 7); /* a loop can run again */
}

static int many(struct nothing *n) {
    (void)n;
    enum { TASKS = 2000, ROUNDS = 5 };
    static struct counting args[TASKS];
    static int log[TASKS * ROUNDS];
    int used = 0;
    TRINE_SCOPE(s);
    for (int i = 0; i < TASKS; i++) {
        args[i] = (struct counting){log, &used, i, ROUNDS, -1};
        trine_spawn(s, count, &args[i]);
    }
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(used, TASKS * ROUNDS);
    for (int i = 0; i < TASKS * ROUNDS; i++)
        CHECK_EQ(log[i], i % TASKS);
    return 0;
}
TRINE_TASK(many, struct nothing);

TEST(two_thousand_run_in_strict_turns) {
    CHECK_EQ(trine_run(many, NULL), 0);
}

struct sleeping {
    int64_t ns, slept;
    int *order, *used, id;
};

static int sleep_once(struct sleeping *s) {
    int64_t start = trine_now();
    int r = trine_sleep(s->ns);
    s->slept = trine_now() - start;
    s->order[(*s->used)++] = s->id;
    return r;
}
TRINE_TASK(sleep_once, struct sleeping);

static int sleepers(struct nothing *n) {
    (void)n;
    int order[3], used = 0;
    struct sleeping s[3] = {{TRINE_MS(30), 0, order, &used, 0},
                            {TRINE_MS(10), 0, order, &used, 1},
                            {TRINE_MS(20), 0, order, &used, 2}};
    int64_t start = trine_now();
    TRINE_SCOPE(scope);
    trine_map(scope, NULL, sleep_once, s, 3);
    CHECK_EQ(trine_join(scope), 0);
    CHECK(trine_now() - start >= TRINE_MS(30));
    CHECK(order[0] == 1 && order[1] == 2 && order[2] == 0);
    for (int i = 0; i < 3; i++)
        CHECK(s[i].slept >= s[i].ns);
    return 0;
}
TRINE_TASK(sleepers, struct nothing);

TEST(sleepers_wake_in_order_and_never_early) {
    CHECK_EQ(trine_run(sleepers, NULL), 0);
}

static int sleep_after_work(struct nothing *n) {
    (void)n;
    /* The loop's own time is old after a long computation; a sleep must count from now. */
    int64_t until = trine_now() + TRINE_MS(20);
    while (trine_now() < until)
        continue;
    int64_t start = trine_now();
    CHECK_EQ(trine_sleep(TRINE_MS(5)), 0);
    CHECK(trine_now() - start >= TRINE_MS(5));
    return 0;
}
TRINE_TASK(sleep_after_work, struct nothing);

TEST(a_sleep_counts_from_the_call_also_after_a_long_computation) {
    CHECK_EQ(trine_run(sleep_after_work, NULL), 0);
}

TEST(a_plain_thread_sleeps_too) {
    int64_t start = trine_now();
    CHECK_EQ(trine_sleep(TRINE_MS(3)), 0);
    CHECK(trine_now() - start >= TRINE_MS(3));
    CHECK_EQ(trine_sleep(0), 0);
    CHECK_EQ(trine_yield(), 0);
}

static int deep(int depth) {
    volatile char room[512];
    room[0] = (char)depth;
    return depth == 0 ? room[0] : deep(depth - 1) + (room[0] == (char)depth);
}

static int use_stack(struct counting *c) {
    int r = deep(80); /* 40 KB and more of a 60 KB stack */
    if (trine_yield() < 0)
        return -1;
    c->result = deep(80) + r;
    return 0;
}
TRINE_TASK(use_stack, struct counting);

static int stacks_hold(struct nothing *n) {
    (void)n;
    struct counting args[20] = {{0}};
    TRINE_SCOPE(s);
    trine_map(s, NULL, use_stack, args, 20);
    CHECK_EQ(trine_join(s), 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(args[i].result, 160);
    return 0;
}
TRINE_TASK(stacks_hold, struct nothing);

TEST(coroutine_stacks_do_not_overlap) {
    CHECK_EQ(trine_run(stacks_hold, NULL), 0);
}
