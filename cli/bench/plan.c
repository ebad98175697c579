/* plan.c - which cells there are. In a round cells of one question stand beside each other, C's and
 * Python's in turns, so that what the machine does meanwhile strikes all of them. */
#include "bench/bench.h"

#include "bench/machine.h"
#include "bench/work.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const plan_groups[GROUPS] = {"io",   "cpu",  "mixed",    "tasks", "handover",
                                         "data", "crew", "blocking", "race",  "crash"};

enum {
    PROCESSES_MOST = 300, /* that wait at the same time: each more tells nothing new */
    MIXED_TASKS = 64,
    MIXED_US = 10000 /* computing and waiting of one task together */
};

void plan_note(struct plan *p, const char *format, ...) {
    if (p->note_count == sizeof(p->notes) / sizeof(p->notes[0]))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(p->notes[p->note_count++], sizeof(p->notes[0]), format, args);
    va_end(args);
}

/* Adds the cell for C and, where asked for, for Python. A full memory shows at the end. */
static void add(struct plan *p, const struct settings *s, const struct spec *cell) {
    for (int python = 0; python <= s->python; python++) {
        if (p->count == p->room) {
            size_t room = p->room ? 2 * p->room : 64;
            struct spec *more = realloc(p->specs, room * sizeof(*more));
            if (!more)
                return;
            p->specs = more;
            p->room = room;
        }
        p->specs[p->count] = *cell;
        p->specs[p->count].python = python;
        p->count++;
    }
}

static void add_io(struct plan *p, const struct settings *s) {
    static const int64_t usual[] = {1, 10, 100, 300, 1000, 3000, 10000, INT64_MAX};
    static const int64_t quick[] = {1, 10, 50, INT64_MAX};
    const int64_t *at = s->quick ? quick : usual;
    static const char *const models[] = {"loop", "threads", "processes"};
    for (bool last = false; !last; at++) {
        last = *at >= p->concurrency;
        int64_t n = last ? p->concurrency : *at;
        for (int m = 0; m < 3; m++)
            if (m < 2 || n <= p->processes)
                add(p, s, &(struct spec){.group = "io", .model = models[m], .work = "-", .n = n});
    }
}

static void add_cpu(struct plan *p, const struct settings *s, const struct rates *r,
                    unsigned cpus) {
    static const char *const lists[] = {"factorials", "primes"};
    static const char *const models[] = {"threads", "processes"};
    double seconds = s->quick ? 0.03 : 0.25;
    for (int w = WORK_HAS_FACTORIALS ? 0 : 1; w < 2; w++) {
        size_t from = p->count;
        add(p, s, &(struct spec){.group = "cpu", .model = "loop", .work = lists[w], .n = 1});
        for (unsigned workers = 1;;) {
            for (int m = 0; m < 2; m++)
                add(p, s,
                    &(struct spec){
                        .group = "cpu", .model = models[m], .work = lists[w], .n = workers});
            if (workers == 2 * cpus)
                break;
            workers = 2 * workers < 2 * cpus ? 2 * workers : 2 * cpus;
        }
        for (size_t i = from; i < p->count; i++) {
            double each = r->list[p->specs[i].python][w];
            p->specs[i].a = each > 0 && each < seconds ? (int64_t)(seconds / each) : 1;
        }
    }
}

static void add_mixed(struct plan *p, const struct settings *s, const struct rates *r) {
    static const char *const shares[] = {"10", "50", "90"}; /* per cent of computing */
    static const char *const models[] = {"loop", "threads", "processes", "loop+threads",
                                         "loop+processes"};
    for (int i = 0; i < 3; i++) {
        int64_t share = strtol(shares[i], NULL, 10);
        for (int m = 0; m < 5; m++) {
            size_t from = p->count;
            add(p, s,
                &(struct spec){.group = "mixed",
                               .model = models[m],
                               .work = shares[i],
                               .n = s->quick ? MIXED_TASKS / 4 : MIXED_TASKS,
                               .a = MIXED_US * (100 - share) / 100});
            for (size_t k = from; k < p->count; k++)
                p->specs[k].b =
                    (int64_t)(r->spin[p->specs[k].python] * MIXED_US / 1e6 * (double)share / 100);
        }
    }
}

static void add_costs(struct plan *p, const struct settings *s) {
    static const struct spec tasks[] = {
        {.group = "tasks", .model = "loop", .n = 10000},
        {.group = "tasks", .model = "threads", .n = 1000},
        {.group = "tasks", .model = "processes", .n = 50},
        {.group = "handover", .model = "loop", .n = 10000},
        {.group = "handover", .model = "threads", .n = 2000},
        {.group = "handover", .model = "processes", .n = 1000},
    };
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        struct spec cell = tasks[i];
        cell.work = "-";
        cell.n = s->quick ? (cell.n + 9) / 10 : cell.n;
        add(p, s, &cell);
    }
    if (s->python) { /* multiprocessing.Pool; "processes" is concurrent.futures there */
        add(p, s, &(struct spec){.group = "handover", .model = "pool", .work = "-"});
        p->specs[p->count - 2] = p->specs[p->count - 1]; /* Python's alone */
        p->count--;
        p->specs[p->count - 1].n = s->quick ? 100 : 1000;
    }
}

static void add_data(struct plan *p, const struct settings *s) {
    for (int64_t bytes = 4096; bytes <= (s->quick ? 1 << 20 : 16 << 20); bytes *= 16) {
        static const char *const ways[][2] = {{"loop", "shared"},
                                              {"threads", "shared"},
                                              {"processes", "copied"},
                                              {"processes", "shared"}};
        for (int i = 0; i < 4; i++)
            add(p, s,
                &(struct spec){
                    .group = "data", .model = ways[i][0], .work = ways[i][1], .n = bytes});
    }
}

static void add_waits(struct plan *p, const struct settings *s) {
    static const int crews[] = {5, 10, 20, 50, 100, 1000};
    for (int i = 0; i < (s->quick ? 3 : 6); i++)
        add(p, s,
            &(struct spec){.group = "crew",
                           .model = "threads",
                           .work = "-",
                           .n = crews[i],
                           .a = s->quick ? 40 : 1000,
                           .b = s->quick ? 5000 : 2000});
    static const char *const ways[] = {"direct", "handed"};
    for (int i = 0; i < 2; i++)
        add(p, s,
            &(struct spec){
                .group = "blocking", .model = "loop", .work = ways[i], .n = 20, .a = 10000});
}

static void add_faults(struct plan *p, const struct settings *s) {
    add(p, s, &(struct spec){.group = "race", .model = "loop", .work = "bare", .n = 100});
    add(p, s, &(struct spec){.group = "race", .model = "threads", .work = "bare", .n = 100});
    add(p, s, &(struct spec){.group = "race", .model = "threads", .work = "locked", .n = 100});
    static const char *const models[] = {"loop", "threads", "processes"};
    for (int m = 0; m < 3; m++)
        add(p, s, &(struct spec){.group = "crash", .model = models[m], .work = "-", .n = 8});
}

/* Keeps the groups that were asked for. */
static void keep_chosen(struct plan *p, unsigned groups) {
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        for (int g = 0; g < GROUPS; g++)
            if (strcmp(p->specs[i].group, plan_groups[g]) == 0 && groups >> g & 1)
                p->specs[kept++] = p->specs[i];
    p->count = kept;
}

static void set_limits(struct plan *p, const struct settings *s, const struct machine *m) {
    p->concurrency = s->concurrency;
    if (p->concurrency > m->tasks_most) {
        p->concurrency = m->tasks_most;
        plan_note(p, "I/O goes up to %lld at once instead of %lld: %s", (long long)p->concurrency,
                  (long long)s->concurrency, m->tasks_why);
    }
    p->processes = PROCESSES_MOST;
    if (m->processes_most < p->processes) {
        p->processes = m->processes_most;
        plan_note(p,
                  "I/O by processes goes up to %lld at once: the limit of open files (ulimit -Hn)",
                  (long long)p->processes);
    } else if (s->groups & 1 && p->concurrency > p->processes)
        plan_note(p,
                  "I/O by processes goes up to %d at once: a process for each request costs what "
                  "the table says, and more of them would say the same",
                  PROCESSES_MOST);
}

int plan_make(const struct settings *s, const struct machine *m, const struct rates *r,
              struct plan *ret_plan) {
    struct plan *p = ret_plan;
    *p = (struct plan){0};
    set_limits(p, s, m);
    add_io(p, s);
    add_cpu(p, s, r, m->cpus);
    add_mixed(p, s, r);
    add_costs(p, s);
    add_data(p, s);
    add_waits(p, s);
    add_faults(p, s);
    if (!p->specs)
        return -ENOMEM;
    keep_chosen(p, s->groups);
    if (!WORK_HAS_FACTORIALS && s->groups & 2)
        plan_note(p, "no factorials: the command was built without GMP");
    return 0;
}

void plan_free(struct plan *p) {
    free(p->specs);
    *p = (struct plan){0};
}
