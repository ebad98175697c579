/*
 * robots.txt: RFC 9309's groups, rules and longest match.
 *
 * The file is read once, line by line; only the rules of the groups that are ours are kept: those
 * of all groups that name our token, or, when none does, those of all groups for "*". A pattern is
 * kept in one normal form of percent-encoding and a target is brought into it before it is matched:
 * %xx of an unreserved character is decoded, and behind "?" those of ":", "/", "?" and "@" too,
 * other %xx get upper-case digits, bytes outside ASCII are encoded (section 2.2.2).
 *
 * Matching is the usual greedy walk with one step back to the last "*", which takes at most
 * pattern * target steps; a recursive matcher or a regular expression would let a file of a
 * stranger take exponential time.
 */
#include "robots.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TARGET_MAX = 8192 }; /* a target is part of a URL, which is no longer than that */

struct rule {
    size_t pattern; /* offset into patterns, ended by NUL */
    size_t len;
    bool allow;
};

struct rules {
    struct rule *at;
    size_t len, room;
};

struct robots {
    bool all, none;    /* everything is allowed, or nothing is; else: */
    struct rules ours; /* rules of the groups that name the token */
    struct rules star; /* rules of the groups for "*" */
    bool named;        /* there is a group that names the token */
    char *patterns;
    size_t patterns_len;
};

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool is_unreserved(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

/* Writes the normal form into out, at most three bytes for each; returns its length. */
static size_t normalise(const char *in, size_t len, char *out) {
    static const char digits[] = "0123456789ABCDEF";
    size_t written = 0;
    bool in_query = false;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)in[i];
        bool escaped =
            c == '%' && len - i > 2 && hex_value(in[i + 1]) >= 0 && hex_value(in[i + 2]) >= 0;
        if (escaped) {
            c = (uint8_t)(hex_value(in[i + 1]) << 4 | hex_value(in[i + 2]));
            i += 2;
        }
        if (escaped ? is_unreserved(c) || (in_query && c && strchr(":/?@", c))
                    : c > ' ' && c < 127) {
            out[written++] = (char)c;
        } else {
            out[written++] = '%';
            out[written++] = digits[c >> 4];
            out[written++] = digits[c & 15];
        }
        in_query |= c == '?' && !escaped;
    }
    out[written] = '\0';
    return written;
}

static int add_rule(struct robots *robots, struct rules *rules, bool allow, const char *pattern,
                    size_t len) {
    if (rules->len == rules->room) {
        size_t room = rules->room ? 2 * rules->room : 16;
        struct rule *grown = realloc(rules->at, room * sizeof(*grown));
        if (!grown) {
            return -ENOMEM;
        }
        rules->at = grown;
        rules->room = room;
    }
    struct rule *rule = &rules->at[rules->len++];
    *rule = (struct rule){.pattern = robots->patterns_len, .allow = allow};
    rule->len = normalise(pattern, len, robots->patterns + robots->patterns_len);
    robots->patterns_len += rule->len + 1;
    return 0;
}

/* What the reader of lines knows: which groups the rules that follow belong to. */
struct reader {
    struct robots *robots;
    const char *token;
    bool in_agents; /* the last line that counted was a user-agent line */
    bool ours, star;
};

/* A product token ends where its characters do: "trine/1.0" names trine, "trine2" does not. */
static void read_agent(struct reader *reader, const char *value, size_t len) {
    if (!reader->in_agents) {
        reader->ours = reader->star = false;
    }
    reader->in_agents = true;
    size_t token = 0;
    while (token < len && (is_unreserved(value[token]) && value[token] != '.' &&
                           value[token] != '~' && !(value[token] >= '0' && value[token] <= '9'))) {
        token++;
    }
    bool whole = token == len || strchr("/ \t", value[token]);
    if (len >= 1 && value[0] == '*') {
        reader->star = true;
    } else if (whole && token == strlen(reader->token) &&
               strncasecmp(value, reader->token, token) == 0) {
        reader->ours = reader->robots->named = true;
    }
}

static int read_rule(struct reader *reader, bool allow, const char *value, size_t len) {
    reader->in_agents = false;
    int status = 0;
    if (len && reader->ours) { /* an empty pattern matches nothing */
        status = add_rule(reader->robots, &reader->robots->ours, allow, value, len);
    }
    if (len && reader->star && status == 0) {
        status = add_rule(reader->robots, &reader->robots->star, allow, value, len);
    }
    return status;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static int read_line(struct reader *reader, const char *line, size_t len) {
    const char *comment = memchr(line, '#', len);
    len = comment ? (size_t)(comment - line) : len;
    const char *colon = memchr(line, ':', len);
    if (!colon) {
        return 0;
    }
    const char *value = colon + 1, *end = line + len;
    while (line < colon && is_blank(*line)) {
        line++;
    }
    size_t key = (size_t)(colon - line);
    while (key && is_blank(line[key - 1])) {
        key--;
    }
    while (value < end && is_blank(*value)) {
        value++;
    }
    while (end > value && is_blank(end[-1])) {
        end--;
    }
    size_t value_len = (size_t)(end - value);
    if (key == 10 && strncasecmp(line, "user-agent", key) == 0) {
        read_agent(reader, value, value_len);
    } else if (key == 5 && strncasecmp(line, "allow", key) == 0) {
        return read_rule(reader, true, value, value_len);
    } else if (key == 8 && strncasecmp(line, "disallow", key) == 0) {
        return read_rule(reader, false, value, value_len);
    }
    return 0; /* other lines (crawl-delay, sitemap) do not even end a group's list of agents */
}

static int read_body(struct robots *robots, const char *body, size_t len, const char *token) {
    struct reader reader = {.robots = robots, .token = token};
    len = len < ROBOTS_MAX ? len : ROBOTS_MAX;
    /* Each rule may be kept twice, each byte may become three, and each has an end. */
    robots->patterns = malloc(6 * len + 2);
    if (!robots->patterns) {
        return -ENOMEM;
    }
    if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0) {
        body += 3;
        len -= 3;
    }
    int status = 0;
    while (len && status == 0) {
        size_t line = 0;
        while (line < len && body[line] != '\n' && body[line] != '\r') {
            line++;
        }
        status = read_line(&reader, body, line);
        line += line < len;
        body += line;
        len -= line;
    }
    char *fitted = realloc(robots->patterns, robots->patterns_len + 1);
    robots->patterns = fitted ? fitted : robots->patterns;
    return status;
}

int robots_new(int status, const char *body, size_t len, const char *token,
               struct robots **ret_robots) {
    struct robots *robots = calloc(1, sizeof(*robots));
    if (!robots) {
        return -ENOMEM;
    }
    int result = 0;
    if (status >= 200 && status < 300) {
        result = read_body(robots, body, len, token);
    } else if (status == 0 || status == 429 || status >= 500) {
        robots->none = true;
    } else {
        robots->all = true;
    }
    if (result < 0) {
        robots_free(robots);
        return result;
    }
    *ret_robots = robots;
    return 0;
}

void robots_free(struct robots *robots) {
    if (robots) {
        free(robots->ours.at);
        free(robots->star.at);
        free(robots->patterns);
        free(robots);
    }
}

/* True when pattern matches a beginning of target, or all of it when the pattern ends in "$". */
static bool matches(const char *pattern, size_t len, const char *target, size_t target_len) {
    bool whole = len && pattern[len - 1] == '$';
    len -= whole;
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;
    for (;;) {
        if (p < len && pattern[p] == '*') {
            star = ++p;
            star_t = t;
        } else if (p == len && (!whole || t == target_len)) {
            return true;
        } else if (p < len && t < target_len && pattern[p] == target[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX && star_t < target_len) {
            p = star;
            t = ++star_t;
        } else {
            return false;
        }
    }
}

bool robots_allowed(const struct robots *robots, const char *target) {
    char normal[3 * TARGET_MAX + 1];
    size_t len = strnlen(target, TARGET_MAX);
    if (robots->all || (len == 11 && memcmp(target, "/robots.txt", len) == 0)) {
        return true;
    }
    if (robots->none) {
        return false;
    }
    len = normalise(target, len, normal);
    const struct rules *rules = robots->named ? &robots->ours : &robots->star;
    bool allowed = true;
    size_t longest = 0;
    for (size_t i = 0; i < rules->len; i++) {
        const struct rule *rule = &rules->at[i];
        bool decides = rule->len > longest || (rule->len == longest && rule->allow && !allowed);
        if (decides && matches(robots->patterns + rule->pattern, rule->len, normal, len)) {
            longest = rule->len;
            allowed = rule->allow;
        }
    }
    return allowed;
}
