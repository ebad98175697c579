/* report_table.c - the report for a terminal: the machine, the figures group by group, where one
 * model overtakes another, the comparison. */
#include "bench/report.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *group, *title, *metrics[3];
} sections[] = {
    {"io", "I/O: requests at once, each answered after a delay", {"wall", "cpu", "memory"}},
    {"cpu", "CPU: a list of factorials, of primes, by workers", {"wall", "cpu"}},
    {"mixed", "Mixed: tasks of 10 ms, so many per cent of it computing", {"wall", "cpu"}},
    {"tasks",
     "Tasks that exist at the same time: to create and end one, memory of one",
     {"create", "each"}},
    {"handover",
     "A task that does nothing, workers being there: one by one, all in one go",
     {"trip", "batch"}},
    {"data", "A block of bytes handed to a task", {"each"}},
    {"crew", "Many short waits by a crew of so many threads", {"wall"}},
    {"blocking", "20 calls that block for 10 ms, made on the loop or handed over", {"wall"}},
    {"race", "Updates lost of 100, with and without a lock", {"lost"}},
    {"crash", "Tasks lost of 8 when one of them kills its process", {"lost"}},
};

static void put_spread(FILE *to, const struct metric *m) {
    char a[HUMAN], b[HUMAN], c[HUMAN];
    struct spread s = metric_spread(m);
    fprintf(to, "  %s %s", m->name, human(s.median, m->unit, a));
    if (s.n > 1 && s.most > s.least)
        fprintf(to, " (%s to %s)", human(s.least, m->unit, b), human(s.most, m->unit, c));
}

static void put_cell(FILE *to, const struct spec *s, const char *const *metrics) {
    char n[HUMAN];
    fprintf(to, "  %-7s %-15s %10s %-11s", s->python ? "Python" : "C", s->model,
            human_count(s->n, n), *s->work == '-' ? "" : s->work);
    for (int i = 0; i < 3 && metrics[i]; i++) {
        const struct metric *m = spec_metric(s, metrics[i]);
        if (m)
            put_spread(to, m);
    }
    fprintf(to, "%s%s\n", s->failed[0] ? "  FAILED: " : "", s->failed);
}

static void put_section(FILE *to, const struct report *r, size_t section) {
    bool begun = false;
    for (size_t i = 0; i < r->plan->count; i++) {
        const struct spec *s = &r->plan->specs[i];
        if (strcmp(s->group, sections[section].group) != 0)
            continue;
        if (!begun)
            fprintf(to, "\n%s\n", sections[section].title);
        begun = true;
        put_cell(to, s, sections[section].metrics);
    }
}

static void put_machine(FILE *to, const struct report *r) {
    const struct machine *m = r->machine;
    char memory[HUMAN];
    fprintf(to, "%s, %u CPUs usable, %s, %s\n", m->cpu[0] ? m->cpu : "a CPU without a name",
            m->cpus, human_bytes(m->memory, memory), m->system);
    if (r->settings->python)
        fprintf(to, "Python %s\n", m->python);
    fprintf(to, "load before the start %.2f, %.1f %% of the CPU time taken by the host\n", m->load,
            m->stolen * 100);
    fprintf(to, "%d rounds in %.0f s; medians, in parentheses the least and the most\n",
            r->plan->rounds, r->seconds);
    for (int i = 0; i < m->warning_count; i++)
        fprintf(to, "WARNING, a noisy machine: %s\n", m->warnings[i]);
    for (int i = 0; i < r->plan->note_count; i++)
        fprintf(to, "Note: %s\n", r->plan->notes[i]);
}

static void put_crossings(FILE *to, const struct report *r) {
    char at[HUMAN], upto[HUMAN];
    if (r->crossing_count)
        fputs("\nFrom how many requests at once one model is better, by 5 % and more\n", to);
    for (int i = 0; i < r->crossing_count; i++) {
        const struct crossing *c = &r->crossings[i];
        fprintf(to, "  %-7s %-7s %s better than %s: ", c->python ? "Python" : "C", c->metric,
                c->better, c->worse);
        if (c->at)
            fprintf(to, "from %s on\n", human_count(c->at, at));
        else
            fprintf(to, "not up to %s\n", human_count(c->upto, upto));
    }
}

static void put_comparison(FILE *to, const struct report *r) {
    for (int python = 0; python <= r->settings->python; python++) {
        fprintf(to, "\nThe models compared, in %s\n", python ? "Python" : "C");
        for (int row = 0; row < ROWS; row++)
            for (int m = 0; m < MODELS; m++) {
                const char *text = r->table[python][row][m];
                fprintf(to, "  %-17s %-10s %s\n", m ? "" : report_rows[row], report_models[m],
                        text[0] ? text : "not measured");
            }
    }
}

void report_table(FILE *to, const struct report *r) {
    put_machine(to, r);
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        put_section(to, r, i);
    put_crossings(to, r);
    put_comparison(to, r);
}
