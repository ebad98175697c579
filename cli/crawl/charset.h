/*
 * The bytes of a page as clean UTF-8, whatever they were.
 */
#ifndef CRAWL_CHARSET_H
#define CRAWL_CHARSET_H

#include <iconv.h>
#include <stdbool.h>

#include "crawl/buffer.h"

/* A converter that was opened last, kept for the next page. Zeroed memory is a closed one. */
struct charset {
    const char *name; /* NULL: none is open */
    iconv_t iconv;
    struct buffer converted;
};

/*
 * Writes body to clean (what was in it is dropped), ended by a NUL that is not counted, as UTF-8
 * that libxml2 takes without a word: malformed bytes, NUL and control characters are U+FFFD, and
 * form feed, vertical tab and the separators U+001C to U+001F are spaces.
 * The charset is http_charset (NULL: none), else that of a byte order mark, else that of a meta in
 * the first 1,024 bytes, else UTF-8; a name that the web's standard does not have counts as none.
 * Returns 0 or -ENOMEM.
 */
int charset_clean(struct charset *charset, const char *body, size_t len, const char *http_charset,
                  struct buffer *clean);

void charset_done(struct charset *charset);

/*
 * Loads the C library's modules for all charsets of the standard, for the life of the process, so
 * that no file is needed for them later. One that is not installed is treated as unknown.
 */
void charset_load_converters(void);

#endif
