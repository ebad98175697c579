/* buf.c - owned, growing bytes: public, see trine.h. Grows by half, so that appending is linear. */
#include <trine.h>

#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int trine_buf_reserve(trine_buf *b, size_t more) {
    if (b->cap - b->len >= more)
        return 0;
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need))
        return -ENOMEM;
    size_t cap = b->cap + b->cap / 2;
    if (cap < need)
        cap = need < 64 ? 64 : need;
    void *ptr = FAULT(realloc(b->ptr, cap), NULL, ENOMEM);
    if (!ptr)
        return -ENOMEM;
    b->ptr = ptr;
    b->cap = cap;
    return 0;
}

int trine_buf_append(trine_buf *b, const void *bytes, size_t len) {
    int r = trine_buf_reserve(b, len);
    if (r < 0)
        return r;
    if (len)
        memcpy((char *)b->ptr + b->len, bytes, len);
    b->len += len;
    return 0;
}

void trine_buf_free(trine_buf *b) {
    free(b->ptr);
    *b = (trine_buf){0};
}
