/* robots.txt: RFC 9309's groups, longest match, wildcards, percent-encoding, statuses, bounds. */
#include "crawl/robots.h"

#include "test.h"

static struct robots *rules(const char *body) {
    struct robots *robots;
    CHECK_EQ(robots_new(200, body, strlen(body), ROBOTS_TOKEN, &robots), 0);
    return robots;
}

static bool allows(const char *body, const char *target) {
    struct robots *robots = rules(body);
    bool allowed = robots_allowed(robots, target);
    robots_free(robots);
    return allowed;
}

TEST(robots_nothing_said_allows) {
    CHECK(allows("", "/"));
    CHECK(allows("User-agent: other\nDisallow: /\n", "/x"));
    CHECK(allows("Disallow: /\n", "/x")); /* a rule before any group is of no group */
    CHECK(allows("User-agent: *\nDisallow:\n", "/x"));
}

TEST(robots_groups) {
    const char *body = "User-Agent: *\n"
                       "Disallow: *.gif$\n"
                       "Disallow: /example/\n"
                       "Allow: /publications/\n"
                       "\n"
                       "User-Agent: foobot\n"
                       "Disallow:/\n"
                       "Allow:/example/page.html\n"
                       "Allow:/example/allowed.gif\n"
                       "\n"
                       "User-Agent: barbot\n"
                       "User-Agent: bazbot\n"
                       "Disallow: /example/page.html\n"
                       "\n"
                       "User-Agent: quxbot\n";
    static const struct {
        const char *token, *target;
        bool allowed;
    } cases[] = {
        {"trine", "/", true},
        {"trine", "/a.gif", false},
        {"trine", "/a.gif?x", true},
        {"trine", "/example/page.html", false},
        {"trine", "/publications/x", true},
        {"foobot", "/", false},
        {"foobot", "/example/page.html", true},
        {"foobot", "/example/allowed.gif", true},
        {"foobot", "/example/other.html", false},
        {"barbot", "/example/page.html", false},
        {"barbot", "/a.gif", true},
        {"bazbot", "/example/page.html", false},
        {"quxbot", "/example/page.html", true},
        {"FooBot", "/", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct robots *robots;
        CHECK_EQ(robots_new(200, body, strlen(body), cases[i].token, &robots), 0);
        if (robots_allowed(robots, cases[i].target) != cases[i].allowed) {
            test_fail(__FILE__, __LINE__, "%s %s", cases[i].token, cases[i].target);
        }
        robots_free(robots);
    }
}

TEST(robots_groups_of_one_token_are_one) {
    const char *body = "user-agent: trine\ndisallow: /a\n\nuser-agent: x\ndisallow: /c\n\n"
                       "user-agent: TRINE/2.0\ndisallow: /b\n\nuser-agent: *\ndisallow: /\n";
    CHECK(!allows(body, "/a"));
    CHECK(!allows(body, "/b"));
    CHECK(allows(body, "/c"));
    CHECK(allows("User-agent: trinebot\nDisallow: /\n", "/"));
    CHECK(allows("User-agent: tri\nDisallow: /\n", "/"));
    CHECK(allows("User-agent: trine2\nDisallow: /\n", "/"));
    /* What is no rule neither ends a list of agents nor a group. */
    CHECK(!allows("User-agent: trine\nCrawl-delay: 5\nUser-agent: x\nDisallow: /\n", "/"));
    CHECK(!allows("User-agent: trine\nSitemap: /s\n\nDisallow: /a\n", "/a"));
}

TEST(robots_longest_match) {
    const char *body = "User-Agent: trine\n"
                       "Allow: /example/page/\n"
                       "Disallow: /example/page/disallowed.gif\n";
    CHECK(!allows(body, "/example/page/disallowed.gif"));
    CHECK(allows(body, "/example/page/x"));
    CHECK(allows("User-agent: *\nDisallow: /p\nAllow: /p\n", "/p"));
    CHECK(allows("User-agent: *\nAllow: /p\nDisallow: /p\n", "/p"));
    CHECK(!allows("User-agent: *\nAllow: /\nDisallow: /p\n", "/page"));
    CHECK(allows("User-agent: *\nDisallow: /\nAllow: /$\n", "/"));
    CHECK(!allows("User-agent: *\nDisallow: /\nAllow: /$\n", "/x"));
}

TEST(robots_wildcards) {
    CHECK(!allows("User-agent: *\nDisallow: /a*b\n", "/aXXbYY"));
    CHECK(!allows("User-agent: *\nDisallow: /a*b$\n", "/abXb"));
    CHECK(allows("User-agent: *\nDisallow: /a*b$\n", "/abX"));
    CHECK(!allows("User-agent: *\nDisallow: *\n", "/"));
    CHECK(!allows("User-agent: *\nDisallow: /*?id=\n", "/x?id=3"));
    CHECK(!allows("User-agent: *\nDisallow: /a**$\n", "/abc"));
    CHECK(!allows("User-agent: *\nDisallow: /a$b\n", "/a$bc")); /* "$" but at the end is itself */
    CHECK(allows("User-agent: *\nDisallow: $\n", "/"));
    CHECK(allows("User-agent: *\nDisallow: /Page\n", "/page"));
}

/* The table of section 2.2.2. */
TEST(robots_percent_encoding) {
    static const struct {
        const char *rule, *target;
        bool matches;
    } cases[] = {
        {"/foo/bar?baz=quz", "/foo/bar?baz=quz", true},
        {"/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", true},
        {"/foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", true},
        {"/foo/bar", "/foo%2Fbar", false},
        {"/foo/bar/\xE3\x83\x84", "/foo/bar/%E3%83%84", true},
        {"/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", true},
        {"/foo/bar/%62%61%7A", "/foo/bar/baz", true},
        {"/foo/bar/baz", "/foo/bar/%62az", true},
        {"/path/file-with-a-%2A.html", "/path/file-with-a-xyz.html", false},
        {"/path/file-with-a-%2A.html", "/path/file-with-a-%2a.html", true},
        {"/path/foo-%24", "/path/foo-", false},
        {"/path/foo-%24", "/path/foo-%24", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char body[200];
        snprintf(body, sizeof(body), "User-agent: *\nDisallow: %s\n", cases[i].rule);
        if (allows(body, cases[i].target) == cases[i].matches) {
            test_fail(__FILE__, __LINE__, "%s %s", cases[i].rule, cases[i].target);
        }
    }
}

TEST(robots_lines) {
    CHECK(!allows("\xEF\xBB\xBFUser-agent: *\nDisallow: /a\n", "/a"));
    CHECK(!allows("User-agent: *\r\nDisallow: /a\r\n", "/a"));
    CHECK(!allows("User-agent: *\rDisallow: /a", "/a"));
    CHECK(!allows(" USER-AGENT\t: *  # all\n\tdisallow :  /a # b\n", "/a"));
    CHECK(allows("User-agent: *\nDisallow /a\nDisalow: /a\n", "/a"));
    CHECK(allows("User-agent: *\nDisallow: # /a\n", "/a"));
    CHECK(allows("User-agent: *\nDisallow: /\n", "/robots.txt"));
}

TEST(robots_status) {
    static const int all[] = {301, 302, 400, 401, 403, 404, 410, 499};
    static const int none[] = {0, 429, 500, 503, 599};
    struct robots *robots;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        CHECK_EQ(robots_new(all[i], "User-agent: *\nDisallow: /\n", 26, "trine", &robots), 0);
        CHECK(robots_allowed(robots, "/x"));
        robots_free(robots);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        CHECK_EQ(robots_new(none[i], NULL, 0, "trine", &robots), 0);
        CHECK(!robots_allowed(robots, "/x"));
        CHECK(robots_allowed(robots, "/robots.txt"));
        robots_free(robots);
    }
}

TEST(robots_only_500_kib_are_read) {
    size_t len = ROBOTS_MAX + 100;
    char *body = malloc(len);
    memset(body, '\n', len);
    snprintf(body, 30, "User-agent: *\nDisallow: /a\n");
    snprintf(body + ROBOTS_MAX, 30, "Disallow: /b\n");
    struct robots *robots;
    CHECK_EQ(robots_new(200, body, len, "trine", &robots), 0);
    CHECK(!robots_allowed(robots, "/a"));
    CHECK(robots_allowed(robots, "/b"));
    robots_free(robots);
    free(body);
}

/* A pattern of stars is the worst for a matcher that backtracks; the watchdog ends it if so. */
TEST(robots_hostile_patterns_end) {
    char body[2200] = "User-agent: *\nDisallow: /", target[4096];
    for (int i = 0; i < 1000; i++) {
        strncat(body, "a*", sizeof(body) - strlen(body) - 1);
    }
    strncat(body, "b$\n", sizeof(body) - strlen(body) - 1);
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    target[sizeof(target) - 1] = '\0';
    CHECK(allows(body, target));
    target[sizeof(target) - 2] = 'b';
    CHECK(!allows(body, target));
}

TEST(robots_any_bytes) {
    static const char alphabet[] = "\n\r:*$%2aF #/\xff trineuser-agent:disallow:allow: *\n";
    unsigned seed = 7;
    size_t refused = 0;
    for (int round = 0; round < 20000; round++) {
        char body[300] = "user-agent: *\ndisallow: /";
        for (size_t i = 25; i < sizeof(body); i++) {
            body[i] = alphabet[(size_t)rand_r(&seed) % sizeof(alphabet)];
        }
        struct robots *robots;
        CHECK_EQ(robots_new(200, body, (size_t)rand_r(&seed) % sizeof(body), "trine", &robots), 0);
        refused += !robots_allowed(robots, "/aF%2a");
        robots_free(robots);
    }
    CHECK(refused > 10);
}
