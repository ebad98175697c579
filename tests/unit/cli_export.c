/* trine export: CSV by RFC 4180, JSON Lines, odd bytes, running crawls, errors. */
#include "crawl/export.h"

#include <sqlite3.h>

#include "crawl/store.h"
#include "test.h"

static char path[] = "/tmp/trine-export-XXXXXX";

static struct store *new_store(void) {
    struct store *store;
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(store_open(path, &store), 0);
    return store;
}

static void clean_up(void) {
    char name[64];
    unlink(path);
    snprintf(name, sizeof(name), "%s-wal", path);
    unlink(name);
    snprintf(name, sizeof(name), "%s-shm", path);
    unlink(name);
}

static void add(struct store *store, const char *url, const char *title, const char *text) {
    struct store_page page = {.url = url,
                              .final_url = url,
                              .status = 200,
                              .bytes = 5,
                              .title = title,
                              .title_len = title ? strlen(title) : 0,
                              .words = 1,
                              .link_count = 0,
                              .text = text,
                              .text_len = text ? strlen(text) : 0,
                              .fetched_at_ms = 1000,
                              .fetch_ms = 1.5,
                              .process_ms = -1};
    CHECK_EQ(store_add(store, &page), 0);
}

static const char *exported(enum export_format format, long rows) {
    static char out[8192];
    char error[300] = "";
    FILE *file = tmpfile();
    long count = export_pages(path, format, file, error, sizeof(error));
    if (count != rows) {
        test_fail(__FILE__, __LINE__, "%ld rows, not %ld: %s", count, rows, error);
    }
    rewind(file);
    out[fread(out, 1, sizeof(out) - 1, file)] = '\0';
    fclose(file);
    return out;
}

#define HEADER                                                                                     \
    "id,url,final_url,status,content_type,bytes,title,lang,words,links,sha256,fetched_at,"         \
    "fetch_ms,process_ms,error,left_out"

TEST(export_csv) {
    struct store *store = new_store();
    CHECK_EQ(store_commit(store), 0);
    CHECK_STR(exported(EXPORT_CSV, 0), HEADER "\r\n");
    add(store, "http://h/a,b", "say \"hi\",\r\nthen", NULL);
    add(store, "http://h/2", "", NULL);
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(exported(EXPORT_CSV, 2),
              HEADER "\r\n"
                     "1,\"http://h/a,b\",\"http://h/a,b\",200,,5,\"say \"\"hi\"\",\r\nthen\",,1,0,,"
                     "1970-01-01T00:00:01.000Z,1.500,,,\r\n"
                     "2,http://h/2,http://h/2,200,,5,\"\",,1,0,,1970-01-01T00:00:01.000Z,1.500,,,"
                     "\r\n");
    clean_up();
}

TEST(export_jsonl) {
    struct store *store = new_store();
    add(store, "http://h/1", "a\"b\\c\n\t\x01\x7f\xc3\xa4", NULL);
    CHECK_EQ(store_close(store), 0);
    CHECK_STR(exported(EXPORT_JSONL, 1),
              "{\"id\":1,\"url\":\"http://h/1\",\"final_url\":\"http://h/1\",\"status\":200,"
              "\"content_type\":null,\"bytes\":5,\"title\":\"a\\\"b\\\\c\\n\\t\\u0001\\u007f"
              "\xc3\xa4\",\"lang\":null,\"words\":1,\"links\":0,\"sha256\":null,\"fetched_at\":"
              "\"1970-01-01T00:00:01.000Z\",\"fetch_ms\":1.500,\"process_ms\":null,"
              "\"error\":null,\"left_out\":null}\n");
    clean_up();
}

TEST(export_malformed_utf8_is_replaced) {
    struct store *store = new_store();
    add(store, "http://h/1", "a\xff\xc3(\xed\xa0\x80\xf0\x9f\x98\x80\xe2\x82", NULL);
    CHECK_EQ(store_close(store), 0);
    CHECK(strstr(exported(EXPORT_JSONL, 1),
                 "\"a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                 "\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\"") != NULL);
    CHECK(strstr(exported(EXPORT_CSV, 1), "\"a\xef\xbf\xbd") != NULL);
    clean_up();
}

TEST(export_text_is_a_last_column) {
    struct store *store = new_store();
    add(store, "http://h/1", "t", "some text");
    add(store, "http://h/2", "t", NULL);
    CHECK_EQ(store_close(store), 0);
    const char *out = exported(EXPORT_CSV, 2);
    CHECK(strncmp(out, HEADER ",text\r\n", sizeof(HEADER) + 6) == 0);
    CHECK(strstr(out, ",1.500,,,,some text\r\n") != NULL);
    CHECK(strstr(exported(EXPORT_JSONL, 2), "\"left_out\":null,\"text\":null}\n") != NULL);
    clean_up();
}

TEST(export_reads_a_store_of_version_1_as_it_is) {
    struct store *store = new_store();
    add(store, "http://h/1", "t", NULL);
    CHECK_EQ(store_close(store), 0);
    sqlite3 *db;
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db,
                          "ALTER TABLE pages DROP COLUMN left_out;"
                          "PRAGMA user_version = 1",
                          NULL, NULL, NULL),
             SQLITE_OK);
    sqlite3_close(db);
    const char *out = exported(EXPORT_CSV, 1);
    CHECK(strstr(out, ",process_ms,error\r\n1,http://h/1,") != NULL);
    clean_up();
}

TEST(export_while_a_crawl_runs) {
    struct store *store = new_store();
    add(store, "http://h/1", "t", NULL);
    CHECK_EQ(store_commit(store), 0);
    add(store, "http://h/2", "t", NULL); /* not committed: not written out */
    exported(EXPORT_CSV, 1);
    CHECK_EQ(store_commit(store), 0);
    exported(EXPORT_CSV, 2);
    add(store, "http://h/3", "t", NULL); /* and the crawl is not disturbed */
    CHECK_EQ(store_close(store), 0);
    exported(EXPORT_CSV, 3);
    clean_up();
}

static void refused(const char *file, FILE *out, long error, const char *why) {
    char text[300] = "";
    CHECK_EQ(export_pages(file, EXPORT_JSONL, out, text, sizeof(text)), error);
    if (!strstr(text, why) || strncmp(text, file, strlen(file)) != 0) {
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", text, why);
    }
}

TEST(export_errors) {
    struct store *store = new_store();
    add(store, "http://h/1", "t", NULL);
    CHECK_EQ(store_close(store), 0);
    FILE *full = fopen("/dev/full", "we");
    refused(path, full, -ENOSPC, "No space left");
    fclose(full);
    full = fopen("/dev/full", "we"); /* the error comes before the last row is reached */
    setvbuf(full, NULL, _IONBF, 0);
    refused(path, full, -ENOSPC, "No space left");
    fclose(full);
    refused("/tmp/no/such.db", stdout, -ENOENT, "No such file");
    refused("/proc/self/exe", stdout, -EINVAL, "not an SQLite file");
    clean_up();
    sqlite3 *db;
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, "CREATE TABLE pages (a)", NULL, NULL, NULL), SQLITE_OK);
    refused(path, stdout, -EINVAL, "no store of trine");
    CHECK_EQ(sqlite3_exec(db, "PRAGMA application_id = 1416784238; PRAGMA user_version = 9", NULL,
                          NULL, NULL),
             SQLITE_OK);
    sqlite3_close(db);
    refused(path, stdout, -EPROTO, "version 9");
    clean_up();
}
