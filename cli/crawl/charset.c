/*
 * From a page's bytes to clean UTF-8.
 *
 * libxml2 could convert by itself, but it changes to Latin-1 in the middle of a page at the first
 * malformed byte, ends a page at a NUL and drops control characters; a definition of words that
 * others can follow needs one rule, and this is that of the web's Encoding Standard. The copy costs
 * a thirtieth of the parse and gives the NUL behind the text that the parser wants anyway.
 *
 * Only names of that standard reach iconv: a stranger must not choose among all of the C library's
 * converters, some of which nobody has used for decades.
 */
#include "crawl/charset.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { META_WINDOW = 1024, LABEL_MAX = 32 };

static const struct label {
    const char *label, *name; /* name: what iconv calls it; NULL is UTF-8 */
} labels[] = {
    {"utf-8", NULL},
    {"utf8", NULL},
    {"iso-8859-1", "CP1252"},
    {"iso8859-1", "CP1252"},
    {"iso_8859-1", "CP1252"},
    {"latin1", "CP1252"},
    {"us-ascii", "CP1252"},
    {"ascii", "CP1252"},
    {"windows-1252", "CP1252"},
    {"cp1252", "CP1252"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-9", "CP1254"},
    {"iso-8859-10", "ISO-8859-10"},
    {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"},
    {"iso-8859-15", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"},
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"windows-1257", "CP1257"},
    {"windows-1258", "CP1258"},
    {"windows-874", "CP874"},
    {"tis-620", "CP874"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"ibm866", "CP866"},
    {"macintosh", "MACINTOSH"},
    {"gb2312", "GB18030"},
    {"gbk", "GB18030"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5-HKSCS"},
    {"euc-jp", "EUC-JP"},
    {"shift_jis", "CP932"},
    {"shift-jis", "CP932"},
    {"iso-2022-jp", "ISO-2022-JP"},
    {"euc-kr", "CP949"},
    {"ks_c_5601-1987", "CP949"},
    {"utf-16", "UTF-16LE"},
    {"utf-16le", "UTF-16LE"},
    {"utf-16be", "UTF-16BE"},
};

static const struct label *find_label(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
        if (strlen(labels[i].label) == len && strncasecmp(labels[i].label, name, len) == 0) {
            return &labels[i];
        }
    }
    return NULL;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static const char *find_nocase(const char *at, const char *end, const char *what) {
    size_t len = strlen(what);
    for (; end - at >= (ptrdiff_t)len; at++) {
        if (strncasecmp(at, what, len) == 0) {
            return at;
        }
    }
    return NULL;
}

/* The label behind charset= in one meta tag, in an attribute of its own or within content. */
static const struct label *label_in_tag(const char *at, const char *end) {
    while ((at = find_nocase(at, end, "charset"))) {
        at += 7;
        while (at < end && is_blank(*at)) {
            at++;
        }
        if (at == end || *at != '=') {
            continue;
        }
        at++;
        while (at < end && (is_blank(*at) || *at == '"' || *at == '\'')) {
            at++;
        }
        size_t len = 0;
        while (at + len < end && !is_blank(at[len]) && !strchr("\"';/", at[len])) {
            len++;
        }
        return find_label(at, len);
    }
    return NULL;
}

static const struct label *find_meta(const char *body, size_t len) {
    const char *at = body, *end = body + (len < META_WINDOW ? len : META_WINDOW);
    while ((at = memchr(at, '<', (size_t)(end - at)))) {
        const char *close = NULL;
        if (end - at >= 4 && memcmp(at, "<!--", 4) == 0) {
            close = memmem(at + 2, (size_t)(end - at - 2), "-->", 3);
            if (!close) {
                return NULL;
            }
        } else if (end - at > 5 && strncasecmp(at, "<meta", 5) == 0 &&
                   (is_blank(at[5]) || at[5] == '/')) {
            close = memchr(at, '>', (size_t)(end - at));
            const struct label *label = label_in_tag(at, close ? close : end);
            /* A page whose meta could be read is not in UTF-16, whatever the meta says. */
            if (label) {
                return label->name && strncmp(label->name, "UTF-16", 6) == 0 ? &labels[0] : label;
            }
        }
        at = close ? close : at + 1;
    }
    return NULL;
}

/* The charset of a page, and behind which bytes it begins. NULL is UTF-8. */
static const char *choose(const char *body, size_t len, const char *http, size_t *ret_mark) {
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } marks[] = {{"\xEF\xBB\xBF", 3, NULL},
                 {"\xFF\xFE", 2, "UTF-16LE"},
                 {"\xFE\xFF", 2, "UTF-16BE"}};
    const struct label *label = http ? find_label(http, strlen(http)) : NULL;
    *ret_mark = 0;
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        if (len >= marks[i].len && memcmp(body, marks[i].bytes, marks[i].len) == 0) {
            bool same = !label || label->name == marks[i].name ||
                        (label->name && marks[i].name && strcmp(label->name, marks[i].name) == 0);
            *ret_mark = same ? marks[i].len : 0;
            return label ? label->name : marks[i].name;
        }
    }
    label = label ? label : find_meta(body, len);
    return label ? label->name : NULL;
}

static int open_converter(struct charset *charset, const char *name) {
    if (charset->name && strcmp(charset->name, name) == 0) {
        iconv(charset->iconv, NULL, NULL, NULL, NULL);
        return 0;
    }
    if (charset->name) {
        iconv_close(charset->iconv);
        charset->name = NULL;
    }
    charset->iconv = iconv_open("UTF-8", name);
    if (charset->iconv == (iconv_t)-1) {
        return -errno;
    }
    charset->name = name;
    return 0;
}

/* Converts all; a byte that has no meaning is kept as 0xFF, which UTF-8 never has. */
static int convert(struct charset *charset, const char *name, char *in, size_t left) {
    struct buffer *to = &charset->converted;
    size_t unit = strncmp(name, "UTF-16", 6) == 0 ? 2 : 1;
    to->len = 0;
    while (left) {
        if (!buffer_reserve(to, left + left / 2 + 16)) {
            return -ENOMEM;
        }
        char *out = to->at + to->len;
        size_t room = to->room - to->len;
        size_t status = iconv(charset->iconv, &in, &left, &out, &room);
        to->len = (size_t)(out - to->at);
        if (status == (size_t)-1 && errno != E2BIG && left) {
            if (!buffer_reserve(to, 1)) {
                return -ENOMEM;
            }
            to->at[to->len++] = (char)0xFF;
            in += unit < left ? unit : left;
            left -= unit < left ? unit : left;
        }
    }
    return 0;
}

/* Bytes of the well-formed character at at; of a malformed one its longest good beginning (at
 * least 1), as a negative number. Table 3-7 of the Unicode Standard. */
static int utf8_len(const uint8_t *at, size_t len) {
    uint8_t low = 0x80, high = 0xBF;
    int want = *at < 0x80   ? 1
               : *at < 0xC2 ? 0
               : *at < 0xE0 ? 2
               : *at < 0xF0 ? 3
               : *at < 0xF5 ? 4
                            : 0;
    if (want == 0) {
        return -1;
    }
    low = *at == 0xE0 ? 0xA0 : *at == 0xF0 ? 0x90 : low;
    high = *at == 0xED ? 0x9F : *at == 0xF4 ? 0x8F : high;
    for (int i = 1; i < want; i++) {
        if ((size_t)i >= len || at[i] < low || at[i] > high) {
            return -i;
        }
        low = 0x80;
        high = 0xBF;
    }
    return want;
}

/* Copies one character, made clean; returns the bytes read. */
static size_t clean_character(const uint8_t *at, size_t len, char **to) {
    if (*at >= ' ' && *at < 0x7F) {
        *(*to)++ = (char)*at;
        return 1;
    }
    if (*at < ' ' && ((*at >= '\t' && *at <= '\r') || *at >= 0x1C)) {
        *(*to)++ = *at == '\t' || *at == '\n' || *at == '\r' ? (char)*at : ' ';
        return 1;
    }
    int n = utf8_len(at, len);
    bool noncharacter = n == 3 && at[0] == 0xEF && at[1] == 0xBF && at[2] >= 0xBE;
    if (n < 0 || *at < ' ' || noncharacter) {
        memcpy(*to, "\xEF\xBF\xBD", 3);
        *to += 3;
        return (size_t)(n < 0 ? -n : n);
    }
    memcpy(*to, at, (size_t)n);
    *to += n;
    return (size_t)n;
}

static int clean_utf8(const char *body, size_t len, struct buffer *clean) {
    const uint64_t ones = 0x0101010101010101;
    clean->len = 0;
    if (!buffer_reserve(clean, 3 * len + 16)) {
        return -ENOMEM;
    }
    const uint8_t *at = (const uint8_t *)body, *end = at + len;
    char *to = clean->at;
    while (at < end) {
        uint64_t bytes;
        if (end - at >= 8) { /* eight printable ASCII bytes at once */
            memcpy(&bytes, at, sizeof(bytes));
            if (!(((bytes - ones * 0x20) | bytes) & (ones * 0x80))) {
                memcpy(to, &bytes, sizeof(bytes));
                at += 8;
                to += 8;
                continue;
            }
        }
        at += clean_character(at, (size_t)(end - at), &to);
    }
    *to = '\0';
    clean->len = (size_t)(to - clean->at);
    return 0;
}

int charset_clean(struct charset *charset, const char *body, size_t len, const char *http_charset,
                  struct buffer *clean) {
    size_t mark;
    const char *name = choose(body, len, http_charset, &mark);
    body += mark;
    len -= mark;
    if (name && open_converter(charset, name) == 0) {
        int status = convert(charset, name, (char *)body, len);
        if (status < 0) {
            return status;
        }
        body = charset->converted.at;
        len = charset->converted.len;
    }
    return clean_utf8(body, len, clean);
}

void charset_load_converters(void) {
    static iconv_t
        kept[sizeof(labels) / sizeof(*labels)]; /* closed, their modules would be unloaded */
    for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
        if (labels[i].name && !kept[i]) {
            kept[i] = iconv_open("UTF-8", labels[i].name);
        }
    }
}

void charset_done(struct charset *charset) {
    if (charset->name) {
        iconv_close(charset->iconv);
    }
    buffer_done(&charset->converted);
    *charset = (struct charset){0};
}
