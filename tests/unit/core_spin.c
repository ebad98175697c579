/* core_spin.c - a loop that looks on before it sleeps, here for an hour: what it looks for may not
 * keep anything else from it. */
#include "core/loop.h"

#include "test.h"
#include "trine.h"
#include "trine/sync.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#define AN_HOUR TRINE_SEC(3600)

struct scene {
    trine_channel *there, *back;
    int ends[2];
    atomic_bool came;
    int result;
};

static int run_looking_on(const trine_task *task, struct scene *c) {
    const trine_run_opts opts = {.size = sizeof(opts), .spin = AN_HOUR};
    return trine_run_task(task, c, &opts);
}

static void begin(struct scene *c, size_t places) {
    *c = (struct scene){.there = trine_channel_new(sizeof(int), places),
                        .back = trine_channel_new(sizeof(int), places)};
    CHECK(c->there && c->back);
    CHECK_EQ(pipe2(c->ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void end(struct scene *c) {
    close(c->ends[0]);
    close(c->ends[1]);
    trine_channel_free(&c->there);
    trine_channel_free(&c->back);
}

/* Sends back what comes, until there is no more. */
static int echo(struct scene *c) {
    int item, r;
    while ((r = trine_channel_recv(c->there, &item)) == 0)
        CHECK_OK(trine_channel_send(c->back, &item));
    c->result = r;
    return 0;
}
TRINE_TASK(echo, struct scene);

static void *echo_main(void *arg) {
    CHECK_OK(run_looking_on(&echo_task, arg));
    return NULL;
}

static void hop(struct scene *c) {
    int item = 7;
    CHECK_OK(trine_channel_send(c->there, &item));
    CHECK_OK(trine_channel_recv(c->back, &item));
    CHECK_EQ(item, 7);
}

static int wait_for_byte(struct scene *c) {
    CHECK(loop_wait_fd(c->ends[0], WATCH_READ) > 0);
    atomic_store(&c->came, true);
    return 0;
}
TRINE_TASK(wait_for_byte, struct scene);

static int wait_for_time(struct scene *c) {
    CHECK_OK(trine_sleep(TRINE_MS(1)));
    atomic_store(&c->came, true);
    return 0;
}
TRINE_TASK(wait_for_time, struct scene);

/* --- input --- */

static void *write_byte(void *arg) {
    struct scene *c = arg;
    CHECK_EQ(write(c->ends[1], "x", 1), 1);
    return NULL;
}

TEST(input_ends_it) {
    struct scene c;
    begin(&c, 1);
    pthread_t writer;
    CHECK_EQ(pthread_create(&writer, NULL, write_byte, &c), 0);
    CHECK_OK(run_looking_on(&wait_for_byte_task, &c));
    CHECK_EQ(pthread_join(writer, NULL), 0);
    end(&c);
}

/* --- beside hops --- */

/* Gives how many hops it took. */
static int hop_until_it_came(struct scene *c) {
    int hops = 0;
    for (; !atomic_load(&c->came); hops++)
        hop(c);
    trine_channel_close(c->there);
    return hops;
}

static int hop_until_byte(struct scene *c) {
    TRINE_SCOPE(s);
    trine_spawn(s, wait_for_byte, c);
    for (int i = 0; i < 100; i++) /* both threads have begun, the other coroutine waits */
        hop(c);
    CHECK_EQ(write(c->ends[1], "x", 1), 1);
    /* Fewer than would end the turn; 20 us are some 80 hops of the fastest machine. */
    CHECK(hop_until_it_came(c) < OPERATIONS_PER_TURN / 4);
    return trine_join(s);
}
TRINE_TASK(hop_until_byte, struct scene);

static int hop_until_time(struct scene *c) {
    TRINE_SCOPE(s);
    trine_spawn(s, wait_for_time, c);
    hop_until_it_came(c);
    return trine_join(s);
}
TRINE_TASK(hop_until_time, struct scene);

/* The answers come while it looks on, so it never sleeps; it stops when the waiter has run. */
static void check_beside_hops(const trine_task *hops, size_t places) {
    struct scene c;
    begin(&c, places);
    pthread_t other;
    CHECK_EQ(pthread_create(&other, NULL, echo_main, &c), 0);
    CHECK_OK(run_looking_on(hops, &c));
    CHECK_EQ(pthread_join(other, NULL), 0);
    CHECK_EQ(c.result, -EPIPE);
    end(&c);
}

TEST(hops_keep_no_input_waiting) {
    check_beside_hops(&hop_until_byte_task, 0);
    check_beside_hops(&hop_until_byte_task, 1);
    check_beside_hops(&hop_until_byte_task, 128);
}

TEST(hops_keep_no_timer_waiting) {
    check_beside_hops(&hop_until_time_task, 1);
    check_beside_hops(&hop_until_time_task, 128);
}

/* --- what ends it --- */

/* After a first hop, both threads have been in the channels. */
static int hop_then_wait(struct scene *c) {
    hop(c);
    int item;
    c->result = trine_channel_recv(c->back, &item);
    return 0;
}
TRINE_TASK(hop_then_wait, struct scene);

static int echo_then_close(struct scene *c) {
    int item;
    CHECK_OK(trine_channel_recv(c->there, &item));
    CHECK_OK(trine_channel_send(c->back, &item));
    trine_channel_close(c->back);
    return 0;
}
TRINE_TASK(echo_then_close, struct scene);

static void *echo_then_close_main(void *arg) {
    CHECK_OK(run_looking_on(&echo_then_close_task, arg));
    return NULL;
}

TEST(a_close_ends_it) {
    for (int i = 0; i < 200; i++) {
        struct scene c;
        begin(&c, 1);
        pthread_t other;
        CHECK_EQ(pthread_create(&other, NULL, echo_then_close_main, &c), 0);
        CHECK_OK(run_looking_on(&hop_then_wait_task, &c));
        CHECK_EQ(pthread_join(other, NULL), 0);
        CHECK_EQ(c.result, -EPIPE);
        end(&c);
    }
}

/* A deadline that is not yet among the loop's settled timers when the wait begins. */
static int wait_a_little(struct scene *c) {
    hop(c);
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(1));
        int item;
        CHECK_EQ(trine_channel_recv(c->back, &item), -ETIMEDOUT);
    }
    trine_channel_close(c->there);
    return 0;
}
TRINE_TASK(wait_a_little, struct scene);

TEST(a_deadline_ends_it) {
    check_beside_hops(&wait_a_little_task, 1);
    check_beside_hops(&wait_a_little_task, 128);
}

/* --- timers of callbacks --- */

struct late {
    struct watch watch;
    struct timer timer;
    trine_event event;
};

static void late_timer(struct timer *t) {
    trine_event_set(&container_of(t, struct late, timer)->event);
}

static void late_input(struct watch *w, unsigned events) {
    char byte;
    (void)events;
    CHECK_EQ(read(w->fd, &byte, 1), 1);
    loop_timer_start(loop_self(), &container_of(w, struct late, watch)->timer, TRINE_MS(1));
}

static int wait_for_late_timer(struct scene *c) {
    struct late late = {.watch = {.fd = c->ends[0], .ready = late_input}};
    timer_init(&late.timer, late_timer);
    CHECK_OK(loop_watch(loop_self(), &late.watch, WATCH_READ));
    CHECK_EQ(write(c->ends[1], "x", 1), 1);
    CHECK_OK(trine_event_wait(&late.event));
    CHECK_OK(loop_watch(loop_self(), &late.watch, 0));
    return 0;
}
TRINE_TASK(wait_for_late_timer, struct scene);

TEST(a_timer_that_input_starts_counts) {
    struct scene c;
    begin(&c, 1);
    CHECK_OK(run_looking_on(&wait_for_late_timer_task, &c));
    end(&c);
}
