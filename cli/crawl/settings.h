/*
 * What the command line of `trine crawl` asks for.
 */
#ifndef CRAWL_SETTINGS_H
#define CRAWL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settings {
    const char *command; /* "trine crawl", for messages */
    char **urls;         /* as given on the command line; borrowed */
    int url_count;
    const char *list; /* -i FILE; NULL: none; "-": standard input */
    const char *store;
    int depth, concurrency, per_host, workers;
    int64_t timeout, max_bytes, max_pages;
    bool span_hosts, text, json, robots, retry;
};

/* Reads the arguments. -1: go on; else the exit status, a message was printed. */
int settings_read(struct settings *s, int argc, char **argv);

#endif
