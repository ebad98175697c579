/* queue_step.c - a process is killed at each single instruction of a put and of a get in turn, of
 * items of one size and of messages, with
 * nobody else there and with another process asleep beside: the queue goes on, at most the one item
 * is gone, what is counted as lost is gone, and the sleeper wakes up when there is a reason to. */
#define TEST_TIMEOUT 120
#include "stepped.h"

#include "exec/queue_memory.h"

#include <sys/mman.h>

enum { CAPACITY = 2, SLEEPER_MS = 10000 };

struct stage {
    alignas(64) atomic_bool asleep, woken; /* of the sleeper */
    int sleeper_got;
    alignas(64) unsigned char queue[sizeof(struct queue_memory) + 64 * CAPACITY];
};

static struct stage *stage;
static bool messages; /* that differ in length, instead of items */
static uint64_t began_at;

/* A message; CAPACITY of them fit in, and the next one after so many goes round the ring's end. */
struct message {
    int item, more[2];
};
enum { MESSAGE_SPACE = MESSAGE_HEADER + 16, ROOM = CAPACITY * MESSAGE_SPACE + 16 };

static struct queue_memory *queue(void) {
    return (struct queue_memory *)stage->queue;
}

static int call(bool put, int *item, unsigned *seen) {
    size_t len;
    if (!messages)
        return put ? queue_memory_put(queue(), item, seen) : queue_memory_get(queue(), item, seen);
    struct message m = {*item, {-*item, ~*item}};
    if (put)
        return queue_memory_put_bytes(queue(), (trine_bytes){&m, sizeof(m)}, seen);
    int r = queue_memory_get_bytes(queue(), &m, sizeof(m), &len, seen);
    if (r == 0 && (len != sizeof(m) || m.more[0] != -m.item || m.more[1] != ~m.item))
        return -EBADMSG;
    *item = r == 0 ? m.item : *item;
    return r;
}

static void set_stage(int items) {
    memset(stage, 0, sizeof(*stage));
    queue_memory_init(queue(), messages ? 0 : sizeof(int), messages ? ROOM : CAPACITY);
    unsigned seen;
    for (int i = 0, item = 9; messages && i < CAPACITY; i++) {
        CHECK_EQ(call(true, &item, &seen), 0);
        CHECK_EQ(call(false, &item, &seen), 0);
    }
    began_at = atomic_load(&queue()->tail);
    for (int i = 1; i <= items; i++)
        CHECK_EQ(call(true, &i, &seen), 0);
}

/* --- the processes --- */

enum { VICTIM_ITEM = 50, SLEEPER_ITEM = 60 };

_Noreturn static void be_victim(bool put) {
    int item = VICTIM_ITEM;
    unsigned seen;
    stepped_begin();
    stepped_end(call(put, &item, &seen) == 0 ? 0 : 1);
}

_Noreturn static void be_sleeper(bool put) {
    int item = SLEEPER_ITEM;
    unsigned seen;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (call(put, &item, &seen) == -EAGAIN) {
        atomic_store(&stage->asleep, true);
        shared_sleep(&queue()->base, seen, INT64_MAX);
    }
    stage->sleeper_got = item;
    atomic_store(&stage->woken, true);
    _exit(0);
}

static pid_t start(void (*be)(bool), bool put) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        be(put);
    return pid;
}

static long run_victim(bool put, long steps) {
    return stepped_run(start(be_victim, put), steps);
}

/* --- what must hold then --- */

struct tally {
    long kills, undone, done, lost;
};

/* Takes everything out, and finds the items that were there before but for those taken. */
static int drain(int *ret_items) {
    unsigned seen;
    int n = 0;
    while (n <= CAPACITY && call(false, &ret_items[n], &seen) == 0)
        n++;
    CHECK(n <= CAPACITY);
    return n;
}

static void check_still_works(void) {
    int item = 70, got = 0;
    unsigned seen;
    CHECK_EQ(queue_memory_count(queue()), 0);
    CHECK_EQ(call(true, &item, &seen), 0);
    CHECK_EQ(call(true, &item, &seen), 0);
    CHECK_EQ(call(true, &item, &seen), -EAGAIN);
    CHECK_EQ(call(false, &got, &seen), 0);
    CHECK_EQ(got, 70);
}

static bool kill_alone(bool put, long steps, struct tally *t) {
    int items[CAPACITY + 1];
    set_stage(1);
    bool whole = run_victim(put, steps) < steps;
    long lost = (long)queue_memory_lost(queue());
    int n = drain(items);
    bool done = put ? n == 2 : n == 0;
    CHECK(n == 1 || done);
    CHECK(n == 0 || items[0] == 1);
    CHECK(n < 2 || items[1] == VICTIM_ITEM);
    CHECK(!whole || (done && lost == 0));
    CHECK(lost == 0 || (lost == 1 && done == !put)); /* gone indeed: never put, or taken */
    check_still_works();
    CHECK_EQ(queue_memory_lost(queue()), lost);
    t->undone += !done;
    t->done += done;
    t->lost += lost;
    return whole;
}

static void await_flag(atomic_bool *flag, const char *what) {
    for (int64_t end = test_now_ms() + SLEEPER_MS; !atomic_load(flag); usleep(50))
        if (test_now_ms() >= end)
            test_fail(__FILE__, __LINE__, "the sleeper never %s", what);
}

/* The sleeper waits for what the victim is about to do; nobody else touches the queue between. */
static bool kill_beside_sleeper(bool put, long steps, struct tally *t) {
    int item = VICTIM_ITEM + 1;
    unsigned seen;
    set_stage(put ? 0 : CAPACITY);
    pid_t sleeper = start(be_sleeper, !put);
    await_flag(&stage->asleep, "slept");
    bool whole = run_victim(put, steps) < steps;
    bool done =
        put ? atomic_load(&queue()->tail) > began_at : atomic_load(&queue()->head) > began_at;
    if (!done)
        CHECK_EQ(call(put, &item, &seen), 0);
    await_flag(&stage->woken, done ? "woke up after the kill" : "woke up at the next call");
    CHECK_EQ(waitpid(sleeper, NULL, 0), sleeper);
    CHECK_EQ(stage->sleeper_got, put ? (done ? VICTIM_ITEM : VICTIM_ITEM + 1) : SLEEPER_ITEM);
    t->undone += !done;
    t->done += done;
    return whole;
}

/* A step at which a putter dies with its item under way. */
static long step_inside_put(void) {
    set_stage(1);
    long total = run_victim(true, STEPS_MOST);
    for (long steps = 1;; steps += 1 + total / 40) {
        set_stage(1);
        CHECK_EQ(run_victim(true, steps), steps);
        if (queue_memory_lost(queue()) == 1)
            return steps;
    }
}

/* A putter dies, and then the getter that finds it dead. */
static bool kill_after_a_kill(bool put, long steps, struct tally *t) {
    static long inside; /* each case is a process of its own */
    int items[CAPACITY + 1];
    if (inside == 0)
        inside = step_inside_put();
    set_stage(1);
    run_victim(true, inside);
    bool whole = run_victim(put, steps) < steps;
    long lost = (long)queue_memory_lost(queue());
    int n = drain(items);
    CHECK(n <= 1 && (n == 0 || items[0] == 1));
    CHECK(lost == 1 || (lost == 2 && n == 0));
    CHECK(!whole || (lost == 1 && n == 0));
    check_still_works();
    t->undone += n;
    t->done += n == 0;
    t->lost += lost - 1;
    return whole;
}

static void kill_everywhere(bool (*kill_one)(bool, long, struct tally *), bool put) {
    struct tally t = {0};
    stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(stage != MAP_FAILED);
    set_stage(1);
    syscall(SYS_getpid); /* bound by now, as are the calls of set_stage */
    long total = run_victim(put, STEPS_MOST), stride = stepped_stride(total);
    bool whole = false;
    for (long steps = 1; !whole; steps += stride, t.kills++)
        whole = kill_one(put, steps, &t);
    CHECK(t.undone > 0 && t.done > 0);
    if (kill_one == kill_alone && stride == 1)
        CHECK(t.lost > 0);
    printf("  (%ld kills, %ld instructions: %ld before the change, %ld after it, %ld lost)\n",
           t.kills, total, t.undone, t.done, t.lost);
}

TEST(a_putter_may_die_at_any_instruction) {
    kill_everywhere(kill_alone, true);
}

TEST(a_getter_may_die_at_any_instruction) {
    kill_everywhere(kill_alone, false);
}

TEST(a_getter_sleeps_on_or_wakes_when_a_putter_dies) {
    kill_everywhere(kill_beside_sleeper, true);
}

TEST(a_putter_sleeps_on_or_wakes_when_a_getter_dies) {
    kill_everywhere(kill_beside_sleeper, false);
}

TEST(who_finds_a_dead_one_may_die_too) {
    kill_everywhere(kill_after_a_kill, false);
}

/* --- the same with messages --- */

TEST(a_putter_of_a_message_may_die_at_any_instruction) {
    messages = true;
    kill_everywhere(kill_alone, true);
}

TEST(a_getter_of_a_message_may_die_at_any_instruction) {
    messages = true;
    kill_everywhere(kill_alone, false);
}

TEST(a_getter_sleeps_on_or_wakes_when_a_putter_of_a_message_dies) {
    messages = true;
    kill_everywhere(kill_beside_sleeper, true);
}

TEST(a_putter_sleeps_on_or_wakes_when_a_getter_of_a_message_dies) {
    messages = true;
    kill_everywhere(kill_beside_sleeper, false);
}
