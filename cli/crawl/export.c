/*
 * A store's pages as CSV or JSON Lines.
 *
 * The columns and their names are those of the table, so one query drives both formats and a new
 * column needs no change here. SQLite's values say whether something is a number, a text or NULL;
 * in CSV, NULL is an empty field and an empty text is "". The file is read in one transaction:
 * what a running crawl commits meanwhile is not seen, and the crawl does not wait.
 */
#include "crawl/export.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crawl/store.h"

struct report {
    const char *path;
    char *error;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static long fail(const struct report *report, int error,
                                                       const char *format, ...) {
    va_list args;
    int used = snprintf(report->error, report->size, "%s: ", report->path);
    if (used >= 0 && (size_t)used < report->size) {
        va_start(args, format);
        vsnprintf(report->error + used, report->size - (size_t)used, format, args);
        va_end(args);
    }
    return -error;
}

static long fail_sqlite(const struct report *report, sqlite3 *db) {
    int code = sqlite3_errcode(db);
    int error = code == SQLITE_NOTADB    ? EINVAL
                : code == SQLITE_BUSY    ? EBUSY
                : code == SQLITE_NOMEM   ? ENOMEM
                : code == SQLITE_CORRUPT ? EINVAL
                                         : EIO;
    return code == SQLITE_NOTADB ? fail(report, error, "not an SQLite file")
                                 : fail(report, error, "%s", sqlite3_errmsg(db));
}

/* The bytes of the character at at when it is well-formed UTF-8, else 0. */
static size_t utf8_len(const uint8_t *at, size_t len) {
    size_t want = *at < 0x80   ? 1
                  : *at < 0xC2 ? 0
                  : *at < 0xE0 ? 2
                  : *at < 0xF0 ? 3
                  : *at < 0xF5 ? 4
                               : 0;
    if (want > len) {
        return 0;
    }
    for (size_t i = 1; i < want; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool bad = want > 2 && ((*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F) ||
                            (*at == 0xF0 && at[1] < 0x90) || (*at == 0xF4 && at[1] > 0x8F));
    return bad ? 0 : want;
}

static void write_json_escape(uint8_t c, FILE *out) {
    static const char short_ones[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(short_ones, c) : NULL;
    if (found) {
        fputc('\\', out);
        fputc(letters[found - short_ones], out);
    } else {
        fprintf(out, "\\u%04x", c);
    }
}

/* Writes text between quotes, made UTF-8; quotes in it are doubled (CSV) or escaped (JSON). */
static void write_text(const char *text, size_t len, enum export_format format, FILE *out) {
    const uint8_t *at = (const uint8_t *)text, *end = at + len;
    fputc('"', out);
    while (at < end) {
        size_t n = utf8_len(at, (size_t)(end - at));
        if (n == 0) {
            fwrite("\xEF\xBF\xBD", 1, 3, out);
            at++;
            continue;
        }
        if (format == EXPORT_JSONL && (*at < ' ' || *at == '"' || *at == '\\' || *at == 0x7F)) {
            write_json_escape(*at, out);
        } else if (*at == '"') {
            fputs("\"\"", out);
        } else {
            fwrite(at, 1, n, out);
        }
        at += n;
    }
    fputc('"', out);
}

/* A field of CSV needs quotes when it holds one, a comma or a line end, or is no UTF-8. */
static bool is_plain(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] >= 0x80 || text[i] == '"' || text[i] == ',' || text[i] == '\r' ||
            text[i] == '\n') {
            return false;
        }
    }
    return len > 0;
}

static void write_value(sqlite3_stmt *row, int n, enum export_format format, FILE *out) {
    const char *text;
    size_t len;
    switch (sqlite3_column_type(row, n)) {
    case SQLITE_NULL:
        fputs(format == EXPORT_JSONL ? "null" : "", out);
        break;
    case SQLITE_INTEGER:
        fprintf(out, "%" PRId64, (int64_t)sqlite3_column_int64(row, n));
        break;
    case SQLITE_FLOAT:
        fprintf(out, "%.3f", sqlite3_column_double(row, n));
        break;
    default:
        text = sqlite3_column_blob(row, n); /* as it lies in the file: not up to the first NUL */
        len = (size_t)sqlite3_column_bytes(row, n);
        if (format == EXPORT_CSV && is_plain(text, len)) {
            fwrite(text, 1, len, out);
        } else {
            write_text(text ? text : "", len, format, out);
        }
    }
}

static void write_row(sqlite3_stmt *row, enum export_format format, FILE *out) {
    int columns = sqlite3_column_count(row);
    fputs(format == EXPORT_JSONL ? "{" : "", out);
    for (int i = 0; i < columns; i++) {
        if (i > 0) {
            fputc(',', out);
        }
        if (format == EXPORT_JSONL) {
            fprintf(out, "\"%s\":", sqlite3_column_name(row, i));
        }
        write_value(row, i, format, out);
    }
    fputs(format == EXPORT_JSONL ? "}\n" : "\r\n", out);
}

static void write_header(sqlite3_stmt *rows, FILE *out) {
    for (int i = 0; i < sqlite3_column_count(rows); i++) {
        fprintf(out, "%s%s", i ? "," : "", sqlite3_column_name(rows, i));
    }
    fputs("\r\n", out);
}

static int ask(sqlite3 *db, const char *sql, int64_t *ret_value) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    *ret_value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? 0 : -1;
}

static long write_pages(const struct report *report, sqlite3 *db, bool with_text,
                        enum export_format format, FILE *out) {
    const char *sql = with_text ? "SELECT pages.*, page_text.text FROM pages LEFT JOIN page_text"
                                  " ON page_text.page = pages.id ORDER BY pages.id"
                                : "SELECT * FROM pages ORDER BY id";
    sqlite3_stmt *rows = NULL;
    long count = 0;
    int code = sqlite3_prepare_v2(db, sql, -1, &rows, NULL);
    if (code == SQLITE_OK && format == EXPORT_CSV) {
        write_header(rows, out);
    }
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(rows);
        if (code == SQLITE_ROW) {
            write_row(rows, format, out);
            count++;
            code = ferror(out) ? SQLITE_DONE : code;
        }
    }
    int write_error = errno; /* of the last write, when there is an error at all */
    if (!ferror(out)) {
        errno = 0;
        fflush(out);
        write_error = errno;
    }
    if (ferror(out)) {
        count = fail(report, write_error ? write_error : EIO, "its pages cannot be written out: %s",
                     strerror(write_error ? write_error : EIO));
    } else if (code != SQLITE_DONE) {
        count = fail_sqlite(report, db);
    }
    sqlite3_finalize(rows);
    return count;
}

static long export_from(const struct report *report, sqlite3 *db, enum export_format format,
                        FILE *out) {
    int64_t application, version, with_text;
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
        ask(db, "PRAGMA application_id", &application) < 0 ||
        ask(db, "PRAGMA user_version", &version) < 0) {
        return fail_sqlite(report, db);
    }
    if (application != STORE_APPLICATION_ID) {
        return fail(report, EINVAL, "no store of trine; name the file that a crawl wrote");
    }
    if (version != STORE_VERSION && version != STORE_VERSION_OLD) {
        return fail(report, EPROTO,
                    "a store of another version of trine (its tables are version %lld, this trine "
                    "knows %d)",
                    (long long)version, STORE_VERSION);
    }
    if (ask(db, "SELECT EXISTS (SELECT 1 FROM page_text)", &with_text) < 0) {
        return fail_sqlite(report, db);
    }
    return write_pages(report, db, with_text, format, out);
}

long export_pages(const char *path, enum export_format format, FILE *out, char *error,
                  size_t size) {
    const struct report report = {path, error, size};
    char *real = realpath(path, NULL);
    if (!real || access(real, R_OK) < 0) {
        int why = errno;
        free(real);
        return fail(&report, why, "%s", strerror(why));
    }
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(real, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    free(real);
    long count = !db                 ? fail(&report, ENOMEM, "out of memory")
                 : code != SQLITE_OK ? fail_sqlite(&report, db)
                                     : export_from(&report, db, format, out);
    sqlite3_close(db);
    return count;
}
