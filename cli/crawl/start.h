/*
 * The start URLs of a crawl: from the command line, from a file or standard input.
 */
#ifndef CRAWL_START_H
#define CRAWL_START_H

struct crawl;
struct settings;

/* Looks at what the command line names, before a store is made. As start_urls. */
int start_check(const struct settings *settings);

/* Puts them into the frontier. A bad line of the file is named by its number and skipped. -1: go
 * on; else the exit status, a message was printed. */
int start_urls(struct crawl *c);

#endif
