/*
 * request.c - see request.h. Strict where leniency lets two parties see different requests in the
 * same bytes (space before a colon, folded lines, lengths that contradict): those get 400. Lenient
 * where RFC 9112 asks for it: an empty line before a request, a bare LF as a line's end.
 *
 * Rejected: parsing while the head arrives (a state machine); a head nearly always comes in one
 * piece, and the cap on its size bounds the work of looking again.
 */
#include "serve/request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *at;
    size_t len;
};

static bool is_token(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.at[i]) && (!s.at[i] || !strchr("!#$%&'*+-.^_`|~", s.at[i])))
            return false;
    return s.len > 0;
}

static bool equals(struct slice s, const char *text) {
    return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

/* Cuts the next line off, without its end; false: none is complete. */
static bool next_line(struct slice *rest, struct slice *ret_line) {
    const char *end = memchr(rest->at, '\n', rest->len);
    if (!end)
        return false;
    size_t len = (size_t)(end - rest->at);
    *ret_line = (struct slice){rest->at, len && end[-1] == '\r' ? len - 1 : len};
    rest->at += len + 1;
    rest->len -= len + 1;
    return true;
}

/* Cuts off what stands before the separator; all of it when there is none. */
static struct slice cut(struct slice *rest, char separator) {
    const char *end = memchr(rest->at, separator, rest->len);
    struct slice first = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t used = first.len + (end != NULL);
    rest->at += used;
    rest->len -= used;
    return first;
}

static struct slice trimmed(struct slice s) {
    while (s.len && (*s.at == ' ' || *s.at == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool has_control(struct slice s, const char *allowed) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < 0x20 || c == 0x7f) && !strchr(allowed, c))
            return true;
        if (c == 0)
            return true;
    }
    return false;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool request_decode_path(const char *path, size_t len, char *out, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)path[i];
        if (c == '%') {
            int high = i + 2 < len ? hex(path[i + 1]) : -1, low = high < 0 ? -1 : hex(path[i + 2]);
            if (low < 0)
                return false;
            c = high << 4 | low;
            i += 2;
        }
        if (c == 0 || used + 1 >= size)
            return false;
        if (c != '/' || used)
            out[used++] = (char)c;
    }
    out[used] = '\0';
    return true;
}

bool request_encode_path(const char *path, char *out, size_t size) {
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;
    if (size < 2)
        return false;
    out[used++] = '/';
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        if (used + 4 > size)
            return false;
        if (isalnum(c) || strchr("-._~/!$&'()*+,;=:@", c)) {
            out[used++] = (char)c;
        } else {
            out[used++] = '%';
            out[used++] = digits[c >> 4];
            out[used++] = digits[c & 15];
        }
    }
    out[used] = '\0';
    return true;
}

/* "http://host/path" is allowed to every client (RFC 9112, section 3.2.2): what follows the host.
 */
static struct slice without_origin(struct slice target) {
    if (target.len < 7 || strncasecmp(target.at, "http://", 7) != 0)
        return target;
    struct slice rest = {target.at + 7, target.len - 7};
    size_t host = 0;
    while (host < rest.len && rest.at[host] != '/' && rest.at[host] != '?')
        host++;
    return (struct slice){rest.at + host, rest.len - host};
}

static int parse_target(struct slice target, struct request *r) {
    struct slice rest = without_origin(target);
    bool has_origin = rest.at != target.at;
    if (!has_origin && (!rest.len || rest.at[0] != '/'))
        return 400;
    struct slice path = {rest.at, 0};
    while (path.len < rest.len && path.at[path.len] != '?' && path.at[path.len] != '#')
        path.len++;
    r->query = path.at + path.len;
    const char *fragment = memchr(r->query, '#', rest.len - path.len);
    r->query_len = fragment ? (size_t)(fragment - r->query) : rest.len - path.len;
    if (path.len >= REQUEST_PATH_MAX)
        return 414;
    return request_decode_path(path.at, path.len, r->path, sizeof(r->path)) ? 0 : 400;
}

static int parse_request_line(struct slice line, struct request *r) {
    struct slice method = cut(&line, ' '), target = cut(&line, ' '), version = line;
    if (!is_token(method) || !target.len || has_control(target, ""))
        return 400;
    r->target = target.at;
    r->target_len = target.len;
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 ||
        !isdigit((unsigned char)version.at[5]) || version.at[6] != '.' ||
        !isdigit((unsigned char)version.at[7]))
        return 400;
    if (version.at[5] != '1')
        return 505;
    r->old = version.at[7] == '0';
    r->keep_alive = !r->old;
    r->head_only = method.len == 4 && memcmp(method.at, "HEAD", 4) == 0;
    if (!r->head_only && !(method.len == 3 && memcmp(method.at, "GET", 3) == 0))
        return 405;
    return parse_target(target, r);
}

struct headers {
    unsigned hosts, lengths;
    bool close, keep_alive, body;
};

static bool parse_header(struct slice line, struct headers *h) {
    struct slice value = line, name = cut(&value, ':');
    if (name.len == line.len || !is_token(name) || has_control(value, "\t"))
        return false; /* no colon, a space before it, a folded line */
    value = trimmed(value);
    if (equals(name, "Host")) {
        h->hosts++;
    } else if (equals(name, "Connection")) {
        while (value.len) {
            struct slice option = trimmed(cut(&value, ','));
            h->close |= equals(option, "close");
            h->keep_alive |= equals(option, "keep-alive");
        }
    } else if (equals(name, "Transfer-Encoding")) {
        h->body = true;
    } else if (equals(name, "Content-Length")) {
        h->lengths++;
        for (size_t i = 0; i < value.len; i++) {
            if (!isdigit((unsigned char)value.at[i]))
                return false;
            h->body |= value.at[i] != '0';
        }
        return value.len > 0;
    }
    return true;
}

/* Zeroes all but the path, which is large and is written when it is used. */
static void reset(struct request *r) {
    memset(r, 0, offsetof(struct request, path));
    r->path[0] = '\0';
    r->target = r->query = "";
}

size_t request_parse(const char *bytes, size_t len, struct request *ret_request) {
    struct slice rest = {bytes, len}, line;
    do
        if (!next_line(&rest, &line))
            return 0;
    while (line.len == 0);
    struct request *r = ret_request;
    reset(r);
    r->status = parse_request_line(line, r);
    struct headers h = {0};
    bool fine = true;
    for (;;) {
        if (!next_line(&rest, &line))
            return 0;
        if (!line.len)
            break;
        fine &= parse_header(line, &h);
    }
    if (!fine || h.hosts > 1 || h.lengths > 1 || (!r->old && r->status == 0 && !h.hosts))
        r->status = 400;
    if (h.close || h.body || (r->old && !h.keep_alive) || r->status == 400 || r->status == 505)
        r->keep_alive = false;
    else if (r->old)
        r->keep_alive = true;
    return (size_t)(rest.at - bytes);
}
