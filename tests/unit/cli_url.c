/* URLs of the frontier: normal form, RFC 3986 section 5.4, what is refused, parts. */
#include "crawl/url.h"

#include "test.h"

static const char *normal(const char *url) {
    static char out[URL_MAX];
    const char *error = "no error set";
    return url_normalise(url, strlen(url), out, NULL, &error) == 0 ? out : error;
}

TEST(url_normal_form) {
    static const char *const cases[][2] = {
        {"HTTP://Example.COM", "http://example.com/"},
        {"http://a:80/x", "http://a/x"},
        {"https://a:443", "https://a/"},
        {"https://a:80/", "https://a:80/"},
        {"http://a:/x", "http://a/x"},
        {"http://a:0081/", "http://a:81/"},
        {"http://a?q", "http://a/?q"},
        {"http://a#f", "http://a/"},
        {"http://a/b#f?x", "http://a/b"},
        {"http://a/b/../c/./d", "http://a/c/d"},
        {"http://a/../../b", "http://a/b"},
        {"http://a/b/..", "http://a/"},
        {"http://a/b/.", "http://a/b/"},
        {"http://a/b//c/../d", "http://a/b//d"},
        {"http://a/...", "http://a/..."},
        {"http://a/..b/.c", "http://a/..b/.c"},
        {"http://a/%7e%2f%2E%2e/%ab", "http://a/%7E%2F%2E%2E/%AB"},
        {"http://a/100%", "http://a/100%25"},
        {"http://a/%zz%4", "http://a/%25zz%254"},
        {"http://a/b c?d e", "http://a/b%20c?d%20e"},
        {"http://a/\xc3\xa4?\xff", "http://a/%C3%A4?%FF"},
        {"http://a/<\"`{|}^>", "http://a/%3C%22%60%7B%7C%7D%5E%3E"},
        {"http://a/?x=a/../b?c", "http://a/?x=a/../b?c"},
        {"  \n http://a/b \t", "http://a/b"},
        {"http://a/b\n\tc", "http://a/bc"},
        {"http:\\\\a\\b\\..\\c", "http://a/c"},
        {"http://a?b\\c", "http://a/?b%5Cc"},
        {"http://[::1]:8080/x", "http://[::1]:8080/x"},
        {"http://[FE80::1]", "http://[fe80::1]/"},
        {"http://User:Pw@Host/", "http://User:Pw@host/"},
        {"http://u@v@h/", "http://u@v@h/"},
        {"http://b\xc3\xbc.de/", "http://b%C3%BC.de/"},
        {"http://a_b.c-d.e/", "http://a_b.c-d.e/"},
        {"http://1.2.3.4:65535/", "http://1.2.3.4:65535/"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK_STR(normal(cases[i][0]), cases[i][1]);
        CHECK_STR(normal(cases[i][1]), cases[i][1]); /* normal is normal */
    }
}

TEST(url_bad_ones_say_why) {
    static const char *const cases[][2] = {
        {"", "it does not begin with http:// or https://"},
        {"example.com/x", "it does not begin with http:// or https://"},
        {"/x", "it does not begin with http:// or https://"},
        {"ftp://a/", "it is neither http: nor https:"},
        {"httpx://a/", "it is neither http: nor https:"},
        {"mailto:a@b", "it is neither http: nor https:"},
        {"http:", "it has no host"},
        {"http:/a", "it has no host"},
        {"http://", "it has no host"},
        {"http:///a", "it has no host"},
        {"http://u@/a", "it has no host"},
        {"http://:80/", "it has no host"},
        {"http://a b/", "its host has a character that no host has"},
        {"http://a\x01/", "its host has a character that no host has"},
        {"http://[::1/", "its IPv6 address has no end"},
        {"http://[::1%25eth0]/", "its host has a character that no host has"},
        {"http://a:x/", "its port is no number up to 65535"},
        {"http://a:65536/", "its port is no number up to 65535"},
        {"http://a:99999999999999999999/", "its port is no number up to 65535"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK_STR(normal(cases[i][0]), cases[i][1]);
    }
}

TEST(url_length_is_bounded) {
    static char url[4 * URL_MAX + 1] = "http://h/", out[URL_MAX];
    const char *error = NULL;
    size_t len;
    memset(url + 9, 'a', 4 * URL_MAX - 9);
    CHECK_EQ(url_normalise(url, URL_MAX - 1, out, &len, NULL), 0);
    CHECK_EQ(len, URL_MAX - 1);
    CHECK_EQ(strlen(out), URL_MAX - 1);
    CHECK_EQ(url_normalise(url, URL_MAX, out, &len, &error), -ENAMETOOLONG);
    CHECK_STR(error, "it is longer than 8191 bytes");
    memset(url + 9, ' ', 4000);
    CHECK_EQ(url_normalise(url, 4100, out, &len, &error), -ENAMETOOLONG); /* %20 is longer */
    memset(url + 7, 'h', 4 * URL_MAX - 7);
    CHECK_EQ(url_normalise(url, 4 * URL_MAX, out, NULL, NULL), -ENAMETOOLONG);
    struct url_base base;
    CHECK_EQ(url_base_init(&base, "http://a/b/", 11), 0);
    CHECK_EQ(url_resolve(&base, url + 7, URL_MAX - 2, out, &len), -ENAMETOOLONG);
    CHECK_EQ(url_resolve(&base, url, 4 * URL_MAX, out, &len), -ENAMETOOLONG);
}

static const char *resolved(const char *base_url, const char *ref) {
    static char out[URL_MAX];
    struct url_base base;
    size_t len = 0;
    CHECK_EQ(url_base_init(&base, base_url, strlen(base_url)), 0);
    int status = url_resolve(&base, ref, strlen(ref), out, &len);
    if (status == 0) {
        CHECK_EQ(strlen(out), len);
    }
    return status == 0 ? out : status == -EINVAL ? "EINVAL" : "another error";
}

/* RFC 3986 section 5.4: "normal" and "abnormal", less fragments, which are dropped. */
TEST(url_resolves_the_rfc_examples) {
    static const char *const cases[][2] = {
        {"g:h", "EINVAL"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g"},
        {"g#s/../x", "http://a/b/c/g"},
        {"http:g", "http://a/b/c/g"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK_STR(resolved("http://a/b/c/d;p?q", cases[i][0]), cases[i][1]);
    }
}

TEST(url_resolves_what_pages_hold) {
    CHECK_STR(resolved("https://h:8080", "x?a=b"), "https://h:8080/x?a=b");
    CHECK_STR(resolved("https://h/a", "//o:443/b"), "https://o/b");
    CHECK_STR(resolved("http://h/a", "HTTPS://O/b"), "https://o/b");
    CHECK_STR(resolved("http://h/a", "https:b"), "EINVAL");
    CHECK_STR(resolved("http://h/a", "javascript:void(0)"), "EINVAL");
    CHECK_STR(resolved("http://h/a", "mailto:x@y"), "EINVAL");
    CHECK_STR(resolved("http://h/a", "http://"), "EINVAL");
    CHECK_STR(resolved("http://h/a", "//"), "EINVAL");
    CHECK_STR(resolved("http://h/a/b", " c d.html\n"), "http://h/a/c%20d.html");
    CHECK_STR(resolved("http://h/a/b", "..\\c"), "http://h/c");
    CHECK_STR(resolved("http://h/a/b", "a/b:c"), "http://h/a/a/b:c");
    CHECK_STR(resolved("http://h/a/b", "./b:c"), "http://h/a/b:c");
    CHECK_STR(resolved("http://h/a/b", "\xc3\xa4"), "http://h/a/%C3%A4");
    CHECK_STR(resolved("http://h/a/b?q", "#"), "http://h/a/b?q");
    CHECK_STR(resolved("http://h/a//b", ".."), "http://h/a/");
    CHECK_STR(resolved("http://h/a//b", "../.."), "http://h/");
    CHECK_STR(resolved("http://u:p@h/a", "b"), "http://u:p@h/b");
}

TEST(url_parts) {
    char site[URL_MAX];
    size_t len;
    const char *host = url_host("https://u:p@example.com:8443/a@b:c/?d", &len);
    CHECK_EQ(len, 11);
    CHECK_EQ(memcmp(host, "example.com", 11), 0);
    host = url_host("http://[::1]:80/", &len);
    CHECK_EQ(len, 5);
    CHECK_EQ(memcmp(host, "[::1]", 5), 0);
    CHECK_STR(url_target("http://a/b?c"), "/b?c");
    CHECK_EQ(url_site("https://u:p@e.com:8443/a", site), 18);
    CHECK_STR(site, "https://e.com:8443");
    CHECK(url_same_host("http://a/x", "https://a:81/y"));
    CHECK(!url_same_host("http://a/x", "http://ab/x"));
    CHECK(!url_same_host("http://[::1]/", "http://[::2]/"));
    CHECK(url_same_site("http://a:81/x", "http://u@a:81/y"));
    CHECK(!url_same_site("http://a/x", "https://a/x"));
    CHECK(!url_same_site("http://a/x", "http://a:81/x"));
}

/* Any bytes: what is accepted is plain ASCII and stays what it is when normalised again. */
TEST(url_any_bytes) {
    static const char alphabet[] = "http://a.b:80/..?#%\\[]@ \t\xc3\xa4 2fF";
    char in[64], once[URL_MAX], twice[URL_MAX];
    struct url_base base;
    unsigned seed = 1;
    size_t accepted = 0;
    CHECK_EQ(url_base_init(&base, "http://h/p/q?r", 14), 0);
    for (int round = 0; round < 200000; round++) {
        size_t len = (size_t)rand_r(&seed) % sizeof(in);
        for (size_t i = 0; i < len; i++) {
            in[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
        }
        if (url_resolve(&base, in, len, once, NULL) == 0) {
            accepted++;
            for (const char *c = once; *c; c++) {
                CHECK(*c > ' ' && *c < 127 && *c != '#');
            }
            CHECK_EQ(url_normalise(once, strlen(once), twice, NULL, NULL), 0);
            CHECK_STR(twice, once);
        }
    }
    CHECK(accepted > 1000);
}
