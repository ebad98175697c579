/*
 * An encoded page: what crosses from a worker process.
 *
 * A fixed head (struct wire, of this machine's byte order: both ends are one program), then title,
 * lang, links and text without gaps. Decoding copies the head out before it looks at it, adds the
 * lengths up without overflow, and accepts no byte that page_encode would not write, so what comes
 * out of it is as good as if this process had parsed the page. A text protocol was rejected:
 * it would have to be parsed at least as carefully, byte by byte.
 */
#include <errno.h>
#include <string.h>

#include "crawl/page.h"
#include "crawl/url.h"

enum { WIRE_MAGIC = 0x54504731, WIRE_VERSION = 1 };
enum {
    WIRE_LINKS_DROPPED = 1,
    WIRE_CUT = 2,
    WIRE_TEXT = 4,
    WIRE_TEXT_CUT = 8, /* only with WIRE_TEXT */
    WIRE_FLAGS = 15
};

struct wire {
    uint32_t magic;
    uint16_t version, flags;
    uint64_t words;
    uint32_t link_count, links_len, title_len, lang_len, text_len;
    uint32_t zero;
    char sha256[64];
};
_Static_assert(sizeof(struct wire) == 104, "no gaps: they would hold what memory held");

size_t page_encoded_size(const struct page *page) {
    return sizeof(struct wire) + page->title_len + page->lang_len + page->links_len +
           page->text_len;
}

static char *append(char *to, const char *from, size_t len) {
    if (!from) {
        return to;
    }
    memcpy(to, from, len);
    return to + len;
}

size_t page_encode(const struct page *page, void *out) {
    struct wire wire = {
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION,
        .flags =
            (uint16_t)((page->links_dropped ? WIRE_LINKS_DROPPED : 0) | (page->cut ? WIRE_CUT : 0) |
                       (page->text ? WIRE_TEXT : 0) | (page->text_cut ? WIRE_TEXT_CUT : 0)),
        .words = page->words,
        .link_count = page->link_count,
        .links_len = (uint32_t)page->links_len,
        .title_len = (uint32_t)page->title_len,
        .lang_len = (uint32_t)page->lang_len,
        .text_len = (uint32_t)page->text_len,
    };
    memcpy(wire.sha256, page->sha256, sizeof(wire.sha256));
    char *to = append(out, (const char *)&wire, sizeof(wire));
    to = append(to, page->title, page->title_len);
    to = append(to, page->lang, page->lang_len);
    to = append(to, page->links, page->links_len);
    to = append(to, page->text, page->text_len);
    return (size_t)(to - (char *)out);
}

static bool is_continuation(uint8_t c) {
    return (c & 0xC0) == 0x80;
}

/* UTF-8 without controls, surrogates, overlong forms or a cut character at the end. */
static bool is_clean_utf8(const char *text, size_t len) {
    const uint8_t *at = (const uint8_t *)text, *end = at + len;
    while (at < end) {
        size_t left = (size_t)(end - at);
        if (*at < 0x80) {
            if (*at < ' ') {
                return false;
            }
            at++;
        } else if (*at >= 0xC2 && *at < 0xE0) {
            if (left < 2 || !is_continuation(at[1])) {
                return false;
            }
            at += 2;
        } else if (*at >= 0xE0 && *at < 0xF0) {
            if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2]) ||
                (*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F)) {
                return false;
            }
            at += 3;
        } else if (*at >= 0xF0 && *at < 0xF5) {
            if (left < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) ||
                !is_continuation(at[3]) || (*at == 0xF0 && at[1] < 0x90) ||
                (*at == 0xF4 && at[1] > 0x8F)) {
                return false;
            }
            at += 4;
        } else {
            return false;
        }
    }
    return true;
}

static bool are_links(const char *links, size_t len, uint32_t count) {
    uint32_t seen = 0;
    while (len) {
        size_t url = 0;
        while (url < len && links[url] > ' ' && links[url] < 0x7F) {
            url++;
        }
        bool http = (url > 7 && memcmp(links, "http://", 7) == 0) ||
                    (url > 8 && memcmp(links, "https://", 8) == 0);
        /* A "/" behind the host: the functions of url.h rely on it. */
        if (!http || url >= URL_MAX || url == len || links[url] != '\n' ||
            !memchr(links + 8, '/', url - 8)) {
            return false;
        }
        links += url + 1;
        len -= url + 1;
        seen++;
    }
    return seen == count;
}

static bool is_sha256(const char *hex) {
    for (int i = 0; i < 64; i++) {
        if (!(hex[i] >= '0' && hex[i] <= '9') && !(hex[i] >= 'a' && hex[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

static bool is_sound(const struct wire *wire, size_t len) {
    return wire->magic == WIRE_MAGIC && wire->version == WIRE_VERSION &&
           (wire->flags & ~WIRE_FLAGS) == 0 && wire->zero == 0 &&
           (wire->flags & (WIRE_TEXT | WIRE_TEXT_CUT)) != WIRE_TEXT_CUT &&
           wire->words <= INT64_MAX && wire->title_len <= PAGE_TITLE_MAX &&
           wire->lang_len <= PAGE_LANG_MAX && wire->links_len <= PAGE_LINKS_BYTES_MAX &&
           wire->link_count <= PAGE_LINKS_MAX &&
           wire->text_len <= (wire->flags & WIRE_TEXT ? PAGE_TEXT_MAX : 0) &&
           len - sizeof(*wire) ==
               (size_t)wire->title_len + wire->lang_len + wire->links_len + wire->text_len;
}

int page_decode(const void *bytes, size_t len, struct page *ret_page) {
    struct wire wire;
    if (len < sizeof(wire)) {
        return -EBADMSG;
    }
    memcpy(&wire, bytes, sizeof(wire));
    if (!is_sound(&wire, len) || !is_sha256(wire.sha256)) {
        return -EBADMSG;
    }
    const char *at = (const char *)bytes + sizeof(wire);
    struct page page = {
        .words = wire.words,
        .link_count = wire.link_count,
        .links_dropped = wire.flags & WIRE_LINKS_DROPPED,
        .cut = wire.flags & WIRE_CUT,
        .text_cut = wire.flags & WIRE_TEXT_CUT,
        .title = at,
        .title_len = wire.title_len,
        .lang = at + wire.title_len,
        .lang_len = wire.lang_len,
        .links = at + wire.title_len + wire.lang_len,
        .links_len = wire.links_len,
        .text_len = wire.text_len,
    };
    if (wire.flags & WIRE_TEXT) {
        page.text = page.links + page.links_len;
    }
    memcpy(page.sha256, wire.sha256, sizeof(wire.sha256));
    if (!is_clean_utf8(page.title, page.title_len) || !is_clean_utf8(page.lang, page.lang_len) ||
        !are_links(page.links, page.links_len, page.link_count) ||
        !is_clean_utf8(page.text, page.text_len)) {
        return -EBADMSG;
    }
    *ret_page = page;
    return 0;
}

bool page_next_link(const struct page *page, size_t *cursor, const char **ret_url,
                    size_t *ret_len) {
    if (*cursor >= page->links_len) {
        return false;
    }
    const char *link = page->links + *cursor;
    const char *end = memchr(link, '\n', page->links_len - *cursor);
    *ret_url = link;
    *ret_len = (size_t)(end - link);
    *cursor += *ret_len + 1;
    return true;
}
