/* processes_pressure.c - who submits faster than a process pool works waits for room in its queue:
 * at the bound, until the wait ends in one way or another, and beyond the end of the pool. */
#include "processes_inside.h"

#include <trine/shared.h>

#include <pthread.h>
#include <stdatomic.h>

enum { QUEUE = 4, TASKS_MOST = 400 };

/* Runs until it is told, all of them by one word. */
struct load {
    trine_shared gate;
    int in, out;
};

static int wait_at_gate(const trine_shared *gate) {
    void *open;
    int r = trine_shared_map(gate, &open);
    while (r >= 0 && !atomic_load((atomic_int *)open))
        usleep(1000);
    return r;
}

static int bear(struct load *l) {
    int r = wait_at_gate(&l->gate);
    l->out = 2 * l->in;
    return r;
}
TRINE_TASK(bear, struct load);

/* The same, so large that it lies in an area. */
struct heavy {
    struct load load;
    char fill[AREA_LEAST];
};

static int bear_heavy(struct heavy *h) {
    return bear(&h->load);
}
TRINE_TASK(bear_heavy, struct heavy);

/* A pool of one worker, and who fills it. */
struct filler {
    trine_executor *pool;
    trine_shared gate;
    unsigned tasks, sent_most; /* that it submits; that the worker has at a time, at the most */
    struct load loads[TASKS_MOST];
    struct heavy *heavies; /* in place of the loads, or NULL */
    pthread_t thread;
    atomic_uint accepted;
    int error, outcome; /* of the submission that failed; of all */
};

static void gate_open(const trine_shared *gate) {
    void *open;
    CHECK_OK(trine_shared_map(gate, &open));
    atomic_store((atomic_int *)open, 1);
}

static struct load *load_of(struct filler *f, unsigned i) {
    return f->heavies ? &f->heavies[i].load : &f->loads[i];
}

static int submit(struct filler *f, trine_scope *s, unsigned i) {
    *load_of(f, i) = (struct load){.gate = f->gate, .in = (int)i + 1};
    return f->heavies ? trine_submit(s, f->pool, bear_heavy, &f->heavies[i])
                      : trine_submit(s, f->pool, bear, &f->loads[i]);
}

/* Who is told that the pool closes lets its tasks go on, for which that waits. */
static void *fill(void *arg) {
    struct filler *f = arg;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (unsigned i = 0; i < f->tasks && f->error == 0; i++) {
        f->error = submit(f, s, i);
        atomic_fetch_add(&f->accepted, f->error == 0);
    }
    if (f->error == -ESHUTDOWN)
        gate_open(&f->gate);
    f->outcome = trine_join(s);
    return NULL;
}

static struct filler *filler_new(trine_processes_opts opts, unsigned tasks, unsigned sent_most,
                                 bool heavy) {
    struct filler *f = calloc(1, sizeof(*f));
    CHECK(f);
    opts.workers = 1;
    opts.queue = QUEUE;
    f->pool = pool_open(opts);
    f->tasks = tasks;
    f->sent_most = sent_most;
    if (heavy)
        CHECK((f->heavies = calloc(tasks, sizeof(f->heavies[0]))));
    CHECK_OK(trine_shared_open(sizeof(atomic_int), &f->gate));
    return f;
}

static void filler_free(struct filler *f) {
    trine_shared_free(&f->gate);
    free(f->heavies);
    free(f);
}

/* The worker has all that it takes, the queue is full, or more than half full and lets nobody in
 * who waits already. */
static bool is_full(struct filler *f, unsigned waiting) {
    return atomic_load(&f->accepted) > f->sent_most + QUEUE / 2 &&
           count_submitters(f->pool) == waiting;
}

static void start_filler(struct filler *f) {
    CHECK_EQ(pthread_create(&f->thread, NULL, fill, f), 0);
    CHECK(EVENTUALLY(is_full(f, 1), 20000));
    CHECK(atomic_load(&f->accepted) <= f->sent_most + QUEUE);
}

/* After the gate was opened: `accepted` tasks are done, and no other. */
static void check_done(struct filler *f, unsigned accepted) {
    CHECK_EQ(pthread_join(f->thread, NULL), 0);
    CHECK_EQ(atomic_load(&f->accepted), accepted);
    for (unsigned i = 0; i < f->tasks; i++)
        CHECK_EQ(load_of(f, i)->out, i < accepted ? 2 * ((int)i + 1) : 0);
}

/* --- the bound --- */

static void check_bound(struct filler *f) {
    start_filler(f);
    for (int i = 0; i < 50; i++) { /* whoever comes later would be seen */
        usleep(1000);
        CHECK(is_full(f, 1));
        CHECK(atomic_load(&f->accepted) <= f->sent_most + QUEUE);
    }
    gate_open(&f->gate);
    check_done(f, f->tasks);
    CHECK_EQ(f->outcome, 0);
    trine_executor_close(&f->pool);
    filler_free(f);
}

TEST(a_submitter_is_held_up_when_queue_and_worker_are_full) {
    check_bound(filler_new((trine_processes_opts){0}, TASKS_MOST, SENT_MOST, false));
}

TEST(a_submitter_is_held_up_when_the_areas_are_full) {
    check_bound(filler_new((trine_processes_opts){0}, 100, AREAS, true));
}

TEST(a_submitter_is_held_up_when_the_worker_will_be_replaced) {
    check_bound(filler_new((trine_processes_opts){.max_tasks = 3}, 100, 3, false));
}

/* --- the end of the wait --- */

/* Submits until it may not: the task that leaves room for another one is itself one at the most. */
static int submit_until_error(struct filler *f, trine_scope *s, struct heavy *two) {
    int r = 0;
    for (unsigned i = 0; i < 2 && r == 0; i++) {
        two[i].load = (struct load){.gate = f->gate};
        r = trine_submit(s, f->pool, bear_heavy, &two[i]);
    }
    return r;
}

TEST(a_submitter_that_waits_for_room_is_out_of_time) {
    struct filler *f = filler_new((trine_processes_opts){0}, 100, AREAS, true);
    static struct heavy two[2];
    start_filler(f);
    int64_t before = trine_now();
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_MS(50));
        CHECK_EQ(submit_until_error(f, s, two), -ETIMEDOUT);
        CHECK(trine_now() - before >= TRINE_MS(50));
        CHECK_EQ(trine_join(s), -ETIMEDOUT);
    }
    CHECK_EQ(two[0].load.out + two[1].load.out, 0);
    CHECK_EQ(count_submitters(f->pool), 1);
    gate_open(&f->gate);
    check_done(f, f->tasks);
    CHECK_EQ(f->outcome, 0);
    trine_executor_close(&f->pool);
    filler_free(f);
}

struct other {
    struct filler *filler;
    _Atomic(trine_scope *) scope;
    atomic_bool cancelled;
    int error, outcome;
    struct heavy two[2];
};

static void *submit_until_cancelled(void *arg) {
    struct other *o = arg;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    atomic_store(&o->scope, s);
    o->error = submit_until_error(o->filler, s, o->two);
    while (!atomic_load(&o->cancelled)) /* the scope is open until it is */
        usleep(1000);
    o->outcome = trine_join(s);
    return NULL;
}

TEST(a_submitter_that_waits_for_room_is_cancelled) {
    struct filler *f = filler_new((trine_processes_opts){0}, 100, AREAS, true);
    static struct other o;
    pthread_t thread;
    start_filler(f);
    o.filler = f;
    CHECK_EQ(pthread_create(&thread, NULL, submit_until_cancelled, &o), 0);
    CHECK(EVENTUALLY(is_full(f, 2), 20000));
    trine_scope_cancel(atomic_load(&o.scope), 0);
    atomic_store(&o.cancelled, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(o.error, -ECANCELED);
    CHECK_EQ(o.outcome, -ECANCELED);
    CHECK_EQ(count_submitters(f->pool), 1);
    gate_open(&f->gate);
    check_done(f, f->tasks);
    CHECK_EQ(o.two[0].load.out + o.two[1].load.out, 0);
    CHECK_EQ(f->outcome, 0);
    trine_executor_close(&f->pool);
    filler_free(f);
}

/* --- the end of the pool --- */

TEST(a_submitter_that_waits_for_room_hears_that_the_pool_closes) {
    struct filler *f = filler_new((trine_processes_opts){0}, 100, AREAS, true);
    start_filler(f);
    unsigned accepted = atomic_load(&f->accepted);
    trine_executor_close(&f->pool); /* until the filler lets its tasks go on */
    CHECK_EQ(f->pool, NULL);
    check_done(f, accepted);
    CHECK_EQ(f->error, -ESHUTDOWN);
    CHECK_EQ(f->outcome, -ESHUTDOWN);
    filler_free(f);
}

/* A loop with a coroutine that waits for room, and one that holds the loop up meanwhile, so that
 * the end of the wait is not noticed before the pool is gone. */
struct late {
    struct filler *filler;
    atomic_bool held_up, go_on;
    bool cancels;
    trine_scope *scope; /* of the one that waits */
    int error;
    struct heavy two[2];
};

static int wait_for_room(struct late *l) {
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    l->scope = s;
    l->error = submit_until_error(l->filler, s, l->two);
    return 0;
}
TRINE_TASK(wait_for_room, struct late);

static int hold_up(struct late *l) {
    TRINE_SCOPE(s);
    CHECK_OK(trine_spawn(s, wait_for_room, l));
    while (!is_full(l->filler, 2))
        CHECK_OK(trine_sleep(TRINE_MS(1)));
    atomic_store(&l->held_up, true);
    while (!atomic_load(&l->go_on))
        usleep(1000);
    if (l->cancels)
        trine_scope_cancel(l->scope, 0);
    return trine_join(s);
}
TRINE_TASK(hold_up, struct late);

static void *run_late(void *arg) {
    CHECK_OK(trine_run(hold_up, (struct late *)arg));
    return NULL;
}

static void start_late(struct late *l, pthread_t *ret_thread) {
    l->filler = filler_new((trine_processes_opts){0}, 20, AREAS, true);
    start_filler(l->filler);
    CHECK_EQ(pthread_create(ret_thread, NULL, run_late, l), 0);
    CHECK(EVENTUALLY(atomic_load(&l->held_up), 20000));
}

/* The pool is gone: the one that waited notices now. */
static void check_late(struct late *l, pthread_t thread) {
    atomic_store(&l->go_on, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(l->error, -ESHUTDOWN);
    filler_free(l->filler);
}

TEST(a_submitter_that_was_let_in_notices_when_the_pool_is_gone) {
    static struct late l;
    pthread_t thread;
    start_late(&l, &thread);
    gate_open(&l.filler->gate);
    check_done(l.filler, l.filler->tasks);
    CHECK(EVENTUALLY(count_submitters(l.filler->pool) == 0, 20000));
    trine_executor_close(&l.filler->pool);
    check_late(&l, thread);
}

TEST(a_submitter_that_was_refused_is_cancelled_when_the_pool_is_gone) {
    static struct late l = {.cancels = true};
    pthread_t thread;
    start_late(&l, &thread);
    trine_executor_close(&l.filler->pool);
    check_done(l.filler, atomic_load(&l.filler->accepted));
    CHECK_EQ(l.filler->error, -ESHUTDOWN);
    check_late(&l, thread);
}
