/* report_json.c - the report as one JSON object; a figure a line, so that diff and grep work too.
 * '<' is escaped, so that a page may have it in a script. */
#include "bench/report.h"

#include <inttypes.h>

static void put_text(FILE *to, const char *text) {
    fputc('"', to);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            fprintf(to, "\\%c", *c);
        else if (*c < 0x20 || *c == '<')
            fprintf(to, "\\u%04x", *c);
        else
            fputc(*c, to);
    fputc('"', to);
}

static void put_texts(FILE *to, const char *first, size_t stride, int n) {
    fputc('[', to);
    for (int i = 0; i < n; i++) {
        fputs(i ? ", " : "", to);
        put_text(to, first + (size_t)i * stride);
    }
    fputc(']', to);
}

static void put_machine(FILE *to, const struct report *r) {
    const struct machine *m = r->machine;
    fputs("\"machine\": {\"cpu\": ", to);
    put_text(to, m->cpu);
    fputs(", \"system\": ", to);
    put_text(to, m->system);
    fprintf(to, ", \"cpus\": %u, \"memory\": %.0f, \"load\": %.2f, \"stolen\": %.5f, \"python\": ",
            m->cpus, m->memory, m->load, m->stolen);
    put_text(to, r->settings->python ? m->python : "");
    fputs(", \"loop_ms\": [", to);
    for (int i = 0; i < m->looks; i++)
        fprintf(to, "%s%.4f", i ? ", " : "", m->speed[i]);
    fputs("], \"loop_spread\": [", to);
    for (int i = 0; i < m->looks; i++)
        fprintf(to, "%s%.4f", i ? ", " : "", m->spread[i]);
    fputs("], \"warnings\": ", to);
    put_texts(to, m->warnings[0], sizeof(m->warnings[0]), m->warning_count);
    fputs("},\n", to);
}

static void put_cell(FILE *to, const struct spec *s) {
    fprintf(to,
            "  {\"group\": \"%s\", \"model\": \"%s\", \"work\": \"%s\", \"language\": \"%s\", "
            "\"n\": %" PRId64,
            s->group, s->model, s->work, s->python ? "Python" : "C", s->n);
    for (int i = 0; i < METRICS_MOST && s->metrics[i].name; i++) {
        struct spread v = metric_spread(&s->metrics[i]);
        fprintf(to,
                ", \"%s\": {\"median\": %.9g, \"min\": %.9g, \"max\": %.9g, \"runs\": %d, "
                "\"unit\": \"%s\"}",
                s->metrics[i].name, v.median, v.least, v.most, v.n, s->metrics[i].unit);
    }
    if (s->failed[0]) {
        fputs(", \"failed\": ", to);
        put_text(to, s->failed);
    }
    fputc('}', to);
}

static void put_crossing(FILE *to, const struct crossing *c) {
    fprintf(to,
            "  {\"language\": \"%s\", \"metric\": \"%s\", \"better\": \"%s\", \"worse\": \"%s\", ",
            c->python ? "Python" : "C", c->metric, c->better, c->worse);
    if (c->at)
        fprintf(to, "\"from\": %" PRId64 ", \"measured_up_to\": %" PRId64 "}", c->at, c->upto);
    else
        fprintf(to, "\"from\": null, \"measured_up_to\": %" PRId64 "}", c->upto);
}

static void put_comparison(FILE *to, const struct report *r) {
    fputs("\"comparison\": [\n", to);
    for (int python = 0; python <= r->settings->python; python++)
        for (int row = 0; row < ROWS; row++) {
            fprintf(to, "%s  {\"language\": \"%s\", \"row\": \"%s\"", python || row ? ",\n" : "",
                    python ? "Python" : "C", report_rows[row]);
            for (int m = 0; m < MODELS; m++) {
                fprintf(to, ", \"%s\": ", report_models[m]);
                put_text(to, r->table[python][row][m]);
            }
            fputc('}', to);
        }
    fputs("\n]", to);
}

void report_json(FILE *to, const struct report *r) {
    const struct plan *p = r->plan;
    fprintf(to, "{\"seconds\": %.1f, \"rounds\": %d, \"delay\": %.3f,\n", r->seconds, p->rounds,
            (double)report_delay_us(r->settings) / 1e6);
    put_machine(to, r);
    fputs("\"notes\": ", to);
    put_texts(to, p->notes[0], sizeof(p->notes[0]), p->note_count);
    fputs(",\n\"cells\": [\n", to);
    for (size_t i = 0; i < p->count; i++) {
        put_cell(to, &p->specs[i]);
        fputs(i + 1 < p->count ? ",\n" : "\n", to);
    }
    fputs("],\n\"crossings\": [\n", to);
    for (int i = 0; i < r->crossing_count; i++) {
        put_crossing(to, &r->crossings[i]);
        fputs(i + 1 < r->crossing_count ? ",\n" : "\n", to);
    }
    fputs("],\n", to);
    put_comparison(to, r);
    fputs("}\n", to);
}
