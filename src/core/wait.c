/* wait.c - waiting for several futures, of this thread's scopes or of others'. What another thread
 * owns is asked for by a notice each (notice.h), which brings its status along: nobody but the
 * owner may look into a record. */
#include "core/wait.h"

#include <trine/parallel.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/enter.h"
#include "core/notice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

/* What is known of the futures that are waited for. */
struct outcome {
    size_t done, failed;
    int first; /* of the done ones, its index; -1: none */
};

static void count(struct outcome *o, size_t index, int status) {
    o->done++;
    o->failed += status < 0;
    if (o->first < 0 || (int)index < o->first)
        o->first = (int)index;
}

static bool is_over(const struct outcome *o, size_t n, trine_until until) {
    return o->done == n || (until == TRINE_UNTIL_FIRST && o->done) ||
           (until == TRINE_UNTIL_ERROR && o->failed);
}

/* --- of this thread --- */

static struct outcome look(trine_future *const *futures, size_t n, trine_future **left,
                           size_t *ret_left) {
    struct outcome o = {.first = -1};
    *ret_left = 0;
    for (size_t i = 0; i < n; i++) {
        int status = trine_status(futures[i]);
        if (status == -EINPROGRESS)
            left[(*ret_left)++] = futures[i];
        else
            count(&o, i, status);
    }
    return o;
}

static int wait_here(trine_future *const *futures, size_t n, trine_until until) {
    trine_future *left[MOST];
    size_t count_left;
    for (;;) {
        struct outcome o = look(futures, n, left, &count_left);
        if (is_over(&o, n, until))
            return 0;
        int r = trine_await_any(left, count_left);
        if (r < 0)
            return r;
    }
}

/* --- of any --- */

struct many {
    struct strand *waits;
    struct outcome outcome;
    struct asked {
        trine_notice notice;
        struct many *of;
    } asked[];
};

static void told(void *arg, int status) {
    struct asked *a = arg;
    struct many *m = a->of;
    count(&m->outcome, (size_t)(a - m->asked), status);
    strand_unpark_here(m->waits, 0);
}

static void stop_waiting(struct strand *self, int reason) {
    strand_unpark_here(self, reason);
}

/* `only_look`: what is done already is told of while the notices are withdrawn. */
static int wait_any_threads(trine_future *const *futures, size_t n, trine_until until,
                            bool only_look, int *ret_first) {
    static const struct wait_kind kind = {.name = "several futures", .abort = stop_waiting};
    struct strand *self = strand_self();
    int r = self ? strand_reason_here(self) : -EAGAIN;
    if (r < 0)
        return r;
    struct many *m = FAULT(malloc(sizeof(*m) + n * sizeof(m->asked[0])), NULL, ENOMEM);
    if (!m)
        return -ENOMEM;
    *m = (struct many){.waits = self, .outcome.first = -1};
    for (size_t i = 0; i < n; i++) {
        m->asked[i].of = m;
        trine_on_done(futures[i], &m->asked[i].notice, told, &m->asked[i]);
    }
    while (r == 0 && !only_look && !is_over(&m->outcome, n, until))
        r = strand_park_here(self, &kind, m);
    for (size_t i = 0; i < n; i++)
        notice_end((struct notice *)&m->asked[i].notice, self);
    struct outcome o = m->outcome;
    free(m);
    *ret_first = o.first;
    return is_over(&o, n, until) ? 0 : r < 0 ? r : -ETIME;
}

/* --- both --- */

static bool all_here(trine_future *const *futures, size_t n) {
    const struct loop *here = loop_here();
    for (size_t i = 0; i < n; i++)
        if (futures[i]->home != here)
            return false;
    return true;
}

int wait_for_any_elsewhere(trine_future *const *futures, size_t n) {
    int first, r = wait_any_threads(futures, n, TRINE_UNTIL_FIRST, false, &first);
    return r < 0 ? r : first;
}

int trine_wait(trine_future *const *futures, size_t n, trine_until until, int64_t timeout) {
    REQUIRE(n >= 1 && n <= MOST, "trine_wait takes 1 to %d futures, not %zu", MOST, n);
    bool here = all_here(futures, n);
    int first;
    if (here && timeout == 0) {
        trine_future *left[MOST];
        size_t count_left;
        struct outcome o = look(futures, n, left, &count_left);
        return is_over(&o, n, until) ? 0 : -ETIME;
    }
    TRINE_SCOPE(s, .timeout = timeout > 0 ? timeout : 0, .name = "trine_wait");
    int r = here ? wait_here(futures, n, until)
                 : wait_any_threads(futures, n, until, timeout == 0, &first);
    return r == -ETIMEDOUT && trine_scope_timed_out(s) ? -ETIME : r;
}
