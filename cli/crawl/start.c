/* start.c - see start.h. Blocks: it runs before the loop does. */
#include "crawl/start.h"

#include "commands.h"
#include "crawl/crawl.h"
#include "crawl/url.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(struct crawl *c, const char *text, size_t len, const char **ret_error) {
    char url[URL_MAX];
    int r = url_normalise(text, len, url, NULL, ret_error);
    if (r == 0 && (r = frontier_add_start(c->frontier, url)) == -ENOMEM)
        *ret_error = "out of memory";
    return r == -ENOSPC ? 0 : r; /* over --max-pages: the summary says how many */
}

static int read_list(struct crawl *c, FILE *f, const char *name) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    for (long number = 1; (len = getline(&line, &cap, f)) >= 0; number++) {
        const char *error = "it is no URL";
        size_t used = strspn(line, " \t\r\n");
        if (used == (size_t)len || line[used] == '#')
            continue; /* blank lines and comments */
        if (add(c, line, (size_t)len, &error) < 0)
            fprintf(stderr, "%s: %s:%ld: skipped, %s: %.200s%s", c->settings.command, name, number,
                    error, line, len && line[len - 1] == '\n' ? "" : "\n");
    }
    free(line);
    if (!ferror(f))
        return -1;
    fprintf(stderr, "%s: %s: %s\n", c->settings.command, name, strerror(errno));
    return 1;
}

static int open_list(struct crawl *c, const char *name) {
    if (strcmp(name, "-") == 0)
        return read_list(c, stdin, "standard input");
    FILE *f = fopen(name, "re");
    if (!f) {
        fprintf(stderr, "%s: -i %s: %s\n", c->settings.command, name, strerror(errno));
        return EXIT_USAGE;
    }
    int status = read_list(c, f, name);
    fclose(f);
    return status;
}

int start_check(const struct settings *settings) {
    for (int i = 0; i < settings->url_count; i++) {
        const char *text = settings->urls[i], *error = "it is no URL";
        char url[URL_MAX];
        if (url_normalise(text, strlen(text), url, NULL, &error) < 0)
            return usage_error(settings->command,
                               "%s: %s; a URL like http://example.org/ is expected", text, error);
    }
    const char *list = settings->list;
    if (list && strcmp(list, "-") != 0 && access(list, R_OK) < 0)
        return usage_error(settings->command, "-i %s: %s", list, strerror(errno));
    return -1;
}

int start_urls(struct crawl *c) {
    for (int i = 0; i < c->settings.url_count; i++) {
        const char *text = c->settings.urls[i], *error = "it is no URL";
        if (add(c, text, strlen(text), &error) < 0) {
            fprintf(stderr, "%s: %s: %s\n", c->settings.command, text, error);
            return 1;
        }
    }
    return c->settings.list ? open_list(c, c->settings.list) : -1;
}
