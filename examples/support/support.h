/* support.h - what the examples share so that each runs alone: URLs to fetch, and the time. */
#ifndef EXAMPLES_SUPPORT_H
#define EXAMPLES_SUPPORT_H

#include <trine.h>

enum { URLS_MOST = 64, URL_LONGEST = 200 };

struct url {
    char text[URL_LONGEST];
};

struct urls {
    int count;
    struct url url[URLS_MOST];
};

/* The program's arguments, or n posts of a small server of its own (examples/data, /posts/1 ...)
 * that waits `delay` seconds before each answer and ends with the program. Call it before threads
 * are started. Exits with a message when that cannot be. */
void urls_find(struct urls *urls, int argc, char **argv, int n, const char *delay);

/* Where the posts are: the program's first argument, or the server's own "http://127.0.0.1:PORT".
 */
const char *base_url(int argc, char **argv, const char *delay);

/* Seconds since `start`, which trine_now gave. */
double seconds_since(int64_t start);

#endif
