/* engine.c - libcurl's multi_socket interface on a loop.
 *
 * libcurl runs on the loop's own stack: adding a transfer only schedules it, and a message to the
 * loop itself (the kick) makes it begin within the same turn; cancelled transfers are removed there
 * as well. Hosts are hashed over several multi handles, since libcurl's connection cache is
 * searched from end to end when it overflows. A socket stays watched while its connection lies idle
 * between two requests, which saves two system calls for each, until it turns readable: then it is
 * closed by the server, and the watch ends.
 *
 * Invariants: while users == 0 nothing of the engine is in its loop (see session.c). libcurl is
 * never entered from its own callbacks, which only note what is to do.
 *
 * Rejected: curl_multi_poll on a thread apart; one multi handle (O(n) at 10,000 hosts); libcurl's
 * own timeout for the whole request (it covers neither the look-up nor redirects: a scope does). */
#include "http/engine.h"

#include "base/fault.h"
#include "base/panic.h"
#include "http/multi.h"
#include "http/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    IDLE_MAX = 50,   /* connections that one multi handle keeps */
    IDLE_MIN = 4,    /* where descriptors are short */
    LIMIT_STEP = 64, /* libcurl is told of a lower limit in steps */
    SPARE_MAX = 256, /* transfers kept for the next request */
    ROUNDS = 4       /* of what libcurl wants done at once, before others have their turn */
};

/* --- the kick --- */

static void engine_kick(struct engine *e) {
    if (!e->kicked) {
        e->kicked = true;
        loop_post(e->loop, &e->kick);
    }
}

static void transfer_end(struct transfer *t, int status);

static void kicked(struct message *message) {
    struct engine *e = container_of(message, struct engine, kick);
    e->kicked = false;
    for (struct list *node; (node = list_pop(&e->ending));) {
        struct transfer *t = container_of(node, struct transfer, node);
        transfer_end(t, t->reason);
    }
    for (unsigned i = 0; i < ENGINE_MULTIS; i++) {
        if (e->multis[i] && e->multis[i]->due)
            multi_run(e->multis[i], CURL_SOCKET_TIMEOUT, 0);
    }
    if (e->drainer)
        strand_unpark(e->drainer, 0);
}

void transfer_cancel(struct transfer *t, int reason) {
    if (!list_empty(&t->node))
        return;
    t->reason = reason;
    list_push(&t->engine->ending, &t->node);
    engine_kick(t->engine);
}

/* --- multi handles --- */

static int on_timer(CURLM *curl, long ms, void *multi) {
    (void)curl;
    struct multi *m = multi;
    struct loop *l = m->engine->loop;
    loop_timer_stop(l, &m->timer);
    m->due = ms == 0;
    if (ms > 0)
        loop_timer_start(l, &m->timer, TRINE_MS(ms));
    return 0;
}

static void timer_fired(struct timer *timer) {
    struct multi *m = container_of(timer, struct multi, timer);
    m->due = false;
    multi_run(m, CURL_SOCKET_TIMEOUT, 0);
}

/* Idle connections that each handle may keep, so that together they take half of the descriptors at
 * the most. */
static long idle_share(unsigned multis) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
        return IDLE_MAX;
    rlim_t share = files.rlim_cur / 2 / multis;
    return share > IDLE_MAX ? IDLE_MAX : share < IDLE_MIN ? IDLE_MIN : (long)share;
}

/* libcurl counts the connections in use too when it looks whether there are too many, and would
 * close idle ones that the transfers still to come could use. Called when a transfer begins, not
 * when it ends: many may end in one turn whose successors have not begun yet. */
static void multi_adjust(struct multi *m) {
    long want = (long)m->running + m->engine->idle_share;
    if (want > m->limit || want + LIMIT_STEP < m->limit) {
        m->limit = want;
        curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, want);
    }
}

static struct multi *multi_new(struct engine *e) {
    struct multi *m = FAULT(calloc(1, sizeof(*m)), NULL, ENOMEM);
    CURLM *curl = m ? FAULT(curl_multi_init(), NULL, ENOMEM) : NULL;
    if (!curl) {
        free(m);
        return NULL;
    }
    m->curl = curl;
    m->engine = e;
    timer_init(&m->timer, timer_fired);
    curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(curl, CURLMOPT_MAX_HOST_CONNECTIONS, (long)e->session->max_per_host);
    return m;
}

static struct multi *multi_for(struct engine *e, const char *host) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *host; host++)
        hash = (hash ^ (uint8_t)(*host | 0x20)) * 16777619u;
    struct multi **slot = &e->multis[(hash ^ hash >> 16) % ENGINE_MULTIS];
    if (!*slot && (*slot = multi_new(e))) {
        e->multi_count++;
        e->idle_share = idle_share(e->multi_count);
    }
    return *slot;
}

static void multi_reap(struct multi *m) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(m->curl, &left))) {
        struct transfer *t;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        t->code = message->data.result;
        list_remove(&t->node); /* completion beats cancellation */
        transfer_end(t, 0);
    }
}

void multi_run(struct multi *m, curl_socket_t fd, int events) {
    int running;
    curl_multi_socket_action(m->curl, fd, events, &running);
    for (int round = 0; m->due && round < ROUNDS; round++) {
        m->due = false;
        curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    multi_reap(m);
    if (m->due && m->running)
        engine_kick(m->engine);
}

/* --- transfers --- */

static void transfer_end(struct transfer *t, int status) {
    struct multi *m = t->multi;
    REQUIRE(m, "a request of the HTTP engine ended twice");
    t->multi = NULL;
    curl_multi_remove_handle(m->curl, t->easy);
    m->running--;
    strand_unpark(t->strand, status);
}

static void abort_perform(struct strand *s, int reason) {
    transfer_cancel(s->wait_arg, reason);
}

int engine_perform(struct transfer *t, const char *host, struct strand *self) {
    static const struct wait_kind wait = {"HTTP request", abort_perform};
    int r = strand_reason(self);
    if (r < 0)
        return r;
    struct engine *e = t->engine;
    struct multi *m = multi_for(e, host);
    if (!m)
        return -ENOMEM;
    t->multi = m;
    t->strand = self;
    m->running++;
    multi_adjust(m);
    CURLMcode code = curl_multi_add_handle(m->curl, t->easy);
    if (code != CURLM_OK) {
        m->running--;
        t->multi = NULL;
        return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EPROTO;
    }
    engine_kick(e);
    return strand_park(self, &wait, t);
}

struct transfer *engine_acquire(struct engine *e) {
    struct list *node = list_pop(&e->spare);
    struct transfer *t;
    if (node) {
        e->spare_count--;
        t = container_of(node, struct transfer, node);
    } else {
        t = transfer_new(e);
    }
    if (t)
        e->users++;
    return t;
}

/* Nobody uses the engine: it leaves the loop. */
static void engine_settle(struct engine *e) {
    sockets_unwatch(e);
    for (unsigned i = 0; i < ENGINE_MULTIS; i++) {
        if (e->multis[i]) {
            loop_timer_stop(e->loop, &e->multis[i]->timer);
            e->multis[i]->due = false;
        }
    }
}

void engine_release(struct transfer *t, struct strand *self) {
    static const struct wait_kind drain = {"HTTP: own message", NULL};
    struct engine *e = t->engine;
    if (e->spare_count < SPARE_MAX) {
        list_push_front(&e->spare, &t->node);
        e->spare_count++;
    } else {
        transfer_free(t);
    }
    while (e->users == 1 && e->kicked) {
        e->drainer = self;
        strand_park(self, &drain, NULL);
        e->drainer = NULL;
    }
    if (--e->users == 0)
        engine_settle(e);
}

/* --- the engine --- */

struct engine *engine_new(trine_http *session, struct loop *loop) {
    struct engine *e = FAULT(calloc(1, sizeof(*e)), NULL, ENOMEM);
    if (!e)
        return NULL;
    e->session = session;
    e->loop = loop;
    e->kick.handle = kicked;
    list_init(&e->node);
    list_init(&e->watched);
    list_init(&e->spare);
    list_init(&e->ending);
    return e;
}

void engine_free(struct engine *e) {
    REQUIRE(e->users == 0,
            "trine_http_close while %u requests are under way: cancel their scope and "
            "leave it before",
            e->users);
    for (struct list *node; (node = list_pop(&e->spare));)
        transfer_free(container_of(node, struct transfer, node));
    for (unsigned i = 0; i < ENGINE_MULTIS; i++) {
        if (e->multis[i]) {
            curl_multi_setopt(e->multis[i]->curl, CURLMOPT_SOCKETFUNCTION, NULL);
            curl_multi_setopt(e->multis[i]->curl, CURLMOPT_TIMERFUNCTION, NULL);
            curl_multi_cleanup(e->multis[i]->curl);
            free(e->multis[i]);
        }
    }
    sockets_free(e);
    free(e);
}
