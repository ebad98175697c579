/* text.h - a line of text made where printf must not be called: in signal handlers. What does not
 * fit is cut. */
#ifndef TRINE_BASE_TEXT_H
#define TRINE_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* All zero is an empty one. */
struct text {
    size_t used;
    char bytes[1024];
};

static inline void text_add(struct text *t, const char *words) {
    while (*words && t->used < sizeof(t->bytes))
        t->bytes[t->used++] = *words++;
}

static inline void text_add_number(struct text *t, uint64_t n) {
    char digits[21];
    char *first = &digits[20];
    *first = 0;
    do
        *--first = (char)('0' + n % 10);
    while (n /= 10);
    text_add(t, first);
}

static inline void text_write(const struct text *t, int fd) {
    ssize_t written = write(fd, t->bytes, t->used);
    (void)written; /* nothing is left to do about it */
}

#endif
