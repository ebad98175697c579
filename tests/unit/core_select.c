/* core_select.c - select over channels, futures, descriptors and a time; broadcasts; channels
 * without room. What a select did not choose has neither given nor taken anything. */
#include "loop_case.h"

#include <trine/select.h>
#include <valgrind/valgrind.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static trine_channel *channel(size_t capacity) {
    trine_channel *c = trine_channel_new(sizeof(int64_t), capacity);
    CHECK(c);
    return c;
}

struct mover {
    trine_channel *channel;
    int64_t value;
    int result;
};

static int send_one(struct mover *m) {
    return m->result = trine_channel_send(m->channel, &m->value);
}
TRINE_TASK(send_one, struct mover);

static int recv_one(struct mover *m) {
    return m->result = trine_channel_recv(m->channel, &m->value);
}
TRINE_TASK(recv_one, struct mover);

/* --- channels by themselves --- */

IN_LOOP(a_channel_without_room_hands_over_from_hand_to_hand) {
    trine_channel *c = channel(0);
    struct mover from = {c, 7, 1}, to = {c, 0, 1};
    int64_t value = 1;
    CHECK_EQ(trine_channel_try_send(c, &value), -EAGAIN);
    CHECK_EQ(trine_channel_try_recv(c, &value), -EAGAIN);
    TRINE_SCOPE(s);
    trine_spawn(s, send_one, &from);
    settle();
    CHECK_EQ(from.result, 1); /* it waits for a receiver */
    CHECK_EQ(trine_channel_try_recv(c, &value), 0);
    CHECK_EQ(value, 7);
    settle();
    CHECK_EQ(from.result, 0);
    trine_spawn(s, recv_one, &to);
    settle();
    value = 8;
    CHECK_EQ(trine_channel_try_send(c, &value), 0);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(to.value, 8);
    trine_channel_free(&c);
    return 0;
}

IN_LOOP(a_channel_closed_with_an_error_gives_that_when_it_is_empty) {
    trine_channel *c = channel(2);
    int64_t value = 5;
    CHECK_EQ(trine_channel_try_send(c, &value), 0);
    trine_channel_close_error(c, -EIO);
    trine_channel_close(c); /* the first stays */
    CHECK_EQ(trine_channel_send(c, &value), -EIO);
    value = 0;
    CHECK_EQ(trine_channel_recv(c, &value), 0);
    CHECK_EQ(value, 5);
    CHECK_EQ(trine_channel_recv(c, &value), -EIO);
    trine_channel_free(&c);
    return 0;
}

/* A channel's home uses it without the mutex until another thread comes, which does so here for
 * each channel at some moment of the home's work. */
enum { VISITS = 5000, VISITS_ON_VALGRIND = 200 /* one thread at a time */, VISIT = 8 };

struct visited {
    _Atomic(trine_channel *) next;
    atomic_long put; /* by the visitor */
    atomic_bool over;
};

static void *visit(void *arg) {
    struct visited *v = arg;
    while (!atomic_load(&v->over)) {
        trine_channel *c = atomic_exchange(&v->next, NULL);
        if (!c) {
            sched_yield();
            continue;
        }
        int64_t one = 1;
        long put = 0;
        for (int i = 0; i < VISIT; i++)
            put += trine_channel_try_send(c, &one) == 0;
        atomic_store(&v->put, put);
    }
    return NULL;
}

TEST(a_channel_loses_nothing_when_a_second_thread_comes) {
    struct visited v = {.put = -1};
    pthread_t thread;
    pthread_create(&thread, NULL, visit, &v);
    for (int i = RUNNING_ON_VALGRIND ? VISITS_ON_VALGRIND : VISITS; i > 0; i--) {
        trine_channel *c = channel(64);
        int64_t one = 1, value;
        long put = 0, taken = 0, visitors;
        atomic_store(&v.put, -1);
        CHECK_EQ(trine_channel_try_send(c, &one), 0);
        put++;
        atomic_store(&v.next, c);
        while ((visitors = atomic_load(&v.put)) < 0) {
            put += trine_channel_try_send(c, &one) == 0;
            taken += trine_channel_try_recv(c, &value) == 0;
            if (RUNNING_ON_VALGRIND)
                sched_yield();
        }
        CHECK_EQ(put + visitors - taken, (long)trine_channel_count(c));
        trine_channel_free(&c);
    }
    atomic_store(&v.over, true);
    pthread_join(thread, NULL);
}

/* --- select --- */

IN_LOOP(the_case_that_can_happen_happens_and_no_other) {
    trine_channel *a = channel(1), *b = channel(1);
    int64_t in = 3, out = 0;
    CHECK_EQ(trine_channel_try_send(b, &in), 0); /* b is full, a empty */
    trine_case cases[] = {TRINE_CASE_SEND(b, &in), TRINE_CASE_RECV(a, &out),
                          TRINE_CASE_RECV(b, &out)};
    CHECK_EQ(trine_select(cases, 3, -1), 2);
    CHECK_EQ(out, 3);
    CHECK_EQ(trine_channel_count(a), 0UL);
    CHECK_EQ(trine_channel_count(b), 0UL);
    CHECK_EQ(trine_select(&cases[1], 2, 0), -ETIME);
    CHECK_EQ(trine_select(&cases[1], 2, TRINE_MS(1)), -ETIME);
    trine_channel_free(&a); /* aborts when the select has left a waiter */
    trine_channel_free(&b);
    return 0;
}

struct chooser {
    trine_channel *a, *b;
    int64_t value;
    int which;
};

static int choose(struct chooser *c) {
    trine_case cases[] = {TRINE_CASE_RECV(c->a, &c->value), TRINE_CASE_RECV(c->b, &c->value)};
    c->which = trine_select(cases, 2, -1);
    return c->which < 0 ? c->which : cases[c->which].status;
}
TRINE_TASK(choose, struct chooser);

IN_LOOP(a_select_that_waits_is_woken_by_one_and_leaves_the_other) {
    trine_channel *a = channel(1), *b = channel(1);
    struct chooser c = {a, b, 0, -1};
    TRINE_SCOPE(s);
    trine_spawn(s, choose, &c);
    settle();
    int64_t one = 1, two = 2;
    CHECK_EQ(trine_channel_try_send(b, &two), 0); /* goes to the select ... */
    CHECK_EQ(trine_channel_try_send(a, &one), 0); /* ... which takes no second item */
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(c.which, 1);
    CHECK_EQ(c.value, 2);
    CHECK_EQ(trine_channel_count(a), 1UL);
    trine_channel_close(a);
    trine_channel_close(b);
    CHECK_EQ(trine_channel_recv(a, &one), 0);
    trine_case closed[] = {TRINE_CASE_RECV(a, &one)};
    CHECK_EQ(trine_select(closed, 1, -1), 0);
    CHECK_EQ(closed[0].status, -EPIPE);
    trine_channel_free(&a);
    trine_channel_free(&b);
    return 0;
}

IN_LOOP(a_cancelled_select_takes_nothing_and_one_that_has_taken_is_not_cancelled) {
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        trine_channel *a = channel(1), *b = channel(1);
        struct chooser c = {a, b, 0, -1};
        int64_t one = 1;
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start(s, NULL, choose, &c);
        settle();
        if (cancel_first)
            trine_cancel(f, 0);
        CHECK_EQ(trine_channel_try_send(a, &one), 0);
        if (!cancel_first)
            trine_cancel(f, 0);
        settle();
        CHECK_EQ(c.which, cancel_first ? -ECANCELED : 0);
        CHECK_EQ(c.value, cancel_first ? 0 : 1);
        CHECK_EQ(trine_channel_count(a), cancel_first ? 1UL : 0UL);
        trine_channel_free(&a);
        trine_channel_free(&b);
    }
    return 0;
}

IN_LOOP(two_selects_meet_without_room) {
    trine_channel *c = channel(0), *never = channel(0);
    struct chooser taker = {c, never, 0, -1};
    TRINE_SCOPE(s);
    trine_spawn(s, choose, &taker);
    settle();
    int64_t value = 9, other;
    trine_case cases[] = {TRINE_CASE_RECV(never, &other), TRINE_CASE_SEND(c, &value)};
    CHECK_EQ(trine_select(cases, 2, -1), 1);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(taker.value, 9);
    /* Both sides of one channel in one select do not meet each other. */
    trine_case both[] = {TRINE_CASE_RECV(c, &other), TRINE_CASE_SEND(c, &value)};
    CHECK_EQ(trine_select(both, 2, TRINE_MS(1)), -ETIME);
    trine_channel_free(&c);
    trine_channel_free(&never);
    return 0;
}

IN_LOOP(of_several_that_can_happen_each_has_its_turn) {
    trine_channel *c[4];
    int64_t value;
    trine_case cases[4];
    int chosen[4] = {0};
    for (int i = 0; i < 4; i++) {
        c[i] = channel(1);
        cases[i] = (trine_case)TRINE_CASE_SEND(c[i], &value);
    }
    for (int round = 0; round < 400; round++) {
        int which = trine_select(cases, 4, -1);
        chosen[which]++;
        CHECK_EQ(trine_channel_try_recv(c[which], &value), 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(chosen[i] > 40); /* 100 are to be expected; the odds of this are below 1e-12 */
        trine_channel_free(&c[i]);
    }
    return 0;
}

static int give_seven(struct nothing *n) {
    (void)n;
    int r = trine_yield();
    return r < 0 ? r : 7;
}
TRINE_TASK(give_seven, struct nothing);

IN_LOOP(a_future_and_a_descriptor_are_waited_for_like_channels) {
    int ends[2];
    char byte = 'x';
    int64_t value;
    CHECK_EQ(pipe(ends), 0);
    trine_channel *never = channel(0);
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, NULL, give_seven, NULL);
    trine_case cases[] = {TRINE_CASE_READ(ends[0]), TRINE_CASE_DONE(f),
                          TRINE_CASE_RECV(never, &value)};
    CHECK_EQ(trine_select(cases, 3, -1), 1);
    CHECK_EQ(cases[1].status, 7);
    cases[1].kind = TRINE_CASE_IS_NONE;
    CHECK_EQ(trine_select(cases, 3, 0), -ETIME);
    CHECK_EQ(write(ends[1], &byte, 1), 1);
    CHECK_EQ(trine_select(cases, 3, -1), 0);
    CHECK_EQ(read(ends[0], &byte, 1), 1); /* it was ready, not read */
    trine_case full[] = {TRINE_CASE_WRITE(ends[1])};
    CHECK_EQ(trine_select(full, 1, -1), 0);
    close(ends[0]);
    close(ends[1]);
    trine_case gone[] = {TRINE_CASE_READ(ends[0])};
    CHECK_EQ(trine_select(gone, 1, -1), 0);
    CHECK_EQ(gone[0].status, -EBADF);
    trine_channel_free(&never);
    return 0;
}

static void *write_later(void *arg) {
    CHECK_EQ(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

IN_LOOP(a_descriptor_that_becomes_ready_later_ends_the_wait) {
    int ends[2];
    int64_t value;
    CHECK_EQ(pipe(ends), 0);
    trine_channel *never = channel(0);
    trine_case cases[] = {TRINE_CASE_RECV(never, &value), TRINE_CASE_READ(ends[0])};
    pthread_t thread;
    pthread_create(&thread, NULL, write_later, &ends[1]);
    CHECK_EQ(trine_select(cases, 2, -1), 1);
    pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
    trine_channel_free(&never);
    return 0;
}

/* Threads that send and select at random over few channels: each item arrives once. */
enum { CHANNELS = 3, SENDERS = 2, TAKERS = 2, ITEMS = 4000 };

struct market {
    trine_channel *channels[CHANNELS];
    atomic_long sent, taken;
    atomic_int count;
};

static void *sell(void *arg) {
    struct market *m = arg;
    for (int64_t i = 1; i <= ITEMS; i++) {
        trine_case cases[CHANNELS];
        for (int c = 0; c < CHANNELS; c++)
            cases[c] = (trine_case)TRINE_CASE_SEND(m->channels[c], &i);
        int r = trine_select(cases, CHANNELS, -1);
        CHECK(r >= 0 && cases[r].status == 0);
        atomic_fetch_add(&m->sent, i);
    }
    return NULL;
}

static int buy(struct market **arg) {
    struct market *m = *arg;
    for (;;) {
        int64_t value;
        trine_case cases[CHANNELS];
        for (int c = 0; c < CHANNELS; c++)
            cases[c] = (trine_case)TRINE_CASE_RECV(m->channels[c], &value);
        int r = trine_select(cases, CHANNELS, -1);
        CHECK(r >= 0);
        if (cases[r].status < 0)
            return 0;
        atomic_fetch_add(&m->taken, value);
        atomic_fetch_add(&m->count, 1);
    }
}
TRINE_TASK(buy, struct market *);

static int buyers(struct market **m) {
    TRINE_SCOPE(s);
    for (int i = 0; i < 3; i++)
        trine_spawn(s, buy, m);
    return trine_join(s);
}
TRINE_TASK(buyers, struct market *);

static void *buy_in_thread(void *arg) {
    struct market *m = arg;
    CHECK_EQ(trine_run(buyers, &m), 0);
    return NULL;
}

TEST(threads_that_select_against_each_other_lose_and_double_nothing) {
    for (size_t capacity = 0; capacity < 3; capacity += 2) {
        struct market m = {0};
        pthread_t sellers[SENDERS], takers[TAKERS];
        for (int c = 0; c < CHANNELS; c++)
            m.channels[c] = channel(capacity);
        for (int i = 0; i < SENDERS; i++)
            pthread_create(&sellers[i], NULL, sell, &m);
        for (int i = 0; i < TAKERS; i++)
            pthread_create(&takers[i], NULL, buy_in_thread, &m);
        for (int i = 0; i < SENDERS; i++)
            pthread_join(sellers[i], NULL);
        for (int c = 0; c < CHANNELS; c++) {
            while (trine_channel_count(m.channels[c]))
                sched_yield();
            trine_channel_close(m.channels[c]);
        }
        for (int i = 0; i < TAKERS; i++)
            pthread_join(takers[i], NULL);
        CHECK_EQ(atomic_load(&m.count), SENDERS * ITEMS);
        CHECK_EQ(atomic_load(&m.taken), atomic_load(&m.sent));
        for (int c = 0; c < CHANNELS; c++)
            trine_channel_free(&m.channels[c]);
    }
}

static void *hand_out(void *arg) {
    trine_channel *c = arg;
    for (int64_t i = 0; i < ITEMS; i++)
        CHECK_EQ(trine_channel_send(c, &i), 0);
    return NULL;
}

/* The future wakes the select at the moment in which another thread's item comes. */
IN_LOOP(an_item_that_comes_with_a_future_is_taken_once) {
    trine_channel *c = channel(0);
    pthread_t thread;
    pthread_create(&thread, NULL, hand_out, c);
    int64_t value = -1;
    for (int64_t expected = 0; expected < ITEMS;) {
        TRINE_SCOPE(s);
        trine_future *f = trine_start(s, NULL, give_seven, NULL);
        trine_case cases[] = {TRINE_CASE_RECV(c, &value), TRINE_CASE_DONE(f)};
        int which = trine_select(cases, 2, -1);
        CHECK(which >= 0);
        if (which == 0)
            CHECK_EQ(value, expected++);
        CHECK_EQ(trine_join(s), 0);
    }
    pthread_join(thread, NULL);
    trine_channel_free(&c);
    return 0;
}

/* --- broadcast --- */

struct listener {
    trine_broadcast *broadcast;
    trine_subscriber subscriber;
    int64_t sum, count;
    int lost, result;
};

static int listen_on(struct listener *l) {
    int64_t value;
    int r;
    while ((r = trine_broadcast_recv(l->broadcast, &l->subscriber, &value)) == 0 ||
           r == -EOVERFLOW) {
        l->lost += r != 0;
        l->sum += r == 0 ? value : 0;
        l->count += r == 0;
    }
    trine_broadcast_leave(l->broadcast, &l->subscriber);
    l->result = r;
    return 0;
}
TRINE_TASK(listen_on, struct listener);

static void *listen_in_thread(void *arg) {
    return listen_on(arg) == 0 ? NULL : arg;
}

IN_LOOP(each_subscriber_gets_each_item_and_the_sender_waits_for_the_slowest) {
    trine_broadcast *b = trine_broadcast_new(sizeof(int64_t), 4, false);
    struct listener l[4] = {0};
    pthread_t threads[2];
    TRINE_SCOPE(s);
    for (int i = 0; i < 4; i++) {
        l[i].broadcast = b;
        trine_broadcast_join(b, &l[i].subscriber);
        if (i < 2)
            trine_spawn(s, listen_on, &l[i]);
        else
            pthread_create(&threads[i - 2], NULL, listen_in_thread, &l[i]);
    }
    for (int64_t i = 1; i <= 1000; i++)
        CHECK_EQ(trine_broadcast_send(b, &i), 0);
    trine_broadcast_close(b);
    int64_t late = 1;
    CHECK_EQ(trine_broadcast_send(b, &late), -EPIPE);
    CHECK_EQ(trine_join(s), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(l[i].count, 1000);
        CHECK_EQ(l[i].sum, 500500);
        CHECK_EQ(l[i].result, -EPIPE);
    }
    trine_broadcast_free(&b);
    return 0;
}

IN_LOOP(a_sender_is_held_up_by_a_subscriber_that_does_not_read_until_it_leaves) {
    trine_broadcast *b = trine_broadcast_new(sizeof(int64_t), 2, false);
    trine_subscriber idle;
    int64_t value = 1;
    trine_broadcast_join(b, &idle);
    CHECK_EQ(trine_broadcast_send(b, &value), 0);
    CHECK_EQ(trine_broadcast_send(b, &value), 0);
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(1));
        CHECK_EQ(trine_broadcast_send(b, &value), -ETIMEDOUT);
    }
    trine_broadcast_leave(b, &idle);
    CHECK_EQ(trine_broadcast_send(b, &value), 0);
    trine_broadcast_free(&b);
    return 0;
}

IN_LOOP(a_lossy_broadcast_waits_for_nobody_and_tells_who_was_too_slow) {
    trine_broadcast *b = trine_broadcast_new(sizeof(int64_t), 4, true);
    trine_subscriber slow;
    int64_t value;
    trine_broadcast_join(b, &slow);
    for (int64_t i = 0; i < 10; i++)
        CHECK_EQ(trine_broadcast_send(b, &i), 0);
    CHECK_EQ(trine_broadcast_recv(b, &slow, &value), -EOVERFLOW);
    for (int64_t i = 6; i < 10; i++) {
        CHECK_EQ(trine_broadcast_recv(b, &slow, &value), 0);
        CHECK_EQ(value, i);
    }
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(1));
        CHECK_EQ(trine_broadcast_recv(b, &slow, &value), -ETIMEDOUT);
    }
    trine_broadcast_leave(b, &slow);
    trine_broadcast_free(&b);
    return 0;
}
