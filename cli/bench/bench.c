/* bench.c - `trine bench`: options, rounds, reports.
 *
 * Round 0 looks at memory, which costs time, and so gives no times; then each round runs every cell
 * once, forwards or backwards, as long as another one fits into the limit. Rejected: all runs of a
 * cell in a row, which a slow minute of the machine would strike all together. */
#include "bench/bench.h"

#include "bench/cell.h"
#include "bench/machine.h"
#include "bench/report.h"
#include "bench/run.h"
#include "commands.h"

#include <trine.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_INTERRUPTED = 130, CELL_SECONDS = 60 };

struct bench {
    struct settings settings;
    struct machine machine;
    struct rates rates;
    struct plan plan;
    char ports[CELL_PORTS_MOST * 6];
    int64_t start, longest; /* of a round */
    char part[4096];        /* where the page is written */
    FILE *page;
};

/* --- progress --- */

static void progress(const struct bench *b, const char *what) {
    bool terminal = isatty(STDERR_FILENO);
    int seconds = (int)((trine_now() - b->start) / 1000000000);
    fprintf(stderr, terminal ? "\r\033[K%d:%02d %s" : "%d:%02d %s\n", seconds / 60, seconds % 60,
            what);
    fflush(stderr);
}

static void progress_end(void) {
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void progress_cell(const struct bench *b, const struct spec *s, int round, size_t at) {
    static int64_t last;
    char text[160];
    if (!isatty(STDERR_FILENO) && trine_now() - last < TRINE_SEC(5))
        return;
    last = trine_now();
    snprintf(text, sizeof(text), "round %d of at most %d, %zu of %zu: %s, %s%s%s, %lld", round,
             (int)b->settings.rounds, at + 1, b->plan.count, s->group, s->python ? "Python " : "",
             s->model, *s->work == '-' ? "" : " ", (long long)s->n);
    progress(b, text);
}

/* --- cells --- */

static void take_times(struct spec *s, const struct reply *r) {
    double value;
    static const char *const names[] = {"wall",  "create", "each",      "trip",
                                        "batch", "lost",   "processes", "threads"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (reply_value(r, names[i], &value))
            spec_add(s, names[i], strcmp(s->group, "cpu") == 0 ? value / (double)s->a : value);
    spec_add(s, "cpu", strcmp(s->group, "cpu") == 0 ? r->cpu / (double)s->a : r->cpu);
}

static void take_watched(struct spec *s, const struct reply *r) {
    if (r->memory > 0) {
        spec_add(s, "memory", r->memory);
        spec_add(s, "processes", r->processes);
        spec_add(s, "threads", r->threads);
    }
}

static void run_one(struct bench *b, struct spec *s, bool watch) {
    struct reply r;
    run_cell(s, b->ports[0] ? b->ports : "-", CELL_SECONDS, watch, &r);
    if (r.error[0] && r.died && strcmp(s->group, "crash") == 0) {
        spec_add(s, "lost", (double)s->n); /* the program died with all of its tasks */
    } else if (r.error[0]) {
        snprintf(s->failed, sizeof(s->failed), "%s", r.error);
    } else if (watch) {
        take_watched(s, &r);
    } else {
        take_times(s, &r);
    }
}

static bool is_watched(const struct spec *s) {
    return strcmp(s->group, "io") == 0;
}

/* Round 0 is the one that watches. */
static void run_round(struct bench *b, int round) {
    int64_t start = trine_now();
    machine_look(&b->machine);
    for (size_t i = 0; i < b->plan.count && !run_interrupted(); i++) {
        struct spec *s = &b->plan.specs[round % 2 ? i : b->plan.count - 1 - i];
        if (s->failed[0] || (round == 0 && !is_watched(s)))
            continue;
        progress_cell(b, s, round, i);
        run_one(b, s, round == 0);
    }
    if (trine_now() - start > b->longest && round > 0)
        b->longest = trine_now() - start;
}

static bool fits(const struct bench *b) {
    int64_t taken = trine_now() - b->start;
    return b->plan.rounds == 0 || taken + b->longest + b->longest / 8 < b->settings.limit;
}

static void run_rounds(struct bench *b) {
    run_round(b, 0);
    while (!run_interrupted() && b->plan.rounds < b->settings.rounds && fits(b)) {
        run_round(b, b->plan.rounds + 1);
        b->plan.rounds += !run_interrupted();
    }
    machine_look(&b->machine);
    if (b->plan.rounds < b->settings.rounds)
        plan_note(&b->plan, "%d of %d rounds fitted into %d s (--limit)", b->plan.rounds,
                  (int)b->settings.rounds, (int)(b->settings.limit / 1000000000));
}

/* --- before the rounds --- */

static double ask_rate(struct bench *b, const struct spec *s, const char *value) {
    struct reply r;
    double rate = 0;
    run_cell(s, "-", CELL_SECONDS, false, &r);
    if (r.error[0] && !run_interrupted())
        plan_note(&b->plan, "calibrating %s: %s", s->python ? "Python" : "C", r.error);
    return reply_value(&r, value, &rate) ? rate : 0;
}

static void calibrate(struct bench *b) {
    static const char *const lists[] = {"factorials", "primes"};
    progress(b, "calibrating");
    for (int python = 0; python <= b->settings.python && !run_interrupted(); python++) {
        struct spec spin = {.group = "calibrate", .model = "-", .work = "-", .python = python};
        b->rates.spin[python] = ask_rate(b, &spin, "rate");
        for (int w = 0; w < 2; w++) {
            struct spec list = {.group = "cpu",
                                .model = "loop",
                                .work = lists[w],
                                .python = python,
                                .n = 1,
                                .a = 1};
            if (b->settings.groups & 2)
                b->rates.list[python][w] = ask_rate(b, &list, "wall");
        }
    }
}

static int prepare(struct bench *b) {
    struct settings *s = &b->settings;
    b->start = trine_now();
    machine_read(&b->machine, s->python);
    if (s->python && !b->machine.python[0]) {
        fprintf(stderr, "%s: --python: there is no python3 that runs; C alone is measured\n",
                s->command);
        s->python = false;
    }
    run_prepare(b->machine.python_path);
    calibrate(b);
    int error = plan_make(s, &b->machine, &b->rates, &b->plan);
    if (error == 0 && s->groups & 1 && !run_interrupted())
        error = run_server(report_delay_us(s), report_ports(&b->plan), b->ports, sizeof(b->ports));
    if (error < 0 && !run_interrupted())
        fprintf(stderr, "%s: cannot begin: %s\n", s->command, strerror(-error));
    return error;
}

/* --- reports --- */

/* The page is written beside its place and moved there when it is whole. It is opened before all
 * else: a place that cannot be written to shows at once, not after minutes. */
static int open_html(struct bench *b) {
    if (!b->settings.html)
        return 0;
    int len = snprintf(b->part, sizeof(b->part), "%s.part", b->settings.html);
    b->page = len < (int)sizeof(b->part) ? fopen(b->part, "we") : NULL;
    if (!b->page)
        fprintf(stderr, "%s: --html %s: %s\n", b->settings.command, b->settings.html,
                strerror(len < (int)sizeof(b->part) ? errno : ENAMETOOLONG));
    return b->page ? 0 : 1;
}

static void drop_html(struct bench *b) {
    if (b->page) {
        fclose(b->page);
        unlink(b->part);
    }
    b->page = NULL;
}

static int write_html(struct bench *b, const struct report *r) {
    report_html(b->page, r);
    bool failed = ferror(b->page);
    failed = fclose(b->page) != 0 || failed;
    b->page = NULL;
    if (!failed)
        failed = rename(b->part, b->settings.html) != 0;
    if (failed) {
        fprintf(stderr, "%s: --html %s could not be written: %s\n", b->settings.command,
                b->settings.html, strerror(errno));
        unlink(b->part);
    }
    return failed;
}

static int report(struct bench *b) {
    machine_judge(&b->machine);
    struct report r = {.settings = &b->settings,
                       .machine = &b->machine,
                       .plan = &b->plan,
                       .seconds = (double)(trine_now() - b->start) / 1e9};
    report_compare(&r);
    if (b->settings.json)
        report_json(stdout, &r);
    else
        report_table(stdout, &r);
    int status = b->page ? write_html(b, &r) : 0;
    for (size_t i = 0; i < b->plan.count; i++)
        if (b->plan.specs[i].failed[0])
            status = 1; /* the report names it */
    return status;
}

int cmd_bench(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "--cell") == 0)
        return cell_main(argc - 2, argv + 2);
    static struct bench b;
    int status = bench_settings_read(argc, argv, &b.settings);
    if (status)
        return status;
    status = open_html(&b) || prepare(&b) < 0;
    if (!status && !run_interrupted())
        run_rounds(&b);
    run_end();
    progress_end();
    if (run_interrupted()) {
        fprintf(stderr, "%s: interrupted\n", b.settings.command);
        status = EXIT_INTERRUPTED;
    } else if (!status) {
        status = report(&b);
    }
    drop_html(&b);
    plan_free(&b.plan);
    return status;
}
