/*
 * page [--json] [--runs N] [DIR]: how fast one core takes pages apart.
 *
 * Reads every .html file under DIR (default: the PostgreSQL documentation) into memory, then times
 *   parse    page_parse and page_decode, which is what a crawl does: words, title, links, SHA-256
 *   text     the same with the page's text kept
 *   sax      libxml2's SAX parser alone, with empty handlers for the same events
 *   sha256   the digest alone
 *   resolve  url_resolve of all links once more, in millions a second
 * Each is checked: all runs must find the same words and links. Median, least and most of N runs
 * (default 5), in MB/s of one core's time.
 */
#include <fts.h>
#include <libxml/HTMLparser.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "crawl/page.h"
#include "crawl/url.h"

static struct body {
    char *at;
    size_t len;
} * bodies;
static size_t body_count, byte_count, link_count;
static bool json;

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    fprintf(stderr, "page: %s\n", what);
    exit(1);
}

static void read_body(const char *path, size_t len) {
    FILE *file = fopen(path, "re");
    char *at = malloc(len + 1);
    bodies = realloc(bodies, (body_count + 1) * sizeof(*bodies));
    if (!file || !at || !bodies || fread(at, 1, len, file) != len) {
        fail(path);
    }
    fclose(file);
    bodies[body_count++] = (struct body){at, len};
    byte_count += len;
}

static void read_folder(char *folder) {
    FTS *tree = fts_open((char *[]){folder, NULL}, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        const char *dot = strrchr(entry->fts_name, '.');
        if (entry->fts_info == FTS_F && dot && strcmp(dot, ".html") == 0) {
            read_body(entry->fts_path, (size_t)entry->fts_statp->st_size);
        }
    }
    if (!tree || body_count == 0) {
        fail("no .html files there; give a folder that has some");
    }
    fts_close(tree);
}

/* Each case returns a number that must be the same in every run. */
static size_t parse_all(bool want_text) {
    static struct page_parser *parser;
    size_t found = 0;
    if (!parser && page_parser_new(&parser) < 0) {
        fail("no memory");
    }
    link_count = 0;
    for (size_t i = 0; i < body_count; i++) {
        struct page_input input = {.body = bodies[i].at,
                                   .len = bodies[i].len,
                                   .url = "http://localhost/doc/page.html",
                                   .want_text = want_text};
        const void *bytes;
        size_t len;
        struct page page;
        if (page_parse(parser, &input, &bytes, &len) < 0 || page_decode(bytes, len, &page) < 0) {
            fail("a page cannot be parsed");
        }
        found += (size_t)page.words + page.link_count;
        link_count += page.link_count;
    }
    return found;
}

static size_t run_parse(void) {
    return parse_all(false);
}

static size_t run_text(void) {
    return parse_all(true);
}

static size_t sax_events;

static void on_start(void *context, const xmlChar *name, const xmlChar **attributes) {
    (void)context;
    (void)name;
    (void)attributes;
    sax_events++;
}

static void on_end(void *context, const xmlChar *name) {
    (void)context;
    (void)name;
    sax_events++;
}

static void on_text(void *context, const xmlChar *text, int len) {
    (void)context;
    (void)text;
    sax_events += (size_t)len;
}

static void on_cdata(void *context, const xmlChar *text, int len) {
    (void)context;
    (void)text;
    (void)len;
}

static size_t run_sax(void) {
    htmlParserCtxtPtr context = htmlNewParserCtxt();
    if (!context) {
        fail("no memory");
    }
    *context->sax = (xmlSAXHandler){.startElement = on_start,
                                    .endElement = on_end,
                                    .characters = on_text,
                                    .cdataBlock = on_cdata};
    sax_events = 0;
    for (size_t i = 0; i < body_count; i++) {
        htmlCtxtReadMemory(context, bodies[i].at, (int)bodies[i].len, NULL, "UTF-8",
                           HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING);
    }
    htmlFreeParserCtxt(context);
    return sax_events;
}

static size_t run_sha256(void) {
    char hex[65];
    size_t sum = 0;
    for (size_t i = 0; i < body_count; i++) {
        page_sha256(bodies[i].at, bodies[i].len, hex);
        sum += (size_t)hex[0] * 256 + (size_t)hex[63];
    }
    return sum;
}

enum { RESOLVES = 1000000 };

static size_t run_resolve(void) {
    static const char *const hrefs[] = {"sql-select.html#SQL-WITH", "../ddl.html", "#top",
                                        "https://www.example.org/docs/current/index.html"};
    struct url_base base;
    char out[URL_MAX];
    size_t len, sum = 0;
    url_base_init(&base, "http://localhost/doc/html/page.html", 35);
    for (size_t i = 0; i < RESOLVES; i++) {
        const char *href = hrefs[i % 4];
        if (url_resolve(&base, href, strlen(href), out, &len) < 0) {
            fail("a link cannot be resolved");
        }
        sum += len;
    }
    return sum;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, size_t (*run)(void), double amount, const char *unit, int n) {
    double *rates = calloc((size_t)n, sizeof(*rates));
    if (!rates) {
        fail("no memory");
    }
    size_t expected = run(); /* warms up */
    for (int i = 0; i < n; i++) {
        double start = cpu_seconds();
        if (run() != expected) {
            fail("two runs of one case differ");
        }
        rates[i] = amount / (cpu_seconds() - start) / 1e6;
    }
    qsort(rates, (size_t)n, sizeof(*rates), compare);
    printf(json ? "{\"bench\":\"page\",\"case\":\"%s\",\"value\":%.1f,\"unit\":\"%s\",\"min\":%.1f,"
                  "\"max\":%.1f,\"n\":%d}\n"
                : "%-8s %8.1f %s (%.1f to %.1f, %d runs)\n",
           name, rates[n / 2], unit, rates[0], rates[n - 1], n);
    free(rates);
}

int main(int argc, char **argv) {
    char *folder = (char *)"/usr/share/doc/postgresql-doc-15/html";
    int runs = 5;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0) {
            runs = atoi(argv[++i]);
        } else if (argv[i][0] != '-') {
            folder = argv[i];
        } else {
            fprintf(stderr, "usage: page [--json] [--runs N] [DIR]\n");
            return 2;
        }
    }
    read_folder(folder);
    measure("parse", run_parse, (double)byte_count, "MB/s", runs);
    if (link_count == 0) {
        fail("no links found");
    }
    measure("text", run_text, (double)byte_count, "MB/s", runs);
    measure("sax", run_sax, (double)byte_count, "MB/s", runs);
    measure("sha256", run_sha256, (double)byte_count, "MB/s", runs);
    measure("resolve", run_resolve, RESOLVES, "M/s", runs);
    return 0;
}
