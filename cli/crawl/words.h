/*
 * Words of a text that comes in pieces: counts them and, where wanted, keeps them with single
 * spaces between. White space is what Unicode's White_Space says, and U+001C to U+001F as in
 * Python's str.split.
 */
#ifndef CRAWL_WORDS_H
#define CRAWL_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "crawl/buffer.h"

struct words {
    uint64_t count;
    bool in_word; /* the text so far ends within a word */
    bool keep;    /* the words go to text */
    bool failed;  /* no memory for text */
    bool cut;     /* text is full: words are missing in it, or the end of one */
    size_t max;   /* bytes that text may get; it is cut at a character, and for good */
    struct buffer text;
};

/* Starts over; the memory stays. */
void words_reset(struct words *words, bool keep, size_t max);

/* Adds a piece of clean UTF-8 (see charset.h) that begins and ends at characters: a control
 * character in it counts as white space. Without "break" between, a word goes on
 * from piece to piece. */
void words_add(struct words *words, const char *text, size_t len);

static inline void words_break(struct words *words) {
    words->in_word = false;
}

#endif
