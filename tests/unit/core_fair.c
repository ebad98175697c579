/* core_fair.c - a coroutine that is always ready holds up timers, I/O, messages and others by no
 * more than its slice. Counted in its own steps, from when the event was there. */
#include "core/loop.h"

#include "test.h"
#include "trine.h"
#include "trine/sync.h"

#include <fcntl.h>

/* A turn ends after so many steps; an event may be there just after its turn's look. */
enum { YIELDS = 512, OPERATIONS = OPERATIONS_PER_TURN, TURNS = 2, WARM_UP = 3 * OPERATIONS };

struct scene {
    int (*step)(struct scene *); /* one that never has to wait */
    trine_channel *channel;
    trine_mutex mutex;
    trine_semaphore semaphore;
    trine_event event;
    trine_rwlock rwlock;
    int ends[2];
    struct message message;
    bool came; /* who waits for the event has run */
};

static int step_yield(struct scene *c) {
    (void)c;
    return trine_yield();
}

static int step_channel(struct scene *c) {
    int item = 7, r = trine_channel_send(c->channel, &item);
    return r < 0 ? r : trine_channel_recv(c->channel, &item);
}

static int step_mutex(struct scene *c) {
    int r = trine_mutex_lock(&c->mutex);
    if (r == 0)
        trine_mutex_unlock(&c->mutex);
    return r;
}

static int step_semaphore(struct scene *c) {
    int r = trine_semaphore_acquire(&c->semaphore);
    if (r == 0)
        trine_semaphore_release(&c->semaphore);
    return r;
}

static int step_event(struct scene *c) {
    return trine_event_wait(&c->event);
}

static int step_rwlock(struct scene *c) {
    int r = trine_rwlock_read(&c->rwlock);
    if (r == 0)
        trine_rwlock_unlock(&c->rwlock);
    return r;
}

static int wait_for_time(struct scene *c) {
    int r = trine_sleep(1);
    c->came = true;
    return r;
}
TRINE_TASK(wait_for_time, struct scene);

static int wait_for_byte(struct scene *c) {
    int r = loop_wait_fd(c->ends[0], WATCH_READ);
    c->came = true;
    return r < 0 ? r : 0;
}
TRINE_TASK(wait_for_byte, struct scene);

static int run_once(struct scene *c) {
    c->came = true;
    return 0;
}
TRINE_TASK(run_once, struct scene);

static void message_came(struct message *m) {
    container_of(m, struct scene, message)->came = true;
}

static void steps(struct scene *c, int n) {
    for (int i = 0; i < n; i++)
        CHECK_EQ(c->step(c), 0);
}

/* The steps until the waiter has run. */
static int count_steps(struct scene *c) {
    int n = 0;
    for (; !c->came && n < 100 * OPERATIONS; n++)
        CHECK_EQ(c->step(c), 0);
    return n;
}

static void begin(struct scene *c) {
    trine_semaphore_init(&c->semaphore, 1, 1);
    trine_event_set(&c->event);
    c->channel = trine_channel_new(sizeof(int), 1);
    CHECK(c->channel);
    CHECK_EQ(pipe2(c->ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void end(struct scene *c) {
    close(c->ends[0]);
    close(c->ends[1]);
    trine_channel_free(&c->channel);
}

/* Each kind of event beside one kind of step: none is held up for more than `most` steps. */
static void check_kind(int (*step)(struct scene *), int most) {
    struct scene c = {.step = step, .message = {.handle = message_came}};
    begin(&c);
    {
        TRINE_SCOPE(s);
        trine_spawn(s, run_once, &c);
        CHECK(count_steps(&c) <= most);

        c.came = false;
        trine_spawn(s, wait_for_time, &c);
        /* It sleeps; its time runs at the latest from the end of these, and is over a tick later.
         */
        int64_t due = trine_now() + TRINE_MS(1);
        do
            steps(&c, WARM_UP);
        while (trine_now() < due);
        steps(&c, WARM_UP);
        CHECK(c.came); /* it was due long before the last WARM_UP steps */

        c.came = false;
        trine_spawn(s, wait_for_byte, &c);
        steps(&c, WARM_UP);
        CHECK(!c.came);
        CHECK_EQ(write(c.ends[1], "x", 1), 1);
        CHECK(count_steps(&c) <= most);

        c.came = false;
        loop_post(loop_self(), &c.message);
        CHECK(count_steps(&c) <= most);
        CHECK_EQ(trine_join(s), 0);
    }
    end(&c);
}

#define FAIR(name, step, per_turn)                                                                 \
    static int name##_body(void *unused) {                                                         \
        (void)unused;                                                                              \
        check_kind(step, TURNS *(per_turn) + 2);                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    TEST(name) {                                                                                   \
        const trine_task task = {#name, name##_body, 0, 0};                                        \
        CHECK_EQ(trine_run_task(&task, NULL, NULL), 0);                                            \
    }

FAIR(who_only_yields_holds_up_nothing, step_yield, YIELDS)
FAIR(a_channel_that_always_has_room_holds_up_nothing, step_channel, OPERATIONS)
FAIR(a_mutex_that_is_always_free_holds_up_nothing, step_mutex, OPERATIONS)
FAIR(a_semaphore_that_is_always_free_holds_up_nothing, step_semaphore, OPERATIONS)
FAIR(an_event_that_is_set_holds_up_nothing, step_event, OPERATIONS)
FAIR(a_rwlock_that_is_always_free_holds_up_nothing, step_rwlock, OPERATIONS)

/* A thousand that are always ready: each turn's slice is theirs together. */
enum { CROWD = 1000 };

struct crowd {
    struct scene scene;
    long turns;
    bool stop;
};

static int yield_in_crowd(struct crowd *c) {
    int r = 0;
    for (; !c->stop && r == 0; c->turns++)
        r = trine_yield();
    return r;
}
TRINE_TASK(yield_in_crowd, struct crowd);

static int crowd_body(struct crowd *c) {
    begin(&c->scene);
    {
        TRINE_SCOPE(s);
        for (int i = 0; i < CROWD; i++)
            trine_spawn(s, yield_in_crowd, c);
        trine_spawn(s, wait_for_byte, &c->scene);
        for (int i = 0; i < 10; i++)
            CHECK_OK(trine_yield());
        CHECK_EQ(write(c->scene.ends[1], "x", 1), 1);
        long before = c->turns;
        while (!c->scene.came)
            CHECK_OK(trine_yield());
        /* Two turns to be seen, and those that stood before it in the run queue. */
        CHECK(c->turns - before <= TURNS * YIELDS + 2 * CROWD);
        c->stop = true;
        CHECK_EQ(trine_join(s), 0);
    }
    end(&c->scene);
    return 0;
}
TRINE_TASK(crowd_body, struct crowd);

TEST(a_thousand_that_yield_hold_up_no_input) {
    struct crowd c = {.turns = 0};
    CHECK_EQ(trine_run(crowd_body, &c), 0);
}
