/* Pages: words, title, language, links, charsets, hostile input; and the encoded form, which comes
 * from processes that nobody trusts. */
#include "crawl/page.h"

#include <malloc.h>

#include "crawl/words.h"
#include "test.h"

static struct page_parser *parser;

static struct page parse_input(const struct page_input *input) {
    struct page page;
    const void *bytes;
    size_t len;
    if (!parser) {
        CHECK_EQ(page_parser_new(&parser), 0);
    }
    CHECK_EQ(page_parse(parser, input, &bytes, &len), 0);
    CHECK_EQ(page_decode(bytes, len, &page), 0);
    return page;
}

static struct page parse(const char *body) {
    return parse_input(&(struct page_input){
        .body = body, .len = strlen(body), .url = "http://h/d/p.html", .want_text = true});
}

static const char *slice(const char *at, size_t len) {
    static char out[4][4096];
    static int turn;
    char *to = out[turn++ % 4];
    CHECK(len < sizeof(out[0]));
    memcpy(to, at ? at : "", len);
    to[len] = '\0';
    return to;
}

/* Both ways of counting must agree: the fast one without text, the plain one with. */
static const char *words_of(const char *body) {
    struct page page = parse(body);
    uint64_t words = page.words;
    const char *text = slice(page.text, page.text_len);
    page = parse_input(&(struct page_input){.body = body, .len = strlen(body), .url = "http://h/"});
    CHECK_EQ(page.words, words);
    CHECK(page.text == NULL);
    size_t spaces = 0;
    for (const char *c = text; *c; c++) {
        spaces += *c == ' ';
    }
    CHECK_EQ(words, *text ? spaces + 1 : 0);
    return text;
}

static const char *title_of(const char *body) {
    struct page page = parse(body);
    return slice(page.title, page.title_len);
}

static const char *links_of(const char *body) {
    struct page page = parse(body);
    return slice(page.links, page.links_len);
}

TEST(page_words) {
    static const char *const cases[][2] = {
        {"", ""},
        {"one", "one"},
        {"<p>one two\n\tthree</p>", "one two three"},
        {"a<b>c</b>", "a c"},
        {"a<b>c</b>d<br>e<br/>f", "a c d e f"},
        {"<html><head><title>no</title></head><body>yes</body></html>", "yes"},
        {"<title>no</title>yes", "yes"},
        {"<head><title>no</title><p>yes", "yes"},
        {"<head><meta name=x>yes", "yes"},
        {"<body>a<script>var no = '</b>';</script>b</body>", "a b"},
        {"<body>a<p>b<script>var no = '</p>no';</script>c</p>", "a b c"},
        {"<body>a<style>p{}</style>b<template>no<p>no</template>c", "a b c"},
        {"<body>a<noscript><p>no <i>no</i> no</noscript>b", "a b"},
        {"<head><noscript><img src=x>no</noscript><title>no</title></head>yes", "yes"},
        {"<body>a<svg><title>x</title></svg>b", "a x b"},
        {"&lt;p&gt; a&amp;b &copy;", "<p> a&b \xc2\xa9"},
        {"a&nbsp;b a\xc2\xa0"
         "b",
         "a b a b"},
        {"a\xe2\x80\x83"
         "b\xe3\x80\x80"
         "c\xe1\x9a\x80"
         "d\xe2\x80\xa8"
         "e\xc2\x85"
         "f\xe2\x81\x9fg",
         "a b c d e f g"},
        {"a\xe2\x80\x8b"
         "b",
         "a\xe2\x80\x8b"
         "b"}, /* zero width space is none */
        {"a\fb\vc\x1c"
         "d",
         "a b c d"},
        {"it&#8217;s &#133; &#x41;", "it\xe2\x80\x99s \xe2\x80\xa6 A"},
        {"a < b <3 c", "a < b <3 c"},
        {"a</b>c", "a c"},                           /* an end tag that closes nothing */
        {"<body>a<body>b<html>c<head>d", "a b c d"}, /* tags that may stand once */
        {"a<!-- x -->b", "a b"},
        {"a<?php x ?>b<!FOO x>c<![CDATA[x]]>d", "a b c d"},
        {"a&lt;<!-- x -->b&lt;</i>c &lt;d", "a< b< c <d"},
        {"&#60;<!FOO x>b", "< b"},
        {"<p>a<p>b<li>c<td>d<option>e", "a b c d e"},
        {"<pre>a\n b</pre><textarea>c d</textarea>", "a b c d"},
        {"<a href=x>a</a><a href=y>b</a>.", "a b ."},
        {"<SCRIPT>no</SCRIPT><STYLE>no</STYLE>a", "a"},
        {"<script>no", ""},
        {"<!-- no", ""},
        {"a <p title='x > y'>b", "a b"},
        {"unknown<foo-bar>tags</foo-bar>too", "unknown tags too"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *words = words_of(cases[i][0]);
        if (strcmp(words, cases[i][1]) != 0) {
            test_fail(__FILE__, __LINE__, "%s: got \"%s\", not \"%s\"", cases[i][0], words,
                      cases[i][1]);
        }
    }
}

/* Eight bytes at a time or one by one, in whatever pieces: the same count. */
TEST(page_words_in_pieces) {
    static const char alphabet[] = "ab \n\t.";
    char text[200];
    unsigned seed = 3;
    for (int round = 0; round < 3000; round++) {
        struct words whole = {0}, pieces = {0}, kept = {0};
        words_reset(&whole, false, 0);
        words_reset(&pieces, false, 0);
        words_reset(&kept, true, 1000);
        size_t len = (size_t)rand_r(&seed) % sizeof(text), words = 0;
        for (size_t i = 0; i < len; i++) {
            text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
            words += text[i] > ' ' && (i == 0 || text[i - 1] <= ' ');
        }
        words_add(&whole, text, len);
        words_add(&kept, text, len);
        for (size_t at = 0, n; at < len; at += n) {
            n = 1 + (size_t)rand_r(&seed) % (len - at);
            words_add(&pieces, text + at, n);
        }
        CHECK_EQ(whole.count, words);
        CHECK_EQ(pieces.count, words);
        CHECK_EQ(kept.count, words);
        buffer_done(&kept.text);
    }
}

TEST(page_text_that_is_full_is_said_to_be_cut) {
    struct words words = {0};
    words_reset(&words, true, 7);
    words_add(&words, " abc  def ", 10);
    CHECK(!words.cut);
    CHECK_EQ(words.text.len, 7);
    words_add(&words, "g", 1);
    CHECK(words.cut);
    CHECK_EQ(words.text.len, 7);
    CHECK_EQ(words.count, 3);
    words_reset(&words, true, 7);
    CHECK(!words.cut);
    buffer_done(&words.text);
}

TEST(page_title) {
    CHECK_STR(title_of("<title> A &amp;\n\n B&nbsp;C </title>"), "A & B C");
    CHECK_STR(title_of("<html><head><title></title></head><body><title>2</title>"), "");
    CHECK_STR(title_of("<body><h1>x</h1>"), "");
    CHECK_STR(title_of("<title>\xc3\xa4&#228;&auml;</title>"), "\xc3\xa4\xc3\xa4\xc3\xa4");
    CHECK_STR(title_of("<title>open"), "open");
    static char body[8000] = "<title>x";
    for (size_t i = 8; i < 6008; i += 2) {
        body[i] = (char)0xc3;
        body[i + 1] = (char)0xa4;
    }
    snprintf(body + 6008, 20, "zzz</title>after"); /* would fit, but the cut is for good */
    struct page page = parse(body);
    CHECK_EQ(page.title_len, PAGE_TITLE_MAX - 1); /* not half a character */
    CHECK_EQ(page.words, 1);
}

TEST(page_lang) {
    static const char *const cases[][2] = {
        {"<html lang=en>", "en"},      {"<html lang=' de-AT '>", "de-AT"},
        {"<html xml:lang=fr>", "fr"},  {"<html xml:lang=fr lang=en>", "en"},
        {"<html lang='en<b>'>", "en"}, {"<body lang=en>", ""},
        {"<html lang=''>", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct page page = parse(cases[i][0]);
        CHECK_STR(slice(page.lang, page.lang_len), cases[i][1]);
    }
    char body[200] = "<html lang=";
    memset(body + 11, 'x', 100);
    CHECK_EQ(parse(body).lang_len, PAGE_LANG_MAX);
}

TEST(page_links) {
    CHECK_STR(links_of("<a href=b>1</a> <a href='/c?x=1&amp;y=2#f'>2</a><a name=n>3</a>"),
              "http://h/d/b\nhttp://h/c?x=1&y=2\n");
    CHECK_STR(links_of("<a href=x><a href=y><a href=x#1><a href='./x'>"),
              "http://h/d/x\nhttp://h/d/y\n");
    CHECK_STR(links_of("<map><area href=a></map><link href=no><img src=no>"), "http://h/d/a\n");
    CHECK_STR(links_of("<a href=mailto:x@y><a href='javascript:0'><a href=ftp://f/>"), "");
    CHECK_STR(links_of("<base href=/e/><a href=f>"), "http://h/e/f\n");
    CHECK_STR(links_of("<base target=x><base href=//o><base href=/no/><a href=f>"), "http://o/f\n");
    CHECK_STR(links_of("<base href='mailto:x'><a href=f>"), "http://h/d/f\n");
    CHECK_STR(links_of("<a href=''>1</a>"), "http://h/d/p.html\n");
    CHECK_STR(links_of("<a href=1 href=2>"), "http://h/d/1\n");
    CHECK_STR(links_of("<A HREF='b c'><noscript><a href=d></a></noscript>"),
              "http://h/d/b%20c\nhttp://h/d/d\n");
    CHECK_STR(links_of("<script>'<a href=no>'</script><!-- <a href=no> -->"), "");
    struct page page = parse("<a href=1><a href=22>");
    size_t cursor = 0, len;
    const char *url;
    CHECK(page_next_link(&page, &cursor, &url, &len));
    CHECK_STR(slice(url, len), "http://h/d/1");
    CHECK(page_next_link(&page, &cursor, &url, &len));
    CHECK_STR(slice(url, len), "http://h/d/22");
    CHECK(!page_next_link(&page, &cursor, &url, &len));
}

static const char *text_in(const char *body, size_t len, const char *charset) {
    struct page page = parse_input(&(struct page_input){
        .body = body, .len = len, .url = "http://h/", .charset = charset, .want_text = true});
    return slice(page.text, page.text_len);
}

TEST(page_charset_decides) {
    static const char latin[] = "<meta charset=iso-8859-1><p>\xe4\x80";
    static const char utf8[] = "<p>\xc3\xa4";
    static const char marked[] = "\xef\xbb\xbf<meta charset=latin1>\xc3\xa4";
    CHECK_STR(text_in(latin, sizeof(latin) - 1, NULL), "\xc3\xa4\xe2\x82\xac");
    CHECK_STR(text_in(latin, sizeof(latin) - 1, "utf-8"), "\xef\xbf\xbd");
    CHECK_STR(text_in(utf8, sizeof(utf8) - 1, NULL), "\xc3\xa4");
    CHECK_STR(text_in(utf8, sizeof(utf8) - 1, "Windows-1252"), "\xc3\x83\xc2\xa4");
    CHECK_STR(text_in(utf8, sizeof(utf8) - 1, "no-such-charset"), "\xc3\xa4");
    CHECK_STR(text_in(utf8, sizeof(utf8) - 1, "ISO-2022-CN-EXT"), "\xc3\xa4");
    CHECK_STR(text_in(marked, sizeof(marked) - 1, NULL), "\xc3\xa4");
    CHECK_STR(text_in("\xff\xfe\xe4\0x\0", 6, NULL), "\xc3\xa4x");
    CHECK_STR(text_in("\xfe\xff\0\xe4\0x", 6, NULL), "\xc3\xa4x");
    CHECK_STR(text_in("\0\xe4\xdc\0\0x\0", 7, "utf-16be"), "\xc3\xa4\xef\xbf\xbdx\xef\xbf\xbd");
    static const char http[] = "<meta http-equiv=Content-Type content='text/html; "
                               "charset=koi8-r'>\xc4\xc1";
    CHECK_STR(text_in(http, sizeof(http) - 1, NULL), "\xd0\xb4\xd0\xb0");
    static const char comment[] = "<!-- <meta charset=koi8-r> --><meta charset=utf-8>\xc3\xa4";
    CHECK_STR(text_in(comment, sizeof(comment) - 1, NULL), "\xc3\xa4");
    CHECK_STR(text_in("\x93\xfa\x96{", 4, "Shift_JIS"), "\xe6\x97\xa5\xe6\x9c\xac");
}

TEST(page_malformed_bytes_are_replaced) {
    CHECK_STR(text_in("a\0b", 3, NULL), "a\xef\xbf\xbd"
                                        "b"); /* a NUL does not end a page */
    CHECK_STR(text_in("a\x01 \xc3 \xe2\x82 \xf0\x9f\x98", 11, NULL),
              "a\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd");
    CHECK_STR(text_in("\xed\xa0\x80", 3, NULL), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    CHECK_STR(text_in("\xc0\xaf \xef\xbf\xbf", 6, NULL), "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd");
    CHECK_STR(text_in("a\xff <b>c</b>\xe4", 12, NULL), "a\xef\xbf\xbd c \xef\xbf\xbd");
}

TEST(page_sha256_is_of_the_body) {
    struct page page = parse("abc");
    CHECK_STR(page.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char hex[65];
    page_sha256("", 0, hex);
    CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(page_bad_input_is_refused) {
    const void *bytes;
    size_t len;
    struct page_input input = {.body = "x", .len = 1, .url = "ftp://h/"};
    CHECK_EQ(page_parser_new(&parser), 0);
    CHECK_EQ(page_parse(parser, &input, &bytes, &len), -EINVAL);
    input.url = "http://h/";
    input.len = (size_t)PAGE_BODY_MAX + 1;
    CHECK_EQ(page_parse(parser, &input, &bytes, &len), -EFBIG);
    input.len = 1;
    CHECK_EQ(page_parse(parser, &input, &bytes, &len), 0); /* it goes on */
    page_parser_free(parser);
    page_parser_free(NULL);
    parser = NULL;
}

static char *repeat(const char *what, size_t times) {
    size_t len = strlen(what);
    char *out = malloc(len * times + 1);
    for (size_t i = 0; i < times; i++) {
        memcpy(out + i * len, what, len);
    }
    out[len * times] = '\0';
    return out;
}

TEST(page_hostile_sizes) {
    struct page page = parse("<p>x");
    CHECK(!page.cut && !page.links_dropped);
    char *body = repeat("<b>x ", 300000);
    page = parse(body);
    CHECK(page.cut);
    CHECK(page.words > 1000 && page.words < 3000);
    free(body);
    body = malloc(20 * 100000);
    char *to = body;
    for (int i = 0; i < 10000; i++) { /* each twice: the table has them all, however it grew */
        to += snprintf(to, 20, "<a href=%d>", i % 5000);
    }
    CHECK_EQ(parse(body).link_count, 5000);
    to = body;
    for (int i = 0; i < 100000; i++) {
        to += snprintf(to, 20, "<a href=%d>", i);
    }
    page = parse(body);
    CHECK(page.links_dropped);
    CHECK_EQ(page.link_count, PAGE_LINKS_MAX);
    free(body);
    body = repeat("x", 3 << 20); /* one attribute of 3 MB */
    memcpy(body, "<a href='", 9);
    page = parse(body);
    CHECK_EQ(page.link_count, 0);
    free(body);
    body = repeat("<a>&amp;&#65;&bogus;<!--", 100000);
    CHECK_EQ(parse(body).words, 1); /* the first comment has no end */
    free(body);
    CHECK_STR(title_of("<title>fine</title>"), "fine"); /* the parser is as good as new */
}

/* A table of links that grows within a page keeps what it has; a long base makes them big. */
TEST(page_links_bytes_are_bounded) {
    size_t base = 8000;
    char *body = malloc(base + 64 + 20 * 4000), *to = body;
    to = stpcpy(to, "<base href='/");
    memset(to, 'x', base);
    to += base;
    to = stpcpy(to, "/'>");
    for (int i = 0; i < 4000; i++) {
        to += snprintf(to, 20, "<a href=%d>", i);
    }
    struct page page = parse(body);
    CHECK(page.links_dropped);
    CHECK(page.links_len <= PAGE_LINKS_BYTES_MAX);
    CHECK(page.links_len > PAGE_LINKS_BYTES_MAX - 9000);
    free(body);
}

/* Names that strangers make up do not pile up in the parser for ever, and it still works. */
TEST(page_many_names) {
    char body[40];
    for (int i = 0; i < 60000; i++) {
        snprintf(body, sizeof(body), "<t%d a%d=1>x", i, i);
        CHECK_EQ(parse(body).words, 1);
    }
    CHECK(mallinfo2().uordblks < (4 << 20)); /* 120,000 names would take twice as much */
}

TEST(page_any_bytes) {
    static const char *const parts[] = {
        "<",      ">",     "</",      "<!",     "<!--", "-->",   "<a href=", "'",   "\"",
        "&",      ";",     "&lt;",    "&#",     "x",    " ",     "<script>", "</s", "<title>",
        "<head>", "<body", "\xc3",    "\xa0",   "\xff", "<?",    "]]>",      "=",   "<noscript>",
        "\n",     "<base", " href='", "http:/", "/..",  "<html", " lang=a",  "p",   "</title>"};
    unsigned seed = 11;
    size_t words = 0;
    for (int round = 0; round < 20000; round++) {
        char body[600];
        size_t len = 0;
        while (len < 500) {
            const char *part = parts[(size_t)rand_r(&seed) % (sizeof(parts) / sizeof(*parts))];
            if (rand_r(&seed) % 50 == 0) {
                body[len++] = (char)rand_r(&seed);
            }
            while (*part) {
                body[len++] = *part++;
            }
        }
        struct page page = parse_input(&(struct page_input){
            .body = body, .len = len, .url = "http://h/", .want_text = round % 2});
        words += page.words;
    }
    CHECK(words > 20000);
}

static const struct page sample = {
    .words = 7,
    .link_count = 2,
    .title = "T\xc3\xa4",
    .title_len = 3,
    .lang = "en",
    .lang_len = 2,
    .links = "http://a/\nhttps://b/c\n",
    .links_len = 22,
    .text = "some text",
    .text_len = 9,
    .text_cut = true,
    .sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
};

/* Encodes and decodes what is given; the bytes are in memory of exactly their size. */
static int there_and_back(const struct page *page, struct page *ret_page) {
    size_t size = page_encoded_size(page);
    char *bytes = malloc(size);
    CHECK_EQ(page_encode(page, bytes), size);
    int status = page_decode(bytes, size, ret_page);
    if (status == 0) {
        CHECK_EQ(ret_page->words, page->words);
        CHECK_EQ(ret_page->title_len, page->title_len);
        CHECK_EQ(memcmp(ret_page->title, page->title, page->title_len), 0);
        CHECK_EQ(ret_page->text == NULL, page->text == NULL);
        CHECK_EQ(ret_page->text_cut, page->text_cut);
    }
    free(bytes);
    return status;
}

TEST(page_decode_refuses_what_is_not_so) {
    struct page out, page = sample;
    CHECK_EQ(there_and_back(&page, &out), 0);
    page.text = NULL;
    page.text_len = 0;
    page.text_cut = false;
    CHECK_EQ(there_and_back(&page, &out), 0);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        page = sample;                                                                             \
        change;                                                                                    \
        CHECK_EQ(there_and_back(&page, &out), -EBADMSG);                                           \
    } while (0)
    REFUSED(page.link_count = 1);
    REFUSED(page.link_count = 3);
    REFUSED(page.links_len = 21);
    REFUSED(page.links = "http://a/\nftps://b/cd\n");
    REFUSED(page.links = "http://a/\nhttps:// /c\n");
    REFUSED(page.links = "http://a/\nhttps://b?c\n"); /* no path */
    REFUSED(page.links = "http://a/\nhttps://b/\x7f\n");
    REFUSED(page.title = "T\xc3\xc3");
    REFUSED(page.title = "T\xa4\xa4");
    REFUSED(page.title = "T\x1b[");
    REFUSED(page.title = "\xed\xa0\x80");
    REFUSED(page.title = "\xe0\x80\x80");
    REFUSED(page.lang = "\0n");
    REFUSED(page.text = "some\ntext");
    REFUSED(page.sha256[3] = 'F');
    REFUSED(page.words = UINT64_MAX);
    REFUSED((page.text = NULL, page.text_len = 0, page.text_cut = true));
    static char big[PAGE_TITLE_MAX + 1];
    memset(big, 'x', sizeof(big));
    REFUSED((page.title = big, page.title_len = sizeof(big)));
    REFUSED((page.lang = big, page.lang_len = PAGE_LANG_MAX + 1));
    CHECK_EQ(page_decode("", 0, &out), -EBADMSG);
}

/* One bit, one length or one cut: refused, or taken as what it now says; never read beyond. */
TEST(page_decode_survives_mutation) {
    size_t size = page_encoded_size(&sample), refused = 0, taken = 0;
    char *good = malloc(size);
    unsigned seed = 5;
    page_encode(&sample, good);
    for (int round = 0; round < 200000; round++) {
        size_t len = rand_r(&seed) % 4 ? size : (size_t)rand_r(&seed) % (size + 1);
        char *bytes = malloc(len ? len : 1); /* of its own, so that a read beyond is seen */
        memcpy(bytes, good, len);
        for (int n = rand_r(&seed) % 3; n >= 0 && len; n--) {
            bytes[(size_t)rand_r(&seed) % len] ^= (char)(1 << rand_r(&seed) % 8);
        }
        struct page page;
        if (page_decode(bytes, len, &page) < 0) {
            refused++;
        } else {
            size_t cursor = 0, url_len, links = 0;
            const char *url;
            while (page_next_link(&page, &cursor, &url, &url_len)) {
                links++;
            }
            CHECK_EQ(links, page.link_count);
            char *again = malloc(len + 1);
            CHECK_EQ(page_encode(&page, again), len);
            CHECK_EQ(memcmp(again, bytes, len), 0); /* nothing was taken that was not looked at */
            free(again);
            taken++;
        }
        free(bytes);
    }
    CHECK(refused > 1000 && taken > 100);
    free(good);
}

TEST(page_content_types) {
    char charset[16];
    CHECK(page_is_html("text/html"));
    CHECK(page_is_html("Text/HTML; charset=utf-8"));
    CHECK(page_is_html("application/xhtml+xml"));
    CHECK(page_is_html(NULL));
    CHECK(page_is_html(""));
    CHECK(!page_is_html("text/plain"));
    CHECK(!page_is_html("text/htmlx"));
    CHECK(page_charset("text/html; Charset=\"UTF-8\"", charset, sizeof(charset)));
    CHECK_STR(charset, "UTF-8");
    CHECK(page_charset("text/html;charset=latin1;x=y", charset, sizeof(charset)));
    CHECK_STR(charset, "latin1");
    CHECK(!page_charset("text/html", charset, sizeof(charset)));
    CHECK(!page_charset(NULL, charset, sizeof(charset)));
    CHECK(!page_charset("text/html; charset=", charset, sizeof(charset)));
    CHECK(!page_charset("text/html; charset=longer-than-it-may-be", charset, sizeof(charset)));
}
