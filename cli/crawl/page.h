/*
 * One HTML page taken apart: title, language, number of words, links, SHA-256, optional text.
 *
 * page_parse runs in a worker process and gives one flat buffer; page_decode runs in the crawl's
 * own process, which trusts no byte of it.
 *
 *   words   runs of visible text between Unicode white space (U+00A0 included) and markup: every
 *           tag, comment or declaration separates words. What stands in script, style, template,
 *           noscript and head does not count.
 *   links   href of a and area, resolved against the first <base href> or the page's URL, only
 *           http and https, without fragment, each once, in order of first appearance.
 */
#ifndef CRAWL_PAGE_H
#define CRAWL_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAGE_TITLE_MAX = 1024,           /* bytes; longer ones are cut at a character */
    PAGE_LANG_MAX = 64,              /* bytes */
    PAGE_LINKS_MAX = 1 << 16,        /* further links of a page are dropped */
    PAGE_LINKS_BYTES_MAX = 16 << 20, /* and links past this many bytes, line ends included */
    PAGE_TEXT_MAX = 64 << 20,        /* bytes; text past this is dropped, its words are counted */
    PAGE_BODY_MAX = 256 << 20,       /* bytes of a body that page_parse takes */
    PAGE_DEPTH_MAX = 2048,           /* elements within each other; the parse ends there */
};

struct page_parser;

struct page_input {
    const char *body; /* need not end in NUL; not kept */
    size_t len;
    const char *url;     /* the page's final URL (absolute) */
    const char *charset; /* of the Content-Type header, or NULL */
    bool want_text;
};

/*
 * A parser keeps its memory from page to page: the first touch of fresh memory costs more than
 * parsing a small page. One thread at a time. page_parser_new gives -ENOMEM.
 */
int page_parser_new(struct page_parser **ret_parser);
void page_parser_free(struct page_parser *parser); /* NULL is fine */

/*
 * Parses one body of any bytes whatever, into an encoded page in the parser's memory, valid until
 * the next call on this parser. Returns 0; -EINVAL when url is no http(s) URL; -EFBIG;
 * -ENOMEM.
 */
int page_parse(struct page_parser *parser, const struct page_input *input, const void **ret_bytes,
               size_t *ret_len);

/* An encoded page as slices of the encoded bytes: valid as long as those are. Not NUL-terminated,
 * but sha256 is. title, lang and text are valid UTF-8. */
struct page {
    uint64_t words;
    uint32_t link_count;
    bool links_dropped; /* there were more than the bounds above allow */
    bool cut;           /* nested deeper than PAGE_DEPTH_MAX: what follows was not read */
    bool text_cut;      /* there was more text than PAGE_TEXT_MAX */
    const char *title;
    size_t title_len;
    const char *lang; /* length 0: not given */
    size_t lang_len;
    const char *links; /* link_count normalised URLs, each ended by "\n" */
    size_t links_len;
    const char *text; /* NULL: was not asked for. Words with single spaces between them */
    size_t text_len;
    char sha256[65]; /* of the body as given, lower-case hex */
};

/*
 * Takes encoded bytes from an untrusted process apart. Every length, bound and count is checked,
 * texts are checked to be UTF-8 without NUL, links to be plain-ASCII http(s) URLs.
 * Returns 0, or -EBADMSG for anything page_encode would not have written.
 */
int page_decode(const void *bytes, size_t len, struct page *ret_page);

/* Writes a page as page_decode reads it; page->sha256 must be 64 hex digits. Into a buffer of
 * page_encoded_size(page) bytes; returns that size. */
size_t page_encoded_size(const struct page *page);
size_t page_encode(const struct page *page, void *out);

/* Steps through page->links: *cursor starts at 0. Returns false after the last one. */
bool page_next_link(const struct page *page, size_t *cursor, const char **ret_url, size_t *ret_len);

/* True when a Content-Type value (NULL or "" too: unnamed) is one that page_parse is meant for. */
bool page_is_html(const char *content_type);

/* Copies the charset parameter of a Content-Type value into out (size bytes); false: none. */
bool page_charset(const char *content_type, char *out, size_t size);

/* The SHA-256 of any bytes in hex, for a body that is not parsed. */
void page_sha256(const void *bytes, size_t len, char ret_hex[65]);

#endif
