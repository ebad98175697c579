/* response.c - what a request brought back. Headers are kept as their lines, each ended by a NUL:
 * most are never asked for, so nothing is parsed until one is. Rejected: a table of names. */
#include "http/response.h"

#include "base/panic.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

void response_reset(trine_http_response *r) {
    r->status = 0;
    r->redirects = 0;
    r->elapsed = 0;
    r->body.len = r->headers.len = r->text.len = 0;
    r->content_type = r->url = r->error = "";
}

int response_finish(trine_http_response *r, const char *url, const char *error) {
    size_t url_size = strlen(url) + 1, error_size = strlen(error) + 1;
    r->text.len = 0;
    if (trine_buf_reserve(&r->text, url_size + error_size) < 0 ||
        trine_buf_reserve(&r->body, 1) < 0)
        return -ENOMEM;
    char *text = r->text.ptr;
    memcpy(text, url, url_size);
    memcpy(text + url_size, error, error_size);
    r->text.len = url_size + error_size;
    r->url = text;
    r->error = text + url_size;
    ((char *)r->body.ptr)[r->body.len] = '\0';
    const char *type = trine_http_header(r, "Content-Type", 0);
    if (type)
        r->content_type = type;
    return 0;
}

const char *trine_http_header(const trine_http_response *r, const char *name, unsigned n) {
    REQUIRE(r && name, "trine_http_header needs a response and a name");
    size_t length = strlen(name);
    const char *line = r->headers.ptr, *end = line + r->headers.len;
    while (line < end) {
        const char *next = line + strlen(line) + 1;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':' && n-- == 0) {
            const char *value = line + length + 1;
            return value + strspn(value, " \t");
        }
        line = next;
    }
    return NULL;
}

void trine_http_response_free(trine_http_response *r) {
    trine_buf_free(&r->body);
    trine_buf_free(&r->headers);
    trine_buf_free(&r->text);
    *r = (trine_http_response){0};
}
