/*
 * The crawl's store: one SQLite file. pages has one row a URL, links one row a link.
 *
 *   store_open .. [store_begin] .. store_add * N .. store_commit .. store_close
 *
 * A page and its links are written in one transaction, so after a kill at any moment the file holds
 * whole pages only: those of the last commit. Every function blocks; one thread at a time
 * (the crawl keeps a thread of its own for it). Functions that return int give a negative errno,
 * and store_error then says why in words for people.
 */
#ifndef CRAWL_STORE_H
#define CRAWL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum {
    STORE_VERSION = 2,     /* of the tables; in PRAGMA user_version */
    STORE_VERSION_OLD = 1, /* had no pages.left_out: store_open adds it, export needs it not */
};

/* Strings may be NULL (stored as NULL) and need not end in NUL where a length stands beside. */
struct store_page {
    const char *url; /* normalised; the row's name */
    const char *final_url;
    int status; /* HTTP status; 0: no answer, stored as NULL */
    const char *content_type;
    int64_t bytes; /* of the body; < 0 is stored as NULL, as are words and link_count */
    const char *title;
    size_t title_len;
    const char *lang; /* empty is stored as NULL too */
    size_t lang_len;
    int64_t words;
    int64_t link_count;
    const char *links; /* URLs each ended by "\n", as struct page has them */
    size_t links_len;
    const char *text; /* NULL: none */
    size_t text_len;
    const char *sha256;
    int64_t fetched_at_ms; /* ms since 1970; stored as text "2024-05-06T07:08:09.123Z" */
    double fetch_ms;
    double process_ms;    /* < 0: NULL */
    const char *error;    /* NULL: none */
    const char *left_out; /* NULL: nothing; else some of "links, nesting, text" */
};

/*
 * The tables, for people with sqlite3:
 *   pages      one row a URL: id, url, final_url, status, ... (the names of struct store_page)
 *   links      page (an id), n (place in the page, from 0), url; primary key (page, n)
 *   page_text  page, text
 *   link_urls  a view of links: from_url, to_url
 */
enum { STORE_APPLICATION_ID = 0x5472696E }; /* "Trin"; in PRAGMA application_id */

/*
 * Opens FILE.db for writing, makes it when it is not there, and locks it against other crawls.
 * *ret_store is set, also on failure (unless -ENOMEM), so that store_error can be read; close it.
 * The lock is of the process's own file: do not open one store twice in one process.
 * Errors: -EBUSY another crawl has it; -EINVAL no SQLite file, or one that is not ours; -EPROTO a
 * version we do not know; -EACCES, -ENOENT, -EISDIR, -ENOSPC, -EIO as they come.
 */
int store_open(const char *path, struct store **ret_store);

/* Commits what was added (an error is returned, the store is released all the same). */
int store_close(struct store *store);

/* Starts a transaction now; store_add does so by itself when none is open. */
int store_begin(struct store *store);

/*
 * Adds a page with its links and text. -EEXIST: there is a row of that URL (nothing is changed,
 * the transaction goes on). On any other error the whole open transaction is rolled back, and
 * pages since the last commit are lost: they were never reported as stored.
 */
int store_add(struct store *store, const struct store_page *page);

/* Makes all that was added durable against a kill; 0 when nothing was. */
int store_commit(struct store *store);

/* Pages added since the last commit: callers commit every N of them or every T ms. */
size_t store_pending(const struct store *store);

/* One row of those done: for start-up, to know what need not be fetched. */
struct store_done {
    int64_t id;
    const char *url; /* valid during the call */
    size_t url_len;
    const char *final_url; /* NULL: none */
    int status;            /* 0: none */
    bool failed;           /* error is not NULL */
};

/* Deletes the pages that failed, so that they are fetched again. */
int store_forget_failed(struct store *store);

/* Calls fn on each page in order of id until it returns non-zero, and returns that, or 0. */
int store_each_done(struct store *store, int (*fn)(void *context, const struct store_done *done),
                    void *context);

/* Calls fn on each link of page id (see store_done) in the page's order, as store_each_done. */
int store_each_link(struct store *store, int64_t id,
                    int (*fn)(void *context, const char *url, size_t len), void *context);

/* *ret_id is the page's id; 0 and -ENOENT when that URL is not done. */
int store_find(struct store *store, const char *url, int64_t *ret_id);

/* Why the last call failed: one line without the program's name, naming the file. */
const char *store_error(const struct store *store);

#endif
