/* dump.c - the tree of scopes and tasks of one loop, as text. It walks what is there anyway, so
 * that nothing has to be noted for it but when a wait began. Depth is bounded: a scope whose
 * owner's chain is longer than the bound is cut, and says so. */
#include <trine/debug.h>
#include <trine/task.h>

#include "base/log.h"
#include "base/text.h"
#include "core/dump.h"
#include "core/enter.h"
#include "core/executor.h"

#include <unistd.h>

enum { DEPTH_MOST = 64 };

struct dump {
    struct loop *loop;
    int64_t now;
    int fd, depth;
};

static void begin_line(const struct dump *d, struct text *t) {
    t->used = 0;
    for (int i = 0; i < d->depth && i < DEPTH_MOST; i++)
        text_add(t, "  ");
}

static void end_line(const struct dump *d, struct text *t) {
    if (t->used == sizeof(t->bytes))
        t->used--;
    text_add(t, "\n");
    text_write(t, d->fd);
}

static void add_duration(struct text *t, int64_t ns) {
    uint64_t ms = ns > 0 ? (uint64_t)ns / 1000000 : 0;
    char fraction[] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                       (char)('0' + ms % 10), 0};
    text_add_number(t, ms / 1000);
    text_add(t, fraction);
    text_add(t, " s");
}

static void dump_strand(struct dump *d, const struct strand *s);

/* What the strand does, or waits for. */
static void add_state(const struct dump *d, struct text *t, const struct strand *s) {
    if (s->wait) {
        text_add(t, ": waits for ");
        text_add(t, s->wait->name);
        text_add(t, " since ");
        add_duration(t, d->now - s->since);
    } else {
        text_add(t, s == d->loop->current ? ": runs" : ": ready");
    }
}

static void dump_task(struct dump *d, const struct trine_future *f) {
    struct text t;
    begin_line(d, &t);
    if (f->kind == RECORD_TIME) {
        text_add(&t, "future of time, made at ");
        text_add(&t, f->site);
        end_line(d, &t);
        return;
    }
    text_add(&t, "task ");
    text_add(&t, future_name(f));
    text_add(&t, ", started at ");
    text_add(&t, f->site);
    const struct strand *s = f->on ? NULL : f->strand;
    if (f->state == FUTURE_PENDING)
        text_add(&t, ": waits for its scope's limit");
    else if (s)
        add_state(d, &t, s);
    else
        text_add(&t, f->on ? ": handed to " : ": begins");
    if (f->on && f->state != FUTURE_PENDING)
        text_add(&t, f->on->kind->name);
    if (atomic_load(&f->cancel))
        text_add(&t, ", is to end");
    end_line(d, &t);
    d->depth++;
    if (s)
        dump_strand(d, s);
    d->depth--;
}

static void dump_scope(struct dump *d, const struct scope *s) {
    struct text t;
    begin_line(d, &t);
    text_add(&t, "scope ");
    text_add(&t, s->name ? s->name : "");
    text_add(&t, s->name ? ", opened at " : "opened at ");
    text_add(&t, s->site);
    text_add(&t, ": ");
    text_add_number(&t, s->running);
    text_add(&t, " run, ");
    text_add_number(&t, s->waiting);
    text_add(&t, " wait for its limit");
    if (s->deadline.running) {
        text_add(&t, ", deadline in ");
        add_duration(&t, scope_deadline(s) - d->now);
    }
    if (s->reason) {
        text_add(&t, ", ends: ");
        text_add(&t, trine_strerror(scope_why(s)));
    }
    end_line(d, &t);
    d->depth++;
    LIST_EACH(node, &s->tasks)
    dump_task(d, container_of(node, struct trine_future, in_scope));
    d->depth--;
}

/* The strand's open scopes, the outermost first. */
static void dump_strand(struct dump *d, const struct strand *strand) {
    const struct scope *scopes[DEPTH_MOST];
    int count = 0;
    for (const struct scope *s = strand->scope; s && count < DEPTH_MOST; s = s->outer)
        scopes[count++] = s;
    if (d->depth >= DEPTH_MOST)
        count = 0;
    int depth = d->depth;
    while (count-- > 0) {
        dump_scope(d, scopes[count]);
        d->depth++;
    }
    d->depth = depth;
}

void trine_log_to(trine_log_fn fn, void *arg) {
    log_to(fn, arg);
}

void loop_dump(struct loop *l, int fd) {
    struct dump d = {.loop = l, .now = loop_here()->now, .fd = fd};
    struct text t;
    begin_line(&d, &t);
    text_add(&t, "loop of thread ");
    text_add_number(&t, (uint64_t)l->tid);
    if (l->thread.task) {
        text_add(&t, ", runs the task ");
        text_add(&t, future_name(l->thread.task));
    }
    if (l->thread.wait && !l->main)
        add_state(&d, &t, &l->thread);
    end_line(&d, &t);
    d.depth = 1;
    dump_strand(&d, &d.loop->thread);
    if (d.loop->main)
        dump_task(&d, d.loop->main);
}

void trine_dump(int fd) {
    loop_dump(loop_here(), fd);
}
