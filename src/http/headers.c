/* headers.c - lists of request headers. Rejected: leaving replacement to libcurl (it sends both).
 */
#include "http/session.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool header_same_name(const char *a, const char *b) {
    size_t n = strcspn(a, ":;");
    return n == strcspn(b, ":;") && strncasecmp(a, b, n) == 0;
}

/* What must not reach a host that it was not meant for. */
static bool is_credential(const char *header) {
    return header_same_name(header, "Authorization:") || header_same_name(header, "Cookie:") ||
           header_same_name(header, "Proxy-Authorization:");
}

/* A name, a colon, and no way to smuggle in a second line. */
static bool is_sound(const char *header) {
    size_t n = strcspn(header, ":");
    if (n == 0 || !header[n] || strpbrk(header, "\r\n"))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isgraph((unsigned char)header[i]))
            return false;
    }
    return true;
}

static bool is_replaced(const char *header, const char *const *by, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (header_same_name(header, by[i]))
            return true;
    }
    return false;
}

/* libcurl takes "Name:" for "do not send it"; an empty value is written "Name;". */
static int append(struct curl_slist **list, const char *header) {
    const char *colon = strchr(header, ':');
    char *empty = NULL;
    if (colon && colon[1 + strspn(colon + 1, " \t")] == '\0') {
        empty = strdup(header);
        if (!empty)
            return -ENOMEM;
        empty[colon - header] = ';';
        empty[colon - header + 1] = '\0';
    }
    struct curl_slist *longer = curl_slist_append(*list, empty ? empty : header);
    free(empty);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

int headers_merge(const struct curl_slist *base, const char *const *add, size_t count, bool bare,
                  struct curl_slist **ret_list) {
    struct curl_slist *list = NULL;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        if (!is_sound(add[i]))
            r = -EINVAL;
        else if (!bare || !is_credential(add[i]))
            r = append(&list, add[i]);
    }
    for (; base && r == 0; base = base->next) {
        if (!is_replaced(base->data, add, count) && (!bare || !is_credential(base->data)))
            r = append(&list, base->data);
    }
    if (r < 0)
        curl_slist_free_all(list);
    else
        *ret_list = list;
    return r;
}
