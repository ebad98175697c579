/*
 * One HTML page by libxml2's SAX parser.
 *
 * The parser is used for its tokens; what is visible is decided here. libxml2 adds html, head, body
 * and p where a page leaves them out, which separates nothing that was not separate (it happens at
 * tags and before the first text only). It also swallows end tags that close nothing and doubled
 * html, head and body tags without telling: those are noticed by what stands in the source where
 * the last piece of text ended.
 *
 * The clean copy of the body (charset.h) is parsed in place, as one string input: libxml2's own
 * input buffers would copy it twice and be new for each page. Its context, with the dictionary of
 * names, is kept. What libxml2 2.9 costs is its going from byte to byte; handlers that are not
 * needed are NULL. Rejected: its tree (a third of the speed), its push parser (looks ahead for the
 * end of each tag first), errors (formatted even when nobody listens: unavoidable, see
 * bench/page.c).
 */
#include "crawl/page.h"

#include <errno.h>
#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "crawl/charset.h"
#include "crawl/links.h"
#include "crawl/words.h"

enum { DICT_MAX = 20000 }; /* names that strangers may leave in the context's dictionary */

enum tag {
    TAG_OTHER,
    TAG_HTML,
    TAG_HEAD,
    TAG_IN_HEAD, /* others that a head may hold */
    TAG_BASE,
    TAG_TITLE,
    TAG_HIDDEN,
    TAG_LINK,
};

struct page_parser {
    htmlParserCtxtPtr context;
    struct charset charset;
    struct buffer clean, encoded;
    struct words body, title;
    struct links links;
    char lang[PAGE_LANG_MAX];
    size_t lang_len;
    const xmlChar *mark; /* in the source: where the last piece of text ended */
    int hidden_at;       /* depth of the outermost hidden element, 0: none */
    int title_at;        /* depth of the title that is being read, 0: none */
    bool in_head, has_title, has_base, cut;
};

/* Runs for every tag: most are told by their first letter. */
static enum tag tag_of(const xmlChar *xml_name) {
    const char *name = (const char *)xml_name, *rest = name + 1;
    switch (*name) {
    case 'a':
        return !*rest || strcmp(rest, "rea") == 0 ? TAG_LINK : TAG_OTHER;
    case 'b':
        return strcmp(rest, "ase") == 0                                      ? TAG_BASE
               : strcmp(rest, "asefont") == 0 || strcmp(rest, "gsound") == 0 ? TAG_IN_HEAD
                                                                             : TAG_OTHER;
    case 'h':
        return strcmp(rest, "tml") == 0   ? TAG_HTML
               : strcmp(rest, "ead") == 0 ? TAG_HEAD
                                          : TAG_OTHER;
    case 'l':
        return strcmp(rest, "ink") == 0 ? TAG_IN_HEAD : TAG_OTHER;
    case 'm':
        return strcmp(rest, "eta") == 0 ? TAG_IN_HEAD : TAG_OTHER;
    case 'n':
        return strcmp(rest, "oscript") == 0 ? TAG_HIDDEN : TAG_OTHER;
    case 's':
        return strcmp(rest, "cript") == 0 || strcmp(rest, "tyle") == 0 ? TAG_HIDDEN : TAG_OTHER;
    case 't':
        return strcmp(rest, "itle") == 0      ? TAG_TITLE
               : strcmp(rest, "emplate") == 0 ? TAG_HIDDEN
                                              : TAG_OTHER;
    default:
        return TAG_OTHER;
    }
}

static const char *attribute(const xmlChar **attributes, const char *name) {
    for (; attributes && attributes[0]; attributes += 2) {
        if (attributes[0][0] == (xmlChar)name[0] &&
            strcmp((const char *)attributes[0], name) == 0) {
            return (const char *)attributes[1];
        }
    }
    return NULL;
}

/* Language tags are letters, digits and "-" (RFC 5646); what follows others is dropped. */
static void read_lang(struct page_parser *parser, const xmlChar **attributes) {
    const char *lang = attribute(attributes, "lang");
    lang = lang ? lang : attribute(attributes, "xml:lang");
    if (!lang || parser->lang_len) {
        return;
    }
    lang += strspn(lang, " \t\r\n");
    for (; *lang && parser->lang_len < PAGE_LANG_MAX; lang++) {
        char lower = (char)(*lang | 32);
        bool good = (lower >= 'a' && lower <= 'z') || (*lang >= '0' && *lang <= '9') ||
                    *lang == '-' || *lang == '_';
        if (!good) {
            break;
        }
        parser->lang[parser->lang_len++] = *lang;
    }
}

static void read_base(struct page_parser *parser, const xmlChar **attributes) {
    char base[URL_MAX];
    size_t len;
    const char *href = attribute(attributes, "href");
    if (!href || parser->has_base) {
        return;
    }
    parser->has_base = true;
    if (url_resolve(&parser->links.base, href, strlen(href), base, &len) == 0) {
        url_base_init(&parser->links.base, base, len);
    }
}

static void break_words(struct page_parser *parser) {
    words_break(&parser->body);
    words_break(&parser->title);
}

static void on_start(void *context, const xmlChar *name, const xmlChar **attributes) {
    struct page_parser *parser = context;
    int depth = parser->context->nameNr;
    break_words(parser);
    if (depth > PAGE_DEPTH_MAX) {
        parser->cut = true;
        xmlStopParser(parser->context);
        return;
    }
    enum tag tag = tag_of(name);
    const char *href;
    switch (tag) {
    case TAG_HTML:
        read_lang(parser, attributes);
        return;
    case TAG_BASE:
        read_base(parser, attributes);
        return;
    case TAG_TITLE:
        if (!parser->has_title) {
            parser->has_title = true;
            parser->title_at = depth;
        }
        return;
    case TAG_HIDDEN:
        if (!parser->hidden_at || depth < parser->hidden_at) {
            parser->hidden_at = depth;
        }
        return;
    case TAG_LINK:
        href = attribute(attributes, "href");
        if (href) {
            links_add(&parser->links, href, strlen(href));
        }
        break;
    case TAG_HEAD:
    case TAG_IN_HEAD:
        return;
    case TAG_OTHER:
        break;
    }
    if (!parser->hidden_at || depth <= parser->hidden_at) {
        parser->in_head = false;
    }
}

static void on_end(void *context, const xmlChar *name) {
    struct page_parser *parser = context;
    int depth = parser->context->nameNr;
    break_words(parser);
    if (depth <= parser->hidden_at) {
        parser->hidden_at = 0;
    }
    if (depth <= parser->title_at) {
        parser->title_at = 0;
    }
    if (*name == 'h' && strcmp((const char *)name, "head") == 0) {
        parser->in_head = false;
    }
}

/* Numbers 128 to 159 mean what windows-1252 has there; returns that as UTF-8, or text itself. */
static const char *windows_character(const char *text, char out[4], size_t *len) {
    static const uint16_t codes[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020,
                                       0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
                                       0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D,
                                       0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
                                       0x0153, 0,      0x017E, 0x0178};
    unsigned code = (uint8_t)text[1] < 0xA0 ? codes[(uint8_t)text[1] - 0x80] : 0;
    if (!code) {
        return text;
    }
    *len = code < 0x800 ? 2 : 3;
    if (*len == 2) {
        out[0] = (char)(0xC0 | code >> 6);
    } else {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
    }
    out[*len - 1] = (char)(0x80 | (code & 63));
    return out;
}

/* True when text is a "<" of the source itself, on which the parser still stands. Behind a
 * reference
 * ("&lt;" before a tag looks much the same) it has moved on from the mark, over ";" or a digit. */
static bool is_literal(const struct page_parser *parser, const char *text, size_t len) {
    const xmlParserInput *input = parser->context->input;
    if (len != 1 || *text != '<' || *input->cur != '<') {
        return false;
    }
    char before = input->cur > input->base ? (char)input->cur[-1] : ' ';
    char lower = (char)(before | 32);
    bool reference =
        before == ';' || (before >= '0' && before <= '9') || (lower >= 'a' && lower <= 'z');
    return input->cur == parser->mark || !reference;
}

/* "<!" that is neither comment nor doctype begins a declaration, which is no text: the parser is
 * set on its ">", which it then skips in place of the "<". Returns true when that was done. */
static bool skip_declaration(struct page_parser *parser) {
    xmlParserInputPtr input = parser->context->input;
    const xmlChar *end =
        input->cur[1] == '!' ? memchr(input->cur, '>', (size_t)(input->end - input->cur)) : NULL;
    if (end) {
        input->cur = end;
        break_words(parser);
    }
    return end;
}

static void on_text(void *context, const xmlChar *characters, int length) {
    struct page_parser *parser = context;
    const char *text = (const char *)characters;
    size_t len = (size_t)length;
    char windows[4];
    xmlParserInputPtr input = parser->context->input;
    bool literal = is_literal(parser, text, len);
    if (literal && skip_declaration(parser)) {
        parser->mark = input->cur + 1;
        return;
    }
    if (*parser->mark == '<') { /* a tag or a comment that nobody told of */
        break_words(parser);
    }
    parser->mark = input->cur + literal;
    if (len == 2 && (uint8_t)text[0] == 0xC2) {
        text = windows_character(text, windows, &len);
    }
    int depth = parser->context->nameNr;
    if (parser->title_at && depth >= parser->title_at) {
        words_add(&parser->title, text, len);
    }
    parser->hidden_at = depth < parser->hidden_at ? 0 : parser->hidden_at;
    if (!parser->hidden_at && !parser->in_head) {
        words_add(&parser->body, text, len);
    }
}

static void on_cdata(void *context, const xmlChar *characters, int length) {
    (void)context; /* script and style: without this handler on_text would get and drop them */
    (void)characters;
    (void)length;
}

static int open_context(struct page_parser *parser) {
    parser->context = htmlNewParserCtxt();
    if (!parser->context) {
        return -ENOMEM;
    }
    *parser->context->sax = (xmlSAXHandler){
        .startElement = on_start,
        .endElement = on_end,
        .characters = on_text,
        .cdataBlock = on_cdata,
    };
    parser->context->userData = parser;
    /* RECOVER: "</b>" in a script's string does not end the script. */
    htmlCtxtUseOptions(parser->context, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR |
                                            HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                                            HTML_PARSE_IGNORE_ENC);
    return 0;
}

int page_parser_new(struct page_parser **ret_parser) {
    struct page_parser *parser = calloc(1, sizeof(*parser));
    if (!parser || open_context(parser) < 0) {
        free(parser);
        return -ENOMEM;
    }
    *ret_parser = parser;
    return 0;
}

void page_parser_free(struct page_parser *parser) {
    if (parser) {
        htmlFreeParserCtxt(parser->context);
        charset_done(&parser->charset);
        links_done(&parser->links);
        buffer_done(&parser->clean);
        buffer_done(&parser->encoded);
        buffer_done(&parser->body.text);
        buffer_done(&parser->title.text);
        free(parser);
    }
}

static int run_parser(struct page_parser *parser) {
    if (xmlDictSize(parser->context->dict) > DICT_MAX) {
        htmlFreeParserCtxt(parser->context);
        if (open_context(parser) < 0) {
            return -ENOMEM;
        }
    }
    htmlParserCtxtPtr context = parser->context;
    htmlCtxtReset(context);
    const xmlChar *source = (const xmlChar *)parser->clean.at;
    xmlParserInputPtr input = xmlNewStringInputStream(context, source);
    if (!input || inputPush(context, input) < 0) {
        xmlFreeInputStream(input);
        return -ENOMEM;
    }
    context->charset = XML_CHAR_ENCODING_UTF8;
    parser->mark = source;
    htmlParseDocument(context);
    bool no_memory = context->errNo == XML_ERR_NO_MEMORY || parser->body.failed ||
                     parser->title.failed || parser->links.failed;
    return no_memory ? -ENOMEM : 0;
}

static int encode(struct page_parser *parser, const struct page_input *input) {
    struct page page = {
        .words = parser->body.count,
        .link_count = parser->links.count,
        .links_dropped = parser->links.dropped,
        .cut = parser->cut,
        .title = parser->title.text.at,
        .title_len = parser->title.text.len,
        .lang = parser->lang,
        .lang_len = parser->lang_len,
        .links = parser->links.lines.at,
        .links_len = parser->links.lines.len,
    };
    if (input->want_text) {
        page.text = parser->body.text.at ? parser->body.text.at : "";
        page.text_len = parser->body.text.len;
        page.text_cut = parser->body.cut;
    }
    page_sha256(input->body, input->len, page.sha256);
    parser->encoded.len = 0;
    if (!buffer_reserve(&parser->encoded, page_encoded_size(&page))) {
        return -ENOMEM;
    }
    parser->encoded.len = page_encode(&page, parser->encoded.at);
    return 0;
}

int page_parse(struct page_parser *parser, const struct page_input *input, const void **ret_bytes,
               size_t *ret_len) {
    if (input->len > PAGE_BODY_MAX) {
        return -EFBIG;
    }
    links_reset(&parser->links);
    words_reset(&parser->body, input->want_text, PAGE_TEXT_MAX);
    words_reset(&parser->title, true, PAGE_TITLE_MAX);
    parser->lang_len = 0;
    parser->hidden_at = parser->title_at = 0;
    parser->in_head = true;
    parser->has_title = parser->has_base = parser->cut = false;
    if (url_base_init(&parser->links.base, input->url, strlen(input->url)) < 0) {
        return -EINVAL;
    }
    int status =
        charset_clean(&parser->charset, input->body, input->len, input->charset, &parser->clean);
    status = status < 0 ? status : run_parser(parser);
    status = status < 0 ? status : encode(parser, input);
    *ret_bytes = parser->encoded.at;
    *ret_len = parser->encoded.len;
    return status;
}

void page_sha256(const void *bytes, size_t len, char ret_hex[65]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256(bytes, len, hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        ret_hex[2 * i] = digits[hash[i] >> 4];
        ret_hex[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_hex[64] = '\0';
}

bool page_is_html(const char *content_type) {
    static const char *const types[] = {"text/html", "application/xhtml+xml"};
    if (!content_type || !*content_type) {
        return true;
    }
    content_type += strspn(content_type, " \t");
    size_t len = strcspn(content_type, "; \t,");
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (strlen(types[i]) == len && strncasecmp(content_type, types[i], len) == 0) {
            return true;
        }
    }
    return false;
}

bool page_charset(const char *content_type, char *out, size_t size) {
    const char *at = content_type ? strcasestr(content_type, "charset=") : NULL;
    if (!at) {
        return false;
    }
    at += 8;
    at += *at == '"' || *at == '\'';
    size_t len = strcspn(at, "\"'; \t,");
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}
