/* figures.c - values, medians, and finding them again. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *group, *metric, *unit;
} units[] = {
    {"io", "wall", "s"},         {"io", "cpu", "s"},         {"io", "memory", "bytes"},
    {"io", "processes", ""},     {"io", "threads", ""},      {"cpu", "wall", "s"},
    {"cpu", "cpu", "s"},         {"mixed", "wall", "s"},     {"mixed", "cpu", "s"},
    {"tasks", "create", "s"},    {"tasks", "each", "bytes"}, {"tasks", "processes", ""},
    {"tasks", "threads", ""},    {"handover", "trip", "s"},  {"handover", "batch", "s"},
    {"data", "each", "s"},       {"crew", "wall", "s"},      {"blocking", "wall", "s"},
    {"race", "lost", "updates"}, {"crash", "lost", "tasks"},
};

static const char *unit_of(const char *group, const char *metric) {
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(units[i].group, group) == 0 && strcmp(units[i].metric, metric) == 0)
            return units[i].unit;
    return NULL; /* not a figure that is reported of this group */
}

void spec_add(struct spec *s, const char *metric, double value) {
    const char *unit = unit_of(s->group, metric);
    for (int i = 0; unit && i < METRICS_MOST; i++) {
        struct metric *m = &s->metrics[i];
        if (m->name && strcmp(m->name, metric) != 0)
            continue;
        m->name = metric;
        m->unit = unit;
        if (m->count < ROUNDS_MOST)
            m->values[m->count++] = value;
        return;
    }
}

const struct metric *spec_metric(const struct spec *s, const char *name) {
    for (int i = 0; i < METRICS_MOST && s->metrics[i].name; i++)
        if (strcmp(s->metrics[i].name, name) == 0)
            return &s->metrics[i];
    return NULL;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread metric_spread(const struct metric *m) {
    double v[ROUNDS_MOST];
    int n = m->count;
    memcpy(v, m->values, sizeof(v));
    qsort(v, (size_t)n, sizeof(v[0]), by_value);
    double median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
    return (struct spread){median, v[0], v[n - 1], n};
}

const struct spec *plan_find(const struct plan *p, const char *group, const char *model,
                             const char *work, bool python, int64_t n) {
    for (size_t i = 0; i < p->count; i++) {
        const struct spec *s = &p->specs[i];
        if (strcmp(s->group, group) == 0 && strcmp(s->model, model) == 0 && s->python == python &&
            (!work || strcmp(s->work, work) == 0) && (n < 0 || s->n == n))
            return s;
    }
    return NULL;
}

bool plan_median(const struct plan *p, const char *group, const char *model, const char *work,
                 bool python, int64_t n, const char *metric, double *ret_value) {
    const struct spec *s = plan_find(p, group, model, work, python, n);
    const struct metric *m = s ? spec_metric(s, metric) : NULL;
    if (m)
        *ret_value = metric_spread(m).median;
    return m != NULL;
}
