/* program_storm.c - random programs over nested scopes: tasks that spawn, cancel, set deadlines,
 * send and receive, lock, and end with errors, checked against a simple model. Time is virtual: a
 * backend of the test's own jumps to the next timer when nobody is ready, so a program is replayed
 * exactly by its seed (TRINE_SEED=n runs that one), and whoever could go on and does not is found
 * at that moment: a lock that is free has nobody waiting, a channel with items has no receiver
 * waiting, and so on. When nobody is ready and no timer runs, a wake-up was lost.
 *
 * The model: a task runs at most once and ends in its scope; a lock has one holder; an item that
 * was sent is received once or still there, one whose send failed never; a scope's outcome is its
 * first error as the policy has it, unless its deadline, a cancel or an outer scope ended it; a
 * cancelled scope fails every later wait. */
#define TEST_TIMEOUT 3000
#include "test.h"

#include <trine/sync.h>
#include <trine/task.h>

#include "core/scope.h"

#include <errno.h>
#include <string.h>
#include <valgrind/valgrind.h>

enum { CHANNELS = 3, PERMITS = 2, ITEMS = 512, DEPTH = 5, CHILDREN = 4 };
enum { OPERATIONS = 60, LEAST = 50, FAR = 1000000 };

enum item { UNUSED, OFFERED, SENT, REFUSED, RECEIVED };

static struct {
    uint64_t seed, dice;
    int left, done; /* operations */
    int live;       /* tasks that have begun and not ended */
    trine_mutex mutex;
    trine_semaphore semaphore;
    trine_event event;
    trine_channel *channels[CHANNELS];
    int capacity[CHANNELS], senders[CHANNELS], receivers[CHANNELS]; /* who waits there */
    int locked, permits;
    unsigned char items[ITEMS];
    int item_count;
    struct state *open; /* scopes, the newest first */
    long totals[8];
} world;

struct state {
    struct state *outer;
    struct state *next_open;
    trine_scope *scope;
    int first_error; /* of a task of the scope, in order of their ends */
    int asked;       /* what we cancelled it with */
    int begun, ended, children;
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "TRINE_SEED=%llu: %s", (unsigned long long)world.seed,   \
                      #condition);                                                                 \
    } while (0)

static unsigned roll(unsigned n) {
    world.dice ^= world.dice << 13;
    world.dice ^= world.dice >> 7;
    world.dice ^= world.dice << 17;
    return (unsigned)(world.dice >> 33) % n;
}

/* --- virtual time --- */

static int64_t virtual_now = 1;

static int64_t now(struct backend *b) {
    (void)b;
    return virtual_now;
}

/* Everybody has gone as far as they can. */
static void check_nobody_is_left_waiting(void) {
    trine_sync_stats stats;
    trine_mutex_stats(&world.mutex, &stats);
    MUST(stats.held == (size_t)world.locked);
    MUST(stats.held || !stats.waiters);
    trine_semaphore_stats(&world.semaphore, &stats);
    MUST(stats.held == (size_t)world.permits);
    MUST(stats.held == PERMITS || !stats.waiters);
    trine_event_stats(&world.event, &stats);
    MUST(!trine_event_is_set(&world.event) || !stats.waiters);
    for (int i = 0; i < CHANNELS; i++) {
        int count = (int)trine_channel_count(world.channels[i]);
        MUST(count <= world.capacity[i]);
        MUST(!count || !world.receivers[i]);
        MUST(count == world.capacity[i] || !world.senders[i]);
        MUST(!world.senders[i] || !world.receivers[i]);
    }
    for (struct state *state = world.open; state; state = state->next_open) {
        const struct scope *s = scope_of(state->scope);
        MUST(!s->waiting || s->running == s->limit);
        MUST(list_empty(&s->room_waiters) || s->waiting == s->waiting_max);
        MUST(list_empty(&s->idle_waiters) || s->running);
        MUST(list_empty(&s->done_waiters) || list_empty(&s->done));
    }
}

static int jump(struct backend *b, int64_t deadline) {
    (void)b;
    if (deadline <= virtual_now)
        return 0;
    check_nobody_is_left_waiting();
    bool somebody_can_be_woken = deadline != NEVER;
    MUST(somebody_can_be_woken);
    virtual_now = deadline;
    return 0;
}

static void close_nothing(struct backend *b) {
    (void)b;
}

static const struct backend_kind virtual_kind = {.name = "virtual",
                                                 .now = now,
                                                 .submit_and_wait = jump,
                                                 .close = close_nothing};
static struct backend virtual_backend = {.kind = &virtual_kind};

/* --- operations --- */

static void open_state(struct state *s, trine_scope *scope) {
    s->scope = scope;
    s->next_open = world.open;
    world.open = s;
}

static void close_state(struct state *s) {
    struct state **at = &world.open;
    while (*at != s)
        at = &(*at)->next_open;
    *at = s->next_open;
}

struct task {
    struct state *in; /* the scope that it is in */
    int depth, status, begun;
};

static int run_task(struct task *t);
TRINE_TASK(run_task, struct task);

/* A wait failed: its scope is ending, and so the next one fails too. */
static int failed(int r) {
    MUST(r == -ECANCELED || r == -ETIMEDOUT);
    int again = trine_sleep(0);
    MUST(again == r);
    MUST(trine_cancel_reason() < 0);
    return r;
}

static int pause_a_while(void) {
    int r = roll(2) ? trine_yield() : trine_sleep(roll(30000));
    return r < 0 ? failed(r) : 0;
}

static int send_item(void) {
    int c = (int)roll(CHANNELS);
    if (world.item_count == ITEMS)
        return 0;
    int64_t item = world.item_count++;
    world.items[item] = OFFERED;
    world.senders[c]++;
    int r = trine_channel_send(world.channels[c], &item);
    world.senders[c]--;
    if (r < 0) {
        MUST(world.items[item] == OFFERED);
        world.items[item] = REFUSED;
        return failed(r);
    }
    MUST(world.items[item] == OFFERED || world.items[item] == RECEIVED);
    if (world.items[item] == OFFERED)
        world.items[item] = SENT;
    return 0;
}

static void received(int64_t item) {
    MUST(item >= 0 && item < world.item_count);
    MUST(world.items[item] == OFFERED || world.items[item] == SENT);
    world.items[item] = RECEIVED;
    world.totals[1]++;
}

static int receive_item(void) {
    int c = (int)roll(CHANNELS);
    int64_t item = -1;
    world.receivers[c]++;
    int r = trine_channel_recv(world.channels[c], &item);
    world.receivers[c]--;
    if (r < 0)
        return failed(r);
    received(item);
    return 0;
}

static int lock(void) {
    int r = trine_mutex_lock(&world.mutex);
    if (r < 0)
        return failed(r);
    MUST(world.locked == 0);
    world.locked = 1;
    r = pause_a_while();
    world.locked = 0;
    trine_mutex_unlock(&world.mutex);
    return r;
}

static int take_permit(void) {
    int r = trine_semaphore_acquire(&world.semaphore);
    if (r < 0)
        return failed(r);
    MUST(world.permits < PERMITS);
    world.permits++;
    r = pause_a_while();
    world.permits--;
    trine_semaphore_release(&world.semaphore);
    return r;
}

static int use_event(void) {
    if (roll(3) == 0) {
        trine_event_set(&world.event);
        return 0;
    }
    if (roll(3) == 0)
        trine_event_clear(&world.event);
    int r = trine_event_wait(&world.event);
    return r < 0 ? failed(r) : 0;
}

static int cancel_some_scope(struct state *around) {
    for (int up = (int)roll(3); up > 0 && around->outer; up--)
        around = around->outer;
    if (!around->outer || roll(3))
        return 0; /* the program's own scope stays */
    if (!around->asked)
        around->asked = roll(2) ? -EPIPE : -ECANCELED;
    trine_scope_cancel(around->scope, around->asked);
    world.totals[2]++;
    return 0;
}

static int nest(struct state *around, int depth);

static int one_operation(struct state *around, int depth) {
    world.left--;
    world.done++;
    switch (roll(12)) {
    case 0:
    case 1:
        return send_item();
    case 2:
    case 3:
        return receive_item();
    case 4:
        return lock();
    case 5:
        return take_permit();
    case 6:
        return use_event();
    case 7:
        return cancel_some_scope(around);
    case 8:
    case 9:
        return depth < DEPTH ? nest(around, depth) : pause_a_while();
    default:
        return pause_a_while();
    }
}

static int some_operations(struct state *around, int depth, int most) {
    int r = 0;
    for (int i = (int)roll((unsigned)most) + 1; i > 0 && r == 0 && world.left > 0; i--)
        r = one_operation(around, depth);
    return r;
}

/* --- scopes --- */

static int run_task(struct task *t) {
    MUST(t->begun++ == 0);
    t->in->begun++;
    world.live++;
    world.totals[0]++;
    t->status = some_operations(t->in, t->depth, 6);
    if (t->status == 0 && roll(8) == 0)
        t->status = -EIO;
    world.live--;
    t->in->ended++;
    if (t->status < 0 && !t->in->first_error)
        t->in->first_error = t->status;
    return t->status;
}

/* Handles: some are awaited, cancelled, dropped. */
static int use_future(trine_future *f) {
    int status, r = 0;
    if (roll(4) == 0)
        trine_cancel(f, 0);
    if (roll(2)) {
        r = trine_await(f, &status);
        if (r == 0)
            MUST(trine_status(f) == status);
        else if (trine_status(f) == -EINPROGRESS)
            failed(r);
    }
    if (roll(2))
        trine_future_drop(f);
    return r;
}

static void check_outcome(const struct state *s, int policy, bool timed, bool handles, int outer,
                          int outcome) {
    bool asked = s->asked && outcome == s->asked;
    bool ended_from_outside = outer && (outcome == -ECANCELED || outcome == -ETIMEDOUT);
    if (asked || ended_from_outside || (timed && outcome == -ETIMEDOUT))
        return;
    if (policy == TRINE_FIRST && outcome == 0)
        return; /* one succeeded, or there was none */
    /* A task that was cancelled by its handle never began, or gave -ECANCELED. */
    MUST(outcome == s->first_error || (handles && outcome == -ECANCELED));
}

static int nest(struct state *around, int depth) {
    struct task tasks[CHILDREN];
    struct state s = {.outer = around};
    unsigned count = 1 + roll(CHILDREN);
    int policy = (int)roll(3), r = 0;
    bool shield = roll(10) == 0, handles = roll(4) == 0;
    int64_t timeout = shield || roll(4) == 0 ? 1 + roll(100000) : 0;
    TRINE_SCOPE(scope, .policy = (trine_policy)policy, .timeout = timeout, .limit = roll(3),
                .pending = roll(3), .shield = shield);
    open_state(&s, scope);
    int before = trine_cancel_reason();
    for (unsigned i = 0; i < count && r == 0; i++) {
        tasks[i] = (struct task){.in = &s, .depth = depth + 1};
        s.children++;
        if (handles)
            r = use_future(trine_start(scope, NULL, run_task, &tasks[i]));
        else
            r = trine_spawn(scope, run_task, &tasks[i]);
    }
    if (r == 0 && roll(2))
        some_operations(&s, depth + 1, 3); /* its error ends with the scope */
    if (timeout && roll(4) == 0)
        trine_scope_set_deadline(scope, virtual_now + 1 + (int64_t)roll(100000));
    if (roll(4)) {
        int outcome = trine_join(scope);
        MUST(s.begun == s.ended && s.begun <= s.children);
        int outer = trine_cancel_reason() || before;
        check_outcome(&s, policy, timeout > 0, handles, outer, outcome);
        world.totals[3]++;
    }
    trine_scope_close(&scope);
    close_state(&s);
    MUST(s.begun == s.ended);
    r = trine_sleep(0);
    return r < 0 ? failed(r) : 0;
}

/* --- a program --- */

static int program(struct state *root) {
    TRINE_SCOPE(scope, .timeout = TRINE_MS(50), .policy = TRINE_COLLECT);
    open_state(root, scope);
    struct task tasks[3];
    for (int i = 0; i < 3; i++) {
        tasks[i] = (struct task){.in = root, .depth = 1};
        if (trine_spawn(scope, run_task, &tasks[i]) < 0)
            break;
    }
    int r = 0;
    while (world.left > 0 && r == 0)
        r = some_operations(root, 1, 6);
    trine_join(scope);
    close_state(root);
    return 0;
}
TRINE_TASK(program, struct state);

static void check_the_end(void) {
    MUST(world.live == 0 && world.locked == 0 && world.permits == 0);
    check_nobody_is_left_waiting();
    for (int i = 0; i < CHANNELS; i++) {
        int64_t item;
        while (trine_channel_try_recv(world.channels[i], &item) == 0)
            received(item);
        MUST(world.senders[i] == 0 && world.receivers[i] == 0);
        trine_channel_free(&world.channels[i]);
    }
    for (int i = 0; i < world.item_count; i++)
        MUST(world.items[i] == RECEIVED || world.items[i] == REFUSED);
    MUST(timers_next(&loop_self()->timers) == NEVER);
}

/* Whether it did as much as a program must: many end early, by their deadline. */
static bool run_program(uint64_t seed) {
    struct state root = {0};
    long totals[8];
    memcpy(totals, world.totals, sizeof(totals));
    memset(&world, 0, sizeof(world));
    memcpy(world.totals, totals, sizeof(totals));
    world.seed = seed;
    world.dice = seed * 0x9E3779B97F4A7C15u | 1;
    for (int i = 0; i < 8; i++)
        roll(2);
    world.left = OPERATIONS;
    trine_semaphore_init(&world.semaphore, PERMITS, PERMITS);
    for (int i = 0; i < CHANNELS; i++) {
        world.capacity[i] = (int)roll(3);
        world.channels[i] = trine_channel_new(sizeof(int64_t), (size_t)world.capacity[i]);
        MUST(world.channels[i]);
    }
    MUST(trine_run(program, &root) == 0);
    check_the_end();
    return world.done >= LEAST;
}

TEST(random_programs_behave_as_the_model_says) {
    const char *given = getenv("TRINE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)test_now_ms() << 24;
    long wanted = given ? 1 : getenv("TRINE_STRESS") ? 1000000 : RUNNING_ON_VALGRIND ? 200 : 20000;
    struct loop *l = loop_self();
    l->backend = &virtual_backend;
    printf("# programs from seed %llu\n", (unsigned long long)seed);
    long ran = 0, large = 0;
    for (; given ? ran < wanted : large < wanted; ran++)
        large += run_program(seed + (uint64_t)ran);
    l->backend = NULL;
    printf("# %ld programs of %d operations and more, %ld shorter ones: %ld tasks, %ld items "
           "received, %ld scopes cancelled, %ld joined\n",
           large, LEAST, ran - large, world.totals[0], world.totals[1], world.totals[2],
           world.totals[3]);
}
