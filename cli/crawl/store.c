/*
 * The store: one SQLite file in WAL mode, synchronous=NORMAL.
 *
 * With these a commit is a write to the log without fsync: a kill of the process loses nothing that
 * was committed, a power failure may lose the last commits but never the file's soundness. A crawl
 * can be run again, so that is the right trade (13,200 against 550 commits a second).
 *
 * Invariants: the statements are reset after every use; "in_transaction" says what SQLite says; a
 * page is in the file with all its links and its text, or not at all.
 *
 * links is a table without rowid, ordered by (page, n): rows come in that order, so inserts append
 * (300,000 take 0.3 s of CPU), the links of a page lie together, and a person can read it.
 * Interning the URLs in a table of their own was measured: a third less space, twice the time. The
 * text of pages stands apart, as rows of pages are read whole when a crawl starts again.
 *
 * Two crawls must not write to one store: each would fetch what the other does. flock on the file
 * itself is the lock, as it goes when the process does, however it ends. SQLite's own locks are of
 * another kind (fcntl), but any close of the file drops those: ours is closed last.
 */
#include "crawl/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD_PAGE,
    ADD_TEXT,
    ADD_LINK,
    EACH_DONE,
    EACH_LINK,
    FIND,
    STATEMENTS,
};

static const char *const sql_of[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD_PAGE] = ("INSERT INTO pages (url, final_url, status, content_type, bytes, title, lang,"
                  " words, links, sha256, fetched_at, fetch_ms, process_ms, error, left_out)"
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [ADD_TEXT] = "INSERT INTO page_text (page, text) VALUES (?, ?)",
    [ADD_LINK] = "INSERT INTO links (page, n, url) VALUES (?, ?, ?)",
    [EACH_DONE] = "SELECT id, url, final_url, status, error IS NOT NULL FROM pages ORDER BY id",
    [EACH_LINK] = "SELECT url FROM links WHERE page = ? ORDER BY n",
    [FIND] = "SELECT id FROM pages WHERE url = ?",
};

/* A store of version 1 gets what it lacks; its pages were stored before anybody noted it. */
static const char migration[] = "BEGIN IMMEDIATE;"
                                "ALTER TABLE pages ADD COLUMN left_out TEXT;"
                                "PRAGMA user_version = 2;"
                                "COMMIT";
_Static_assert(STORE_VERSION == 2, "the migration leads to it");

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE pages (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  url TEXT NOT NULL UNIQUE,\n"
    "  final_url TEXT,      -- after redirects\n"
    "  status INTEGER,      -- of HTTP; NULL: no answer\n"
    "  content_type TEXT,\n"
    "  bytes INTEGER,       -- of the body\n"
    "  title TEXT,\n"
    "  lang TEXT,\n"
    "  words INTEGER,\n"
    "  links INTEGER,       -- how many of them the table links has\n"
    "  sha256 TEXT,         -- of the body\n"
    "  fetched_at TEXT,     -- UTC\n"
    "  fetch_ms REAL,\n"
    "  process_ms REAL,\n"
    "  error TEXT,          -- NULL: all went well\n"
    "  left_out TEXT        -- NULL: nothing; else some of: links, nesting, text\n"
    ");"
    "CREATE TABLE links (\n"
    "  page INTEGER NOT NULL REFERENCES pages (id),\n"
    "  n INTEGER NOT NULL,  -- place in the page, from 0\n"
    "  url TEXT NOT NULL,\n"
    "  PRIMARY KEY (page, n)\n"
    ") WITHOUT ROWID;"
    "CREATE TABLE page_text (\n"
    "  page INTEGER PRIMARY KEY REFERENCES pages (id),\n"
    "  text TEXT NOT NULL\n"
    ");"
    "CREATE VIEW link_urls AS SELECT pages.url AS from_url, links.url AS to_url\n"
    "  FROM links JOIN pages ON pages.id = links.page;"
    "PRAGMA application_id = %d;"
    "PRAGMA user_version = %d;"
    "COMMIT";

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char *path; /* as the caller named it */
    int lock;   /* descriptor that holds the flock, -1: none */
    bool in_transaction;
    size_t pending;
    char error[512];
};

__attribute__((format(printf, 3, 4))) static int fail(struct store *store, int error,
                                                      const char *format, ...) {
    va_list args;
    int used = snprintf(store->error, sizeof(store->error), "%s: ", store->path);
    used = used < (int)sizeof(store->error) ? used : (int)sizeof(store->error) - 1;
    va_start(args, format);
    vsnprintf(store->error + used, sizeof(store->error) - (size_t)used, format, args);
    va_end(args);
    return -error;
}

static int fail_no_sqlite(struct store *store) {
    return fail(store, EINVAL, "not an SQLite file; name another --store");
}

/* What SQLite's last failure on this store was, as errno and in words. */
static int fail_sqlite(struct store *store) {
    int code = sqlite3_errcode(store->db);
    int system = sqlite3_system_errno(store->db);
    switch (code) {
    case SQLITE_NOMEM:
        return fail(store, ENOMEM, "out of memory");
    case SQLITE_NOTADB:
        return fail_no_sqlite(store);
    case SQLITE_CORRUPT:
        return fail(store, EINVAL, "the file is damaged (%s)", sqlite3_errmsg(store->db));
    case SQLITE_FULL:
        return fail(store, ENOSPC, "no space left for the store");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(store, EBUSY, "another program is writing to it");
    case SQLITE_READONLY:
        return fail(store, EACCES, "may not be written to");
    default:
        return fail(store, system ? system : EIO, "%s%s%s", sqlite3_errmsg(store->db),
                    system ? ": " : "", system ? strerror(system) : "");
    }
}

static int run(struct store *store, const char *sql) {
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail_sqlite(store);
}

/* Steps a statement that gives no rows. */
static int step(struct store *store, enum statement which) {
    sqlite3_stmt *statement = store->statements[which];
    int code = sqlite3_step(statement);
    int status = code == SQLITE_DONE ? 0 : fail_sqlite(store);
    sqlite3_reset(statement);
    return status;
}

/* The one integer that sql gives. */
static int ask(struct store *store, const char *sql, int64_t *ret_value) {
    sqlite3_stmt *statement = NULL;
    int status = 0;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        status = fail_sqlite(store);
    } else {
        *ret_value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Opens or makes the file and locks it. */
static int lock_file(struct store *store) {
    struct stat stat;
    store->lock = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (store->lock < 0) {
        return fail(store, errno, "cannot be opened for writing: %s", strerror(errno));
    }
    if (fstat(store->lock, &stat) < 0 || !S_ISREG(stat.st_mode)) {
        return fail(store, EINVAL, "not a file");
    }
    char magic[16] = ""; /* looked at here: SQLite takes a file of a few bytes for a new one */
    if (stat.st_size > 0 && (pread(store->lock, magic, sizeof(magic), 0) != sizeof(magic) ||
                             memcmp(magic, "SQLite format 3", sizeof(magic)) != 0)) {
        return fail_no_sqlite(store);
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK
                   ? fail(store, EBUSY,
                          "another trine crawl is writing to it; wait for it, or name "
                          "another --store")
                   : fail(store, errno, "cannot be locked: %s", strerror(errno));
    }
    return 0;
}

/* Tells a store of ours from a new file, and both from anything else, before it writes a byte. */
static int check_file(struct store *store, bool *ret_is_new, bool *ret_is_old) {
    int64_t application = 0, version = 0, tables = 0;
    int status = ask(store, "SELECT count(*) FROM sqlite_schema", &tables);
    status = status < 0 ? status : ask(store, "PRAGMA application_id", &application);
    status = status < 0 ? status : ask(store, "PRAGMA user_version", &version);
    if (status < 0) {
        return status;
    }
    *ret_is_new = tables == 0 && application == 0;
    if (!*ret_is_new && application != STORE_APPLICATION_ID) {
        return fail(store, EINVAL, "an SQLite file, but no store of trine; name another --store");
    }
    *ret_is_old = !*ret_is_new && version == STORE_VERSION_OLD;
    if (!*ret_is_new && !*ret_is_old && version != STORE_VERSION) {
        return fail(store, EPROTO,
                    "a store of another version of trine (its tables are version %lld, this trine "
                    "knows %d)",
                    (long long)version, STORE_VERSION);
    }
    return 0;
}

static int open_database(struct store *store) {
    bool is_new, is_old = false;
    char *path = realpath(store->path, NULL); /* absolute: never taken for ":memory:" or a URI */
    if (!path) {
        return fail(store, errno, "%s", strerror(errno));
    }
    int code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    free(path);
    if (!store->db) {
        return fail(store, ENOMEM, "out of memory");
    }
    if (code != SQLITE_OK) {
        return fail_sqlite(store);
    }
    sqlite3_busy_timeout(store->db, 5000);
    int status = check_file(store, &is_new, &is_old);
    status =
        status < 0 ? status : run(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    if (status == 0 && is_new) {
        char sql[sizeof(schema) + 32];
        snprintf(sql, sizeof(sql), schema, STORE_APPLICATION_ID, STORE_VERSION);
        status = run(store, sql);
    }
    if (status == 0 && is_old) {
        status = run(store, migration);
    }
    for (int i = 0; i < STATEMENTS && status == 0; i++) {
        code = sqlite3_prepare_v3(store->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &store->statements[i], NULL);
        status = code == SQLITE_OK ? 0 : fail_sqlite(store);
    }
    return status;
}

int store_open(const char *path, struct store **ret_store) {
    struct store *store = calloc(1, sizeof(*store));
    *ret_store = store;
    if (!store) {
        return -ENOMEM;
    }
    store->lock = -1;
    store->path = strdup(path);
    if (!store->path) {
        free(store);
        *ret_store = NULL;
        return -ENOMEM;
    }
    int status = lock_file(store);
    return status < 0 ? status : open_database(store);
}

int store_close(struct store *store) {
    if (!store) {
        return 0;
    }
    int status = store->in_transaction ? store_commit(store) : 0;
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(store->statements[i]);
    }
    sqlite3_close(store->db);
    if (store->lock >= 0) {
        close(store->lock);
    }
    free(store->path);
    free(store);
    return status;
}

int store_begin(struct store *store) {
    int status = store->in_transaction ? 0 : step(store, BEGIN);
    store->in_transaction = status == 0;
    return status;
}

/* Gives up the open transaction; the error that led here stays the one that is told. */
static void roll_back(struct store *store) {
    if (!sqlite3_get_autocommit(store->db)) {
        sqlite3_step(store->statements[ROLLBACK]);
        sqlite3_reset(store->statements[ROLLBACK]);
    }
    store->in_transaction = false;
    store->pending = 0;
}

int store_commit(struct store *store) {
    int status = store->in_transaction ? step(store, COMMIT) : 0;
    if (status < 0) {
        roll_back(store);
    }
    store->in_transaction = false;
    store->pending = 0;
    return status;
}

size_t store_pending(const struct store *store) {
    return store->pending;
}

static void bind_string(sqlite3_stmt *statement, int n, const char *text) {
    sqlite3_bind_text(statement, n, text, -1, SQLITE_STATIC);
}

static void bind_count(sqlite3_stmt *statement, int n, int64_t value, bool given) {
    if (given) {
        sqlite3_bind_int64(statement, n, value);
    } else {
        sqlite3_bind_null(statement, n);
    }
}

static void format_time(int64_t ms, char out[32]) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t used = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + used, 32 - used, ".%03dZ", (int)(ms % 1000));
}

/* Adds the row of pages; -EEXIST leaves the transaction as it was. */
static int add_row(struct store *store, const struct store_page *page) {
    sqlite3_stmt *statement = store->statements[ADD_PAGE];
    char time[32];
    format_time(page->fetched_at_ms, time);
    bind_string(statement, 1, page->url);
    bind_string(statement, 2, page->final_url);
    bind_count(statement, 3, page->status, page->status > 0);
    bind_string(statement, 4, page->content_type);
    bind_count(statement, 5, page->bytes, page->bytes >= 0);
    sqlite3_bind_text(statement, 6, page->title, (int)page->title_len, SQLITE_STATIC);
    sqlite3_bind_text(statement, 7, page->lang_len ? page->lang : NULL, (int)page->lang_len,
                      SQLITE_STATIC);
    bind_count(statement, 8, page->words, page->words >= 0);
    bind_count(statement, 9, page->link_count, page->link_count >= 0);
    bind_string(statement, 10, page->sha256);
    bind_string(statement, 11, time);
    sqlite3_bind_double(statement, 12, page->fetch_ms);
    if (page->process_ms >= 0) {
        sqlite3_bind_double(statement, 13, page->process_ms);
    } else {
        sqlite3_bind_null(statement, 13);
    }
    bind_string(statement, 14, page->error);
    bind_string(statement, 15, page->left_out);
    int code = sqlite3_step(statement);
    int status = code == SQLITE_DONE ? 0 : fail_sqlite(store);
    if (sqlite3_extended_errcode(store->db) == SQLITE_CONSTRAINT_UNIQUE) {
        status = fail(store, EEXIST, "%s is stored already", page->url);
    }
    sqlite3_reset(statement);
    return status;
}

static int add_links(struct store *store, int64_t id, const char *links, size_t len) {
    sqlite3_stmt *statement = store->statements[ADD_LINK];
    int status = 0;
    const char *end;
    sqlite3_bind_int64(statement, 1, id);
    for (int n = 0; status == 0 && len && (end = memchr(links, '\n', len)); n++) {
        sqlite3_bind_int(statement, 2, n);
        sqlite3_bind_text(statement, 3, links, (int)(end - links), SQLITE_STATIC);
        status = step(store, ADD_LINK);
        len -= (size_t)(end - links) + 1;
        links = end + 1;
    }
    return status;
}

static int add_text(struct store *store, int64_t id, const char *text, size_t len) {
    sqlite3_stmt *statement = store->statements[ADD_TEXT];
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_text(statement, 2, text, (int)len, SQLITE_STATIC);
    return step(store, ADD_TEXT);
}

int store_add(struct store *store, const struct store_page *page) {
    int status = store_begin(store);
    if (status < 0) {
        return status;
    }
    status = add_row(store, page);
    if (status == -EEXIST) {
        return status;
    }
    int64_t id = sqlite3_last_insert_rowid(store->db);
    if (status == 0) {
        status = add_links(store, id, page->links, page->links_len);
    }
    if (status == 0 && page->text) {
        status = add_text(store, id, page->text, page->text_len);
    }
    if (status < 0) {
        roll_back(store);
        return status;
    }
    store->pending++;
    return 0;
}

static const char *column(sqlite3_stmt *statement, int n) {
    return (const char *)sqlite3_column_text(statement, n);
}

int store_each_done(struct store *store, int (*fn)(void *context, const struct store_done *done),
                    void *context) {
    sqlite3_stmt *rows = store->statements[EACH_DONE];
    int code, status = 0;
    while (status == 0 && (code = sqlite3_step(rows)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            status = fail_sqlite(store);
            break;
        }
        struct store_done done = {
            .id = sqlite3_column_int64(rows, 0),
            .url = column(rows, 1),
            .url_len = (size_t)sqlite3_column_bytes(rows, 1),
            .final_url = column(rows, 2),
            .status = sqlite3_column_int(rows, 3),
            .failed = sqlite3_column_int(rows, 4),
        };
        status = fn(context, &done);
    }
    sqlite3_reset(rows);
    return status;
}

int store_each_link(struct store *store, int64_t id,
                    int (*fn)(void *context, const char *url, size_t len), void *context) {
    sqlite3_stmt *rows = store->statements[EACH_LINK];
    int code, status = 0;
    sqlite3_bind_int64(rows, 1, id);
    while (status == 0 && (code = sqlite3_step(rows)) != SQLITE_DONE) {
        status = code == SQLITE_ROW
                     ? fn(context, column(rows, 0), (size_t)sqlite3_column_bytes(rows, 0))
                     : fail_sqlite(store);
    }
    sqlite3_reset(rows);
    return status;
}

int store_forget_failed(struct store *store) {
    static const char sql[] =
        "BEGIN IMMEDIATE;"
        "DELETE FROM links WHERE page IN (SELECT id FROM pages WHERE error IS NOT NULL);"
        "DELETE FROM page_text WHERE page IN (SELECT id FROM pages WHERE error IS NOT NULL);"
        "DELETE FROM pages WHERE error IS NOT NULL;"
        "COMMIT";
    return run(store, sql);
}

int store_find(struct store *store, const char *url, int64_t *ret_id) {
    sqlite3_stmt *rows = store->statements[FIND];
    bind_string(rows, 1, url);
    int code = sqlite3_step(rows);
    int status = code == SQLITE_ROW    ? 0
                 : code == SQLITE_DONE ? fail(store, ENOENT, "has no page %s", url)
                                       : fail_sqlite(store);
    *ret_id = status == 0 ? sqlite3_column_int64(rows, 0) : 0;
    sqlite3_reset(rows);
    sqlite3_clear_bindings(rows);
    return status;
}

const char *store_error(const struct store *store) {
    return store->error;
}
