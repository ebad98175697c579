/* compare.c - what the figures say of the models: the comparison table, and the concurrency from
 * which one model beats another. Better is: a median that is at least 5 % lower, there and at every
 * higher concurrency that both were measured at. */
#include "bench/report.h"

#include <string.h>

const char *const report_models[MODELS] = {"threads", "processes", "loop"};
const char *const report_rows[ROWS] = {"Count", "Memory", "Creation", "True parallelism",
                                       "I/O",   "CPU",    "Data",     "Debugging"};

enum { THREADS, PROCESSES, LOOP };

int64_t report_delay_us(const struct settings *s) {
    return s->quick ? 20000 : 100000;
}

/* Each port has a queue of connections of its own, of the length that the kernel allows. */
int report_ports(const struct plan *p) {
    int64_t queue = 128;
    FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
    long long value;
    if (f && fscanf(f, "%lld", &value) == 1 && value > 0)
        queue = value;
    if (f)
        fclose(f);
    int64_t ports = 4 + p->concurrency / queue;
    return ports < 64 ? (int)ports : 64;
}

/* --- crossings --- */

static void add_crossing(struct report *r, const char *metric, const char *better,
                         const char *worse, bool python) {
    struct crossing c = {.metric = metric, .better = better, .worse = worse, .python = python};
    for (size_t i = 0; i < r->plan->count; i++) {
        const struct spec *s = &r->plan->specs[i];
        double a, b;
        if (strcmp(s->group, "io") != 0 || s->python != python || strcmp(s->model, better) != 0 ||
            !plan_median(r->plan, "io", better, NULL, python, s->n, metric, &a) ||
            !plan_median(r->plan, "io", worse, NULL, python, s->n, metric, &b))
            continue; /* the plan has them in ascending order */
        c.upto = s->n;
        if (a > 0.95 * b)
            c.at = 0;
        else if (!c.at)
            c.at = s->n;
    }
    if (c.upto && r->crossing_count < CROSSINGS_MOST)
        r->crossings[r->crossing_count++] = c;
}

/* --- the table --- */

static void put_count(const struct report *r, bool python, int model, char *text) {
    const struct spec *s = plan_find(r->plan, "tasks", report_models[model], NULL, python, -1);
    const struct metric *processes = s ? spec_metric(s, "processes") : NULL;
    const struct metric *threads = s ? spec_metric(s, "threads") : NULL;
    char a[HUMAN], b[HUMAN], c[HUMAN];
    if (!processes || !threads)
        return;
    int64_t p = (int64_t)processes->values[0], t = (int64_t)threads->values[0];
    snprintf(text, CELL_TEXT, "%s tasks: %s process%s, %s thread%s", human_count(s->n, a),
             human_count(p, b), p == 1 ? "" : "es", human_count(t, c), t == 1 ? "" : "s");
}

static void put_cost(const struct report *r, bool python, int model, const char *metric,
                     const char *what, char *text) {
    const struct spec *s = plan_find(r->plan, "tasks", report_models[model], NULL, python, -1);
    const struct metric *m = s ? spec_metric(s, metric) : NULL;
    char a[HUMAN];
    if (m)
        snprintf(text, CELL_TEXT, "%s %s", human(metric_spread(m).median, m->unit, a), what);
}

static void put_parallelism(const struct report *r, bool python, int model, char *text) {
    double alone, together;
    int64_t cpus = r->machine->cpus;
    if (!plan_median(r->plan, "cpu", "loop", "primes", python, 1, "wall", &alone))
        return;
    if (model == LOOP)
        snprintf(text, CELL_TEXT, "none: one thread");
    else if (plan_median(r->plan, "cpu", report_models[model], "primes", python, cpus, "wall",
                         &together))
        snprintf(text, CELL_TEXT, "primes %.2f times as fast with %d", alone / together, (int)cpus);
}

/* At 1,000 at once, or the highest number below that the model was measured at. */
static void put_io(const struct report *r, bool python, int model, char *text) {
    int64_t best = 0;
    double wall, seen = 0;
    for (size_t i = 0; i < r->plan->count; i++) {
        int64_t n = r->plan->specs[i].n;
        if (strcmp(r->plan->specs[i].group, "io") == 0 && n <= 1000 && n > best &&
            plan_median(r->plan, "io", report_models[model], NULL, python, n, "wall", &wall)) {
            best = n;
            seen = wall;
        }
    }
    char a[HUMAN], b[HUMAN], c[HUMAN];
    if (best)
        snprintf(text, CELL_TEXT, "%s requests at once: %s (ideal %s)", human_count(best, a),
                 human_seconds(seen, b),
                 human_seconds((double)report_delay_us(r->settings) / 1e6, c));
}

static void put_cpu(const struct report *r, bool python, int model, char *text) {
    int64_t workers = model == LOOP ? 1 : r->machine->cpus;
    const struct spec *s =
        plan_find(r->plan, "cpu", report_models[model], "factorials", python, workers);
    if (!s || !spec_metric(s, "wall"))
        s = plan_find(r->plan, "cpu", report_models[model], "primes", python, workers);
    const struct metric *m = s ? spec_metric(s, "wall") : NULL;
    char a[HUMAN];
    if (m)
        snprintf(text, CELL_TEXT, "%s a list of %s", human_seconds(metric_spread(m).median, a),
                 s->work);
}

static void put_data(const struct report *r, bool python, int model, char *text) {
    const char *way = model == PROCESSES ? "copied" : "shared";
    double each, mapped;
    char a[HUMAN], b[HUMAN];
    int64_t bytes = 1 << 20;
    if (!plan_median(r->plan, "data", report_models[model], way, python, bytes, "each", &each))
        return;
    int used = snprintf(text, CELL_TEXT, "1 MiB %s: %s", way, human_seconds(each, a));
    if (model == PROCESSES && plan_median(r->plan, "data", report_models[model], "shared", python,
                                          bytes, "each", &mapped))
        snprintf(text + used, CELL_TEXT - (size_t)used, "; mapped by both: %s",
                 human_seconds(mapped, b));
}

static void put_debugging(const struct report *r, bool python, int model, char *text) {
    const char *name = report_models[model];
    const struct spec *crash = plan_find(r->plan, "crash", name, NULL, python, -1);
    double updates, tasks;
    if (!crash || !plan_median(r->plan, "crash", name, NULL, python, -1, "lost", &tasks))
        return;
    int used = 0;
    if (model == PROCESSES)
        used = snprintf(text, CELL_TEXT, "nothing shared");
    else if (plan_median(r->plan, "race", name, "bare", python, -1, "lost", &updates))
        used = snprintf(text, CELL_TEXT, "without a lock %.0f of 100 updates lost", updates);
    snprintf(text + used, CELL_TEXT - (size_t)used, "%sa crash loses %.0f of %d tasks",
             used ? "; " : "", tasks, (int)crash->n);
}

void report_compare(struct report *r) {
    static const char *const metrics[] = {"wall", "cpu", "memory"};
    for (int python = 0; python <= r->settings->python; python++) {
        for (int i = 0; i < 3; i++) {
            add_crossing(r, metrics[i], "loop", "threads", python);
            add_crossing(r, metrics[i], "threads", "processes", python);
        }
        for (int m = 0; m < MODELS; m++) {
            char(*rows)[MODELS][CELL_TEXT] = r->table[python];
            put_count(r, python, m, rows[0][m]);
            put_cost(r, python, m, "each", "a task that waits", rows[1][m]);
            put_cost(r, python, m, "create", "to start and end one", rows[2][m]);
            put_parallelism(r, python, m, rows[3][m]);
            put_io(r, python, m, rows[4][m]);
            put_cpu(r, python, m, rows[5][m]);
            put_data(r, python, m, rows[6][m]);
            put_debugging(r, python, m, rows[7][m]);
        }
    }
}
