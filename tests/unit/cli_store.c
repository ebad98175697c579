/* The store: what is added is there, whole pages only, clear errors, one crawl a file. */
#include "crawl/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "test.h"

static char folder[64];

/* A fresh folder a case; files in it are removed when the case ends well. */
static const char *file_of(const char *name) {
    static char path[200];
    if (!*folder) {
        memcpy(folder, "/tmp/trine-store-XXXXXX", 24);
        CHECK(mkdtemp(folder) != NULL);
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void clean_up(void) {
    static const char *const names[] = {"s.db", "s.db-wal", "s.db-shm", "other"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        unlink(file_of(names[i]));
    }
    CHECK_EQ(rmdir(folder), 0); /* nothing else is left in it */
}

static struct store *open_store(void) {
    struct store *store;
    int status = store_open(file_of("s.db"), &store);
    if (status < 0) {
        test_fail(__FILE__, __LINE__, "%s", store_error(store));
    }
    return store;
}

static const struct store_page sample = {
    .url = "http://h/a",
    .final_url = "http://h/b",
    .status = 200,
    .content_type = "text/html",
    .bytes = 1234,
    .title = "Title, more",
    .title_len = 5,
    .lang = "en",
    .lang_len = 2,
    .words = 77,
    .link_count = 2,
    .links = "http://h/x\nhttp://h/y\n",
    .links_len = 22,
    .text = "the text",
    .text_len = 8,
    .sha256 = "ba78",
    .fetched_at_ms = 1714979229123,
    .fetch_ms = 12.5,
    .process_ms = 0.25,
    .left_out = "links, text",
};

static void add(struct store *store, const char *url) {
    struct store_page page = sample;
    page.url = url;
    CHECK_EQ(store_add(store, &page), 0);
}

/* The first column of the first row that another connection sees, as text. */
static const char *query(const char *sql) {
    static char out[400];
    sqlite3 *db;
    sqlite3_stmt *row;
    CHECK_EQ(sqlite3_open_v2(file_of("s.db"), &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    CHECK_EQ(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    CHECK_EQ(sqlite3_step(row), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(row, 0);
    snprintf(out, sizeof(out), "%s", text ? text : "(null)");
    sqlite3_finalize(row);
    sqlite3_close(db);
    return out;
}

TEST(store_keeps_what_is_added) {
    struct store *store = open_store();
    CHECK_EQ(store_add(store, &sample), 0);
    CHECK_EQ(store_pending(store), 1);
    CHECK_EQ(store_close(store), 0); /* commits */
    CHECK_STR(query("SELECT url||' '||final_url||' '||status||' '||content_type||' '||bytes||' '||"
                    "title||' '||lang||' '||words||' '||links||' '||sha256||' '||fetched_at||' '||"
                    "fetch_ms||' '||process_ms||' '||(error IS NULL)||' '||left_out FROM pages"),
              "http://h/a http://h/b 200 text/html 1234 Title en 77 2 ba78 "
              "2024-05-06T07:07:09.123Z 12.5 0.25 1 links, text");
    CHECK_STR(query("SELECT group_concat(page || ':' || n || ':' || url) FROM links"),
              "1:0:http://h/x,1:1:http://h/y");
    CHECK_STR(query("SELECT text FROM page_text WHERE page = 1"), "the text");
    CHECK_STR(query("SELECT group_concat(from_url || '>' || to_url) FROM link_urls"),
              "http://h/a>http://h/x,http://h/a>http://h/y");
    clean_up();
}

TEST(store_keeps_nulls) {
    struct store *store = open_store();
    struct store_page page = {.url = "http://h/",
                              .bytes = -1,
                              .words = -1,
                              .link_count = -1,
                              .process_ms = -1,
                              .error = "timed out"};
    CHECK_EQ(store_add(store, &page), 0);
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(query("SELECT count(*) FROM pages WHERE final_url IS NULL AND status IS NULL AND "
                    "content_type IS NULL AND bytes IS NULL AND title IS NULL AND lang IS NULL AND "
                    "words IS NULL AND links IS NULL AND sha256 IS NULL AND process_ms IS NULL AND "
                    "error = 'timed out' AND left_out IS NULL"),
              "1");
    page = (struct store_page){.url = "http://h/2", .lang = "", .title = ""};
    store = open_store();
    CHECK_EQ(store_add(store, &page), 0);
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(query("SELECT count(*) FROM pages WHERE id = 2 AND lang IS NULL AND title = ''"),
              "1");
    CHECK_STR(query("SELECT count(*) FROM page_text"), "0");
    clean_up();
}

TEST(store_is_seen_by_others_after_a_commit) {
    struct store *store = open_store();
    add(store, "http://h/1");
    CHECK_STR(query("SELECT count(*) FROM pages"), "0");
    CHECK_EQ(store_commit(store), 0);
    CHECK_EQ(store_pending(store), 0);
    CHECK_STR(query("SELECT count(*) FROM pages"), "1");
    CHECK_EQ(store_commit(store), 0); /* nothing to do is fine */
    CHECK_EQ(store_begin(store), 0);
    add(store, "http://h/2");
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(query("SELECT count(*) FROM pages"), "2");
    clean_up();
}

TEST(store_has_a_url_once) {
    struct store *store = open_store();
    add(store, "http://h/1");
    CHECK_EQ(store_commit(store), 0);
    add(store, "http://h/2");
    struct store_page page = sample;
    page.url = "http://h/1";
    CHECK_EQ(store_add(store, &page), -EEXIST);
    CHECK(strstr(store_error(store), "http://h/1 is stored already") != NULL);
    add(store, "http://h/3");
    CHECK_EQ(store_pending(store), 2);
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(query("SELECT group_concat(url, ' ') FROM pages"),
              "http://h/1 http://h/2 http://h/3");
    CHECK_STR(query("SELECT count(*) FROM links"), "6");
    clean_up();
}

struct seen {
    char text[400];
    int stop_after;
};

static int see_page(void *context, const struct store_done *done) {
    struct seen *seen = context;
    char line[100];
    CHECK_EQ(strlen(done->url), done->url_len);
    snprintf(line, sizeof(line), "%lld %s %s %d %d;", (long long)done->id, done->url,
             done->final_url ? done->final_url : "-", done->status, done->failed);
    strncat(seen->text, line, sizeof(seen->text) - strlen(seen->text) - 1);
    return --seen->stop_after == 0 ? 42 : 0;
}

static int see_link(void *context, const char *url, size_t len) {
    struct seen *seen = context;
    CHECK_EQ(strlen(url), len);
    strncat(seen->text, url, sizeof(seen->text) - strlen(seen->text) - 1);
    strncat(seen->text, ";", sizeof(seen->text) - strlen(seen->text) - 1);
    return --seen->stop_after == 0 ? 42 : 0;
}

TEST(store_tells_what_is_done) {
    struct store *store = open_store();
    add(store, "http://h/1");
    struct store_page bad = {.url = "http://h/2", .error = "refused"};
    CHECK_EQ(store_add(store, &bad), 0);
    CHECK_EQ(store_close(store), 0);
    store = open_store();
    struct seen seen = {0};
    CHECK_EQ(store_each_done(store, see_page, &seen), 0);
    CHECK_STR(seen.text, "1 http://h/1 http://h/b 200 0;2 http://h/2 - 0 1;");
    seen = (struct seen){.stop_after = 1};
    CHECK_EQ(store_each_done(store, see_page, &seen), 42);
    CHECK_STR(seen.text, "1 http://h/1 http://h/b 200 0;");
    int64_t id = 0;
    CHECK_EQ(store_find(store, "http://h/1", &id), 0);
    CHECK_EQ(id, 1);
    CHECK_EQ(store_find(store, "http://h/3", &id), -ENOENT);
    seen = (struct seen){0};
    CHECK_EQ(store_each_link(store, 1, see_link, &seen), 0);
    CHECK_STR(seen.text, "http://h/x;http://h/y;");
    seen = (struct seen){.stop_after = 1};
    CHECK_EQ(store_each_link(store, 1, see_link, &seen), 42);
    CHECK_STR(seen.text, "http://h/x;");
    seen = (struct seen){0};
    CHECK_EQ(store_each_link(store, 2, see_link, &seen), 0);
    CHECK_STR(seen.text, "");
    add(store, "http://h/4"); /* reading leaves nothing locked */
    CHECK_EQ(store_close(store), 0);
    clean_up();
}

static void refused(int error, const char *path, const char *why) {
    struct store *store;
    CHECK_EQ(store_open(path, &store), error);
    if (!strstr(store_error(store), why) || !strstr(store_error(store), path)) {
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", store_error(store), why);
    }
    store_close(store);
}

static void write_file(const char *path, const char *bytes, size_t len) {
    FILE *file = fopen(path, "we");
    CHECK(file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

TEST(store_refuses_files_of_others) {
    static char text[20000];
    struct stat before, after;
    memset(text, 'x', sizeof(text));
    for (size_t len = 1; len <= sizeof(text); len = len * 9 + 4) {
        write_file(file_of("other"), text, len);
        CHECK_EQ(stat(file_of("other"), &before), 0);
        refused(-EINVAL, file_of("other"), "not an SQLite file");
        CHECK_EQ(stat(file_of("other"), &after), 0);
        CHECK_EQ(after.st_size, len);
        CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    }
    unlink(file_of("other"));
    sqlite3 *db;
    CHECK_EQ(sqlite3_open(file_of("other"), &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, "CREATE TABLE pages (a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    refused(-EINVAL, file_of("other"), "no store of trine");
    unlink(file_of("other"));
    refused(-EISDIR, "/tmp", "directory");
    refused(-ENOENT, "/tmp/no/such/folder.db", "No such file");
    refused(-EINVAL, "/dev/null", "not a file");
    clean_up();
}

TEST(store_refuses_other_versions) {
    sqlite3 *db;
    CHECK_EQ(store_close(open_store()), 0);
    CHECK_EQ(sqlite3_open(file_of("s.db"), &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    refused(-EPROTO, file_of("s.db"), "version 99");
    clean_up();
}

TEST(store_of_version_1_gets_the_new_column) {
    sqlite3 *db;
    struct store *store = open_store();
    add(store, "http://h/1");
    CHECK_EQ(store_close(store), 0);
    CHECK_EQ(sqlite3_open(file_of("s.db"), &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db,
                          "ALTER TABLE pages DROP COLUMN left_out;"
                          "PRAGMA user_version = 1",
                          NULL, NULL, NULL),
             SQLITE_OK);
    sqlite3_close(db);
    for (int i = 2; i <= 3; i++) { /* the second time there is nothing to do */
        store = open_store();
        add(store, i == 2 ? "http://h/2" : "http://h/3");
        CHECK_EQ(store_close(store), 0);
    }
    CHECK_STR(query("SELECT group_concat(ifnull(left_out, 'NULL'), '; ') FROM pages"),
              "NULL; links, text; links, text");
    CHECK_STR(query("PRAGMA user_version"), "2");
    clean_up();
}

TEST(store_takes_an_empty_file) {
    write_file(file_of("s.db"), "", 0);
    struct store *store = open_store();
    add(store, "http://h/1");
    CHECK_EQ(store_close(store), 0);
    clean_up();
}

/* Runs fn in a process of its own; returns its exit status or, as negative, its signal. */
static int in_child(void (*fn)(void)) {
    int status;
    file_of(""); /* the folder is of this process */
    pid_t child = fork();
    if (child == 0) {
        fn();
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int opened[2], finished[2]; /* pipes between the two crawls */

static void hold_store(void) {
    char byte = 0;
    close(finished[1]); /* so that the other's end, however it comes, ends this one */
    struct store *store = open_store();
    bool good = write(opened[1], &byte, 1) == 1 && read(finished[0], &byte, 1) == 1;
    add(store, "http://h/1");
    _exit(store_close(store) == 0 && good ? 7 : 1);
}

TEST(store_is_for_one_crawl) {
    char byte = 0;
    int status;
    file_of("");
    CHECK(pipe2(opened, O_CLOEXEC) == 0 && pipe2(finished, O_CLOEXEC) == 0);
    pid_t child = fork();
    if (child == 0) {
        hold_store();
    }
    CHECK_EQ(read(opened[0], &byte, 1), 1);
    refused(-EBUSY, file_of("s.db"), "another trine crawl is writing to it");
    CHECK_EQ(write(finished[1], &byte, 1), 1);
    CHECK(waitpid(child, &status, 0) == child && status == 7 << 8);
    CHECK_EQ(store_close(open_store()), 0); /* it is for the next when that one has ended */
    CHECK_STR(query("SELECT count(*) FROM pages"), "1");
    clean_up();
}

static void add_and_die(void) {
    static struct store *store; /* static: a leak checker sees that it is held to the end */
    store = open_store();
    char url[40];
    for (int i = 0; i < 500; i++) {
        snprintf(url, sizeof(url), "http://h/%d", i);
        add(store, url);
        if (i % 100 == 99 && i < 450) {
            CHECK_EQ(store_commit(store), 0);
        }
    }
    kill(getpid(), SIGKILL);
}

TEST(store_survives_a_kill) {
    CHECK_EQ(in_child(add_and_die), -SIGKILL);
    struct store *store = open_store();
    add(store, "http://h/450"); /* was not committed */
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(query("SELECT count(*) FROM pages"), "401");
    CHECK_STR(query("SELECT count(*) FROM links"), "802");
    CHECK_STR(query("PRAGMA integrity_check"), "ok");
    clean_up();
}

/* A file that may not grow is a full disk: an error, and what was committed stays. */
static void fill_disk(void) {
    struct store *store = open_store();
    char url[40];
    add(store, "http://h/first");
    CHECK_EQ(store_commit(store), 0);
    struct rlimit limit = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    int status = 0, rows = 0;
    for (; rows < 100000 && status == 0; rows++) {
        struct store_page page = sample;
        snprintf(url, sizeof(url), "http://h/%d", rows);
        page.url = url;
        status = store_add(store, &page);
        status = status == 0 && rows % 10 == 9 ? store_commit(store) : status;
    }
    bool told = status < 0 && strstr(store_error(store), "s.db: ") && store_pending(store) == 0;
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    add(store, "http://h/last"); /* room again: it goes on */
    _exit(told && store_close(store) == 0 ? 7 : 1);
}

TEST(store_full_disk_is_an_error) {
    CHECK_EQ(in_child(fill_disk), 7);
    CHECK_STR(query("SELECT (count(*) % 10) || ' ' || (count(*) > 10) FROM pages"), "2 1");
    CHECK_STR(query("PRAGMA integrity_check"), "ok");
    clean_up();
}

/* A page whose second link cannot be stored: nothing of the transaction is, and it goes on. */
TEST(store_failed_add_gives_up_the_transaction) {
    CHECK_EQ(store_close(open_store()), 0);
    sqlite3 *db;
    CHECK_EQ(sqlite3_open(file_of("s.db"), &db), SQLITE_OK);
    CHECK_EQ(
        sqlite3_exec(db,
                     "CREATE TRIGGER planted BEFORE INSERT ON links WHEN NEW.url = 'http://bad/'"
                     " BEGIN SELECT RAISE(ABORT, 'planted'); END",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    struct store *store = open_store();
    add(store, "http://h/1");
    struct store_page page = sample;
    page.url = "http://h/2";
    page.links = "http://good/\nhttp://bad/\n";
    page.links_len = 25;
    CHECK_EQ(store_add(store, &page), -EIO);
    CHECK(strstr(store_error(store), "planted") != NULL);
    CHECK_EQ(store_pending(store), 0);
    CHECK_EQ(store_commit(store), 0);
    add(store, "http://h/3");
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(query("SELECT group_concat(url) FROM pages"), "http://h/3");
    CHECK_STR(query("SELECT count(*) FROM links"), "2");
    clean_up();
}

TEST(store_closes_null) {
    CHECK_EQ(store_close(NULL), 0);
}
