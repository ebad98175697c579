/* figures.c - figures for the reasons, from a file that `trine bench --json` wrote: the lines of
 * its comparison that belong to the advice, and where one model overtakes another. */
#include "choose/choose.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct figures {
    json_t *report;
    const char *file;
};

int figures_open(const char *command, const char *file, struct figures **ret_figures) {
    json_error_t error;
    json_t *report = json_load_file(file, 0, &error);
    if (!report) {
        fprintf(stderr, "%s: --figures %s: %s\n", command, file, error.text);
        return 1;
    }
    struct figures *f = malloc(sizeof(*f));
    if (!f || !json_is_array(json_object_get(report, "comparison"))) {
        fprintf(stderr, "%s: --figures %s: not what `trine bench --json` prints\n", command, file);
        json_decref(report);
        free(f);
        return 1;
    }
    *f = (struct figures){report, file};
    *ret_figures = f;
    return 0;
}

void figures_close(struct figures *f) {
    if (f)
        json_decref(f->report);
    free(f);
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_row(const struct figures *f, const char *row, const char *const *models) {
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(f->report, "comparison"), i, line) {
        if (strcmp(text_of(line, "row"), row) != 0)
            continue;
        for (int m = 0; models[m]; m++)
            if (text_of(line, models[m])[0])
                printf("  %-17s %-7s %-10s %s\n", row, text_of(line, "language"), models[m],
                       text_of(line, models[m]));
    }
}

static void print_crossings(const struct figures *f) {
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(f->report, "crossings"), i, c) {
        if (strcmp(text_of(c, "metric"), "wall") != 0)
            continue;
        printf("  %-17s %-7s %s faster than %s ", "I/O", text_of(c, "language"),
               text_of(c, "better"), text_of(c, "worse"));
        json_t *from = json_object_get(c, "from"), *upto = json_object_get(c, "measured_up_to");
        if (json_is_integer(from))
            printf("from %lld at once on\n", (long long)json_integer_value(from));
        else
            printf("not up to %lld at once\n", (long long)json_integer_value(upto));
    }
}

void figures_print(const struct figures *f, const struct answers *a) {
    static const char *const compute[] = {"threads", "processes", NULL};
    static const char *const wait[] = {"threads", "loop", NULL};
    static const char *const all[] = {"threads", "processes", "loop", NULL};
    const json_t *machine = json_object_get(f->report, "machine");
    printf("Measured (%s: %s, %d CPUs):\n", f->file, text_of(machine, "cpu"),
           (int)json_integer_value(json_object_get(machine, "cpus")));
    if (a->work != WORK_COMPUTE) {
        print_row(f, "I/O", all);
        print_crossings(f);
        print_row(f, "Memory", wait);
        print_row(f, "Creation", wait);
    }
    if (a->work != WORK_WAIT) {
        print_row(f, "True parallelism", compute);
        print_row(f, "CPU", all);
        print_row(f, "Data", compute);
        print_row(f, "Debugging", compute);
    }
}
