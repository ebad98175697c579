/* http_get.c - what trine_http_get brings back, from a scripted server: bodies, headers, redirects,
 * errors; here from a plain thread (http_where.c has the others). */
#include "http_server.h"

#include <trine/http.h>

static trine_http *http;
static trine_http_response page;

static void start_with(const trine_http_opts *opts) {
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    server_start();
    CHECK_OK(trine_http_open(&http, opts));
}

static void start(void) {
    start_with(NULL);
}

static void stop(void) {
    trine_http_response_free(&page);
    CHECK(!page.body.ptr && !page.url);
    trine_http_close(&http);
    CHECK(!http);
    server_stop();
}

static int get(const char *path) {
    return trine_http_get(http, server_url("127.0.0.1", path), &page);
}

static const char *body(void) {
    return page.body.ptr;
}

TEST(a_page_comes_whole) {
    start();
    CHECK_OK(get("/hello"));
    CHECK_EQ(page.status, 200);
    CHECK_EQ(page.body.len, 5);
    CHECK_STR(body(), "hello");
    CHECK_STR(page.content_type, "text/plain");
    CHECK_STR(page.url, server_url("127.0.0.1", "/hello"));
    CHECK_STR(page.error, "");
    CHECK_EQ(page.redirects, 0);
    CHECK(page.elapsed > 0);
    stop();
}

TEST(headers_are_found_without_case) {
    start();
    CHECK_OK(get("/hello"));
    CHECK_STR(trine_http_header(&page, "content-TYPE", 0), "text/plain");
    CHECK_STR(trine_http_header(&page, "X-Twice", 0), "one");
    CHECK_STR(trine_http_header(&page, "X-Twice", 1), "two");
    CHECK(!trine_http_header(&page, "X-Twice", 2));
    CHECK(!trine_http_header(&page, "X-Twi", 0));
    CHECK(!trine_http_header(&page, "Missing", 0));
    stop();
}

TEST(a_404_is_a_response) {
    start();
    CHECK_OK(get("/nothing"));
    CHECK_EQ(page.status, 404);
    CHECK_STR(body(), "none");
    CHECK_STR(page.content_type, "");
    stop();
}

TEST(one_connection_serves_many_requests) {
    start();
    for (int i = 0; i < 20; i++)
        CHECK_OK(get("/hello"));
    CHECK_EQ(server_read(&server.requests), 20);
    CHECK_EQ(server_read(&server.connections), 1);
    stop();
}

TEST(a_connection_that_the_server_closed_is_replaced) {
    start();
    for (int i = 1; i <= 3; i++) {
        CHECK_OK(get("/last"));
        server_await(&server.ended, i);
        CHECK_OK(get("/last"));
        CHECK_STR(body(), "last");
        server_await(&server.ended, ++i);
    }
    CHECK_EQ(server_read(&server.connections), server_read(&server.requests));
    stop();
}

TEST(headers_have_a_cap) {
    start();
    CHECK_EQ(get("/headers"), -EFBIG);
    CHECK_OK(get("/hello"));
    stop();
}

TEST(a_response_used_again_keeps_its_memory) {
    start();
    CHECK_OK(get("/large"));
    CHECK_EQ(page.body.len, 100000);
    void *memory = page.body.ptr;
    CHECK_OK(get("/hello"));
    CHECK_EQ(page.body.len, 5);
    CHECK(page.body.ptr == memory);
    CHECK_OK(get("/large"));
    CHECK(page.body.ptr == memory);
    stop();
}

TEST(chunked_bodies_are_joined) {
    start();
    CHECK_OK(get("/chunked"));
    CHECK_STR(body(), "hello, world");
    stop();
}

TEST(gzip_is_asked_for_and_unpacked) {
    start();
    CHECK_OK(get("/gzip"));
    CHECK_EQ(page.body.len, 600);
    CHECK_EQ(strncmp(body(), "words words ", 12), 0);
    CHECK_OK(get("/echo"));
    CHECK(strstr(body(), "Accept-Encoding:") && strstr(body(), "gzip"));
    stop();
}

TEST(bad_gzip_is_bad_content) {
    start();
    CHECK_EQ(get("/badgzip"), -EBADMSG);
    CHECK(page.error[0]);
    stop();
}

TEST(a_body_over_the_cap_is_refused) {
    const trine_http_opts opts = {.size = sizeof(opts), .max_body = 99999};
    start_with(&opts);
    CHECK_EQ(get("/large"), -EFBIG);
    CHECK(strstr(page.error, "99999"));
    CHECK(page.body.len <= 99999);
    CHECK_OK(get("/hello"));
    stop();
}

TEST(a_body_as_large_as_the_cap_passes) {
    const trine_http_opts opts = {.size = sizeof(opts), .max_body = 100000};
    start_with(&opts);
    CHECK_OK(get("/large"));
    CHECK_EQ(page.body.len, 100000);
    stop();
}

TEST(the_cap_counts_unpacked_bytes) {
    const trine_http_opts opts = {.size = sizeof(opts), .max_body = 599};
    start_with(&opts);
    CHECK_EQ(get("/gzip"), -EFBIG); /* 32 bytes on the wire */
    stop();
}

TEST(a_server_that_dies_is_an_error) {
    start();
    CHECK_EQ(get("/dies"), -ECONNRESET);
    CHECK_EQ(page.status, 200);
    CHECK(page.error[0]);
    CHECK_EQ(get("/silent"), -ECONNRESET);
    CHECK_EQ(page.status, 0);
    CHECK_EQ(get("/garbage"), -EPROTO);
    CHECK_OK(get("/hello"));
    CHECK_STR(page.error, "");
    stop();
}

TEST(a_refused_connection_says_so) {
    start();
    char url[64];
    snprintf(url, sizeof(url), "%s", server_url("127.0.0.1", "/hello"));
    server_stop();
    CHECK_EQ(trine_http_get(http, url, &page), -ECONNREFUSED);
    CHECK(strstr(page.error, "127.0.0.1"));
    CHECK_STR(page.url, url);
    CHECK_EQ(page.status, 0);
    trine_http_response_free(&page);
    trine_http_close(&http);
}

TEST(what_is_no_url_is_refused) {
    static const struct {
        const char *url;
        int error;
    } bad[] = {{"", -EINVAL},
               {"no scheme", -EINVAL},
               {"http://", -EINVAL},
               {"http://a b/", -EINVAL},
               {"http://h:99999/", -EINVAL},
               {"ftp://127.0.0.1/", -EPROTONOSUPPORT},
               {"file:///etc/passwd", -EPROTONOSUPPORT},
               {"gopher://127.0.0.1/", -EPROTONOSUPPORT},
               {"mailto:a@b", -EPROTONOSUPPORT}};
    CHECK_OK(trine_http_open(&http, NULL));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK_EQ(trine_http_get(http, bad[i].url, &page), bad[i].error);
        CHECK(bad[i].url[0] ? strstr(page.error, bad[i].url) != NULL : page.error[0] != '\0');
    }
    trine_http_response_free(&page);
    trine_http_close(&http);
}

TEST(redirects_are_followed) {
    start();
    CHECK_OK(get("/redirect/302/4"));
    CHECK_EQ(page.status, 200);
    CHECK_EQ(page.redirects, 4);
    CHECK_STR(page.url, server_url("127.0.0.1", "/echo"));
    CHECK_EQ(strncmp(body(), "GET /echo", 9), 0);
    CHECK_EQ(server_read(&server.connections), 1);
    CHECK_OK(get("/to?/hello%23part"));
    CHECK_EQ(page.status, 404);
    CHECK_OK(get("/to?/hello#part"));
    CHECK_STR(page.url, server_url("127.0.0.1", "/hello"));
    stop();
}

TEST(redirects_have_a_limit) {
    const trine_http_opts opts = {.size = sizeof(opts), .max_redirects = 3};
    start_with(&opts);
    CHECK_OK(get("/redirect/301/3"));
    CHECK_EQ(get("/redirect/301/4"), -ELOOP);
    CHECK_EQ(page.redirects, 3);
    CHECK_EQ(page.status, 301);
    stop();
}

TEST(redirects_can_be_left_alone) {
    const trine_http_opts opts = {.size = sizeof(opts), .max_redirects = -1};
    start_with(&opts);
    CHECK_OK(get("/redirect/307/1"));
    CHECK_EQ(page.status, 307);
    CHECK_STR(trine_http_header(&page, "Location", 0), "/echo");
    stop();
}

TEST(a_redirect_to_another_scheme_is_refused) {
    start();
    CHECK_EQ(get("/to?file:///etc/passwd"), -EPROTONOSUPPORT);
    CHECK(strstr(page.error, "file:///etc/passwd"));
    CHECK_EQ(page.status, 302);
    stop();
}

static int send_to(const char *path, const char *method, const char *text) {
    static const char *const headers[] = {"Authorization: secret", "X-Kept: yes"};
    const trine_http_request request = {.size = sizeof(request),
                                        .url = server_url("127.0.0.1", path),
                                        .method = method,
                                        .headers = headers,
                                        .header_count = 2,
                                        .body = {text, text ? strlen(text) : 0}};
    return trine_http_send(http, &request, &page);
}

TEST(methods_and_bodies_are_sent) {
    start();
    CHECK_OK(send_to("/echo", "PUT", "content"));
    CHECK_EQ(strncmp(body(), "PUT /echo", 9), 0);
    CHECK(strstr(body(), "\r\n\r\ncontent"));
    CHECK(strstr(body(), "Content-Length: 7\r\n"));
    CHECK(!strcasestr(body(), "content-type"));
    CHECK(!strcasestr(body(), "expect"));
    CHECK_OK(send_to("/echo", "POST", NULL));
    CHECK(strstr(body(), "Content-Length: 0\r\n"));
    CHECK_OK(send_to("/echo", NULL, "x"));
    CHECK_EQ(strncmp(body(), "POST ", 5), 0);
    CHECK_OK(send_to("/echo", "DELETE", NULL));
    CHECK_EQ(strncmp(body(), "DELETE ", 7), 0);
    CHECK_OK(send_to("/head", "HEAD", NULL));
    CHECK_EQ(page.body.len, 0);
    CHECK_OK(get("/echo")); /* nothing of it sticks to the handle that is used again */
    CHECK_EQ(strncmp(body(), "GET ", 4), 0);
    CHECK(!strstr(body(), "secret") && !strstr(body(), "Content-Length"));
    CHECK_EQ(server_read(&server.connections), 1);
    stop();
}

TEST(redirects_change_the_method_as_they_should) {
    start();
    CHECK_OK(send_to("/redirect/302/1", "POST", "content"));
    CHECK_EQ(strncmp(body(), "GET ", 4), 0);
    CHECK(!strstr(body(), "content"));
    CHECK_OK(send_to("/redirect/303/1", "PUT", "content"));
    CHECK_EQ(strncmp(body(), "GET ", 4), 0);
    CHECK_OK(send_to("/redirect/307/1", "POST", "content"));
    CHECK_EQ(strncmp(body(), "POST ", 5), 0);
    CHECK(strstr(body(), "\r\n\r\ncontent"));
    CHECK_OK(send_to("/redirect/308/1", "PUT", "content"));
    CHECK_EQ(strncmp(body(), "PUT ", 4), 0);
    stop();
}

TEST(credentials_stay_with_their_host) {
    static const char *const headers[] = {"Cookie: mine", "X-All: yes"};
    const trine_http_opts opts = {.size = sizeof(opts), .headers = headers, .header_count = 2};
    start_with(&opts);
    char path[256];
    snprintf(path, sizeof(path), "/to?%s", server_url("127.0.0.1", "/echo"));
    CHECK_OK(send_to(path, "GET", NULL));
    CHECK(strstr(body(), "secret") && strstr(body(), "mine"));
    snprintf(path, sizeof(path), "/to?%s", server_url("localhost", "/echo"));
    CHECK_OK(send_to(path, "GET", NULL));
    CHECK(!strstr(body(), "secret") && !strstr(body(), "mine"));
    CHECK(strstr(body(), "X-Kept: yes") && strstr(body(), "X-All: yes"));
    CHECK_OK(get(path));
    CHECK(!strstr(body(), "mine") && strstr(body(), "X-All: yes"));
    stop();
}

TEST(the_sessions_headers_are_sent_and_replaced) {
    static const char *const headers[] = {"X-One: session", "X-Kept: session", "X-Empty:"};
    const trine_http_opts opts = {.size = sizeof(opts),
                                  .headers = headers,
                                  .header_count = 3,
                                  .user_agent = "agent/7"};
    start_with(&opts);
    CHECK_OK(get("/echo"));
    CHECK(strstr(body(), "X-One: session\r\n") && strstr(body(), "User-Agent: agent/7\r\n"));
    CHECK(strstr(body(), "X-Empty:\r\n"));
    CHECK_OK(send_to("/echo", "GET", NULL));
    CHECK(strstr(body(), "X-One: session\r\n") && strstr(body(), "X-Kept: yes\r\n"));
    CHECK(!strstr(body(), "X-Kept: session"));
    stop();
}

TEST(the_agent_is_trine) {
    start();
    CHECK_OK(get("/echo"));
    CHECK(strstr(body(), "User-Agent: trine/" TRINE_VERSION "\r\n"));
    stop();
}

TEST(unsound_headers_are_refused) {
    static const char *const bad[] = {"no colon", ": no name", "A: b\r\nC: d", "A b: c", ""};
    start();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const trine_http_opts opts = {.size = sizeof(opts), .headers = &bad[i], .header_count = 1};
        trine_http *none = NULL;
        CHECK_EQ(trine_http_open(&none, &opts), -EINVAL);
        const trine_http_request request = {.size = sizeof(request),
                                            .url = server_url("127.0.0.1", "/echo"),
                                            .headers = &bad[i],
                                            .header_count = 1};
        CHECK_EQ(trine_http_send(http, &request, &page), -EINVAL);
    }
    CHECK_EQ(server_read(&server.requests), 0);
    stop();
}

TEST(a_missing_ca_file_is_named_at_once) {
    const trine_http_opts opts = {.size = sizeof(opts), .ca_file = "/nonexistent/ca.pem"};
    CHECK_EQ(trine_http_open(&http, &opts), -ENOENT);
}

TEST(no_session_means_the_processes_own) {
    server_start();
    for (int i = 0; i < 3; i++)
        CHECK_OK(trine_http_get(NULL, server_url("127.0.0.1", "/hello"), &page));
    CHECK_STR(body(), "hello");
    CHECK_EQ(server_read(&server.connections), 1);
    trine_http_response_free(&page);
    server_stop();
}

TEST(links_are_resolved) {
    static const struct {
        const char *base, *reference, *outcome;
    } cases[] = {{"http://a/b/c/d?q", "g", "http://a/b/c/g"},
                 {"http://a/b/c/d?q", "../g", "http://a/b/g"},
                 {"http://a/b/c/d?q", "../../../g", "http://a/g"},
                 {"http://a/b/c/d?q", "/g", "http://a/g"},
                 {"http://a/b/c/d?q", "//g", "http://g/"},
                 {"http://a/b/c/d?q", "?y", "http://a/b/c/d?y"},
                 {"http://a/b/c/d?q#old", "", "http://a/b/c/d?q"},
                 {"http://a/b/c/d?q", "g#s", "http://a/b/c/g#s"},
                 {"http://a/b/c/d?q", "./", "http://a/b/c/"},
                 {"http://a", "x y", "http://a/x%20y"},
                 {"http://a/b", "https://c/d", "https://c/d"},
                 {"http://a/b", "HTTP://c/d", "http://c/d"}};
    trine_buf url = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK_OK(trine_url_join(cases[i].base, cases[i].reference, &url));
        CHECK_STR((char *)url.ptr, cases[i].outcome);
        CHECK_EQ(url.len, strlen(cases[i].outcome));
    }
    CHECK_EQ(trine_url_join("http://a/", "mailto:x@y", &url), -EPROTONOSUPPORT);
    CHECK_EQ(trine_url_join("http://a/", "javascript:void(0)", &url), -EPROTONOSUPPORT);
    CHECK_EQ(trine_url_join("nothing", "x", &url), -EINVAL);
    CHECK_STR((char *)url.ptr, "http://c/d"); /* untouched by failures */
    trine_buf_free(&url);
}
