/*
 * Writes the pages of a store as CSV (RFC 4180, "\r\n", a header line) or as JSON Lines.
 */
#ifndef CRAWL_EXPORT_H
#define CRAWL_EXPORT_H

#include <stddef.h>
#include <stdio.h>

enum export_format { EXPORT_CSV, EXPORT_JSONL };

/*
 * Writes all pages of FILE.db in order of id to out and flushes it. The file is opened read-only:
 * it may be the store of a running crawl, whose committed pages are written. A page's text is a
 * last column when any page has one stored. Bytes that are no UTF-8 come out as U+FFFD.
 * Returns the number of pages, or a negative errno with a line for people in error (size bytes):
 * -ENOENT no such file, -EINVAL not a store, -EPROTO a version we do not know, -EBUSY, -EIO,
 * -ENOSPC (as out gave it), ...
 */
long export_pages(const char *path, enum export_format format, FILE *out, char *error, size_t size);

#endif
