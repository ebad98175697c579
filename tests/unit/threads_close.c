/* threads_close.c - who waits in another thread for room in a thread pool that is closed: the end
 * of the wait may be noticed only when the pool is gone. */
#include "test.h"

#include "exec/crew.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

enum { TASKS = 20, QUEUE = 4 };

static atomic_bool gate;

struct unit {
    int done;
};

static int pass_gate(struct unit *u) {
    while (!atomic_load(&gate))
        usleep(1000);
    u->done = 1;
    return 0;
}
TRINE_TASK(pass_gate, struct unit);

/* A loop with a coroutine that waits for room, and one that holds the loop up meanwhile. */
struct late {
    trine_executor *pool;
    struct unit units[TASKS];
    trine_scope *scope; /* of the one that waits */
    bool cancels;
    atomic_bool held_up, go_on;
    int accepted, error;
};

static bool is_waited_for(trine_executor *pool) {
    struct crew *c = container_of(pool, struct crew, base);
    pthread_mutex_lock(&c->lock);
    bool any = !list_empty(&c->room_waiters);
    pthread_mutex_unlock(&c->lock);
    return any;
}

static int wait_for_room(struct late *l) {
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    l->scope = s;
    while ((l->error = trine_submit(s, l->pool, pass_gate, &l->units[l->accepted])) == 0)
        l->accepted++;
    return 0;
}
TRINE_TASK(wait_for_room, struct late);

static int hold_up(struct late *l) {
    TRINE_SCOPE(s);
    CHECK_OK(trine_spawn(s, wait_for_room, l));
    while (!is_waited_for(l->pool))
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

static void *open_gate_when_refused(void *arg) {
    while (is_waited_for(arg))
        usleep(1000);
    atomic_store(&gate, true);
    return NULL;
}

static void close_while_it_waits(struct late *l) {
    pthread_t thread, opener;
    CHECK_OK(
        trine_threads_open(&l->pool, TRINE_OPTS(trine_threads_opts, .workers = 1, .queue = QUEUE)));
    trine_executor *pool = l->pool;
    CHECK_EQ(pthread_create(&thread, NULL, run_late, l), 0);
    while (!atomic_load(&l->held_up))
        usleep(1000);
    CHECK_EQ(pthread_create(&opener, NULL, open_gate_when_refused, pool), 0);
    trine_executor_close(&pool);
    CHECK_EQ(pthread_join(opener, NULL), 0);
    atomic_store(&l->go_on, true); /* the pool is gone */
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(l->error, l->cancels ? -ECANCELED : -ESHUTDOWN);
    for (int i = 0; i < TASKS; i++)
        CHECK_EQ(l->units[i].done, i < l->accepted);
}

TEST(who_waited_for_room_notices_when_the_pool_is_gone) {
    static struct late l;
    close_while_it_waits(&l);
}

TEST(who_waited_for_room_is_cancelled_when_the_pool_is_gone) {
    static struct late l = {.cancels = true};
    close_while_it_waits(&l);
}

static size_t heap_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* A scope keeps a pool while a task of it may come back, not those that it is done with. */
TEST(a_long_scope_does_not_keep_the_pools_that_were_closed_in_it) {
    enum { POOLS = 60, FEW = 6 };
    struct unit u = {0};
    atomic_store(&gate, true);
    size_t first = 0, one = 0;
    TRINE_SCOPE(s);
    for (int i = 0; i < POOLS; i++) {
        trine_executor *pool;
        size_t before = heap_in_use();
        CHECK_OK(trine_threads_open(&pool, NULL));
        size_t with_it = heap_in_use();
        CHECK_OK(trine_submit(s, pool, pass_gate, &u));
        CHECK_OK(trine_join(s));
        trine_executor_close(&pool);
        one = with_it - before;
        first = first ? first : heap_in_use();
    }
    CHECK(heap_in_use() <= first + FEW * one);
}
