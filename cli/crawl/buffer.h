/*
 * A byte buffer that keeps its memory: emptied by len = 0, grown but never shrunk, so that page
 * after page uses the same hot bytes. buffer_done frees. Zeroed memory is an empty buffer.
 */
#ifndef CRAWL_BUFFER_H
#define CRAWL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct buffer {
    char *at;
    size_t len, room;
};

/* Makes room for more bytes behind len; false: no memory, the buffer is as it was. */
static inline bool buffer_reserve(struct buffer *buffer, size_t more) {
    if (buffer->room - buffer->len >= more) {
        return true;
    }
    size_t room = buffer->len + more > 2 * buffer->room ? buffer->len + more : 2 * buffer->room;
    char *at = realloc(buffer->at, room);
    if (at) {
        buffer->at = at;
        buffer->room = room;
    }
    return at;
}

static inline void buffer_done(struct buffer *buffer) {
    free(buffer->at);
    *buffer = (struct buffer){0};
}

#endif
