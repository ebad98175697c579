/*
 * The scanner of words.
 *
 * Counting takes eight bytes at a time: a byte above " " sets its top bit, and a word starts where
 * such a byte follows one that is not. What is not ASCII goes character by character. Keeping the
 * text is the rarer wish and takes the plain loop. SSE2 was tried and won nothing: pieces are
 * short.
 */
#include "crawl/words.h"

#include <string.h>

#define EACH_BYTE(b) ((uint64_t)0x0101010101010101 * (b))

void words_reset(struct words *words, bool keep, size_t max) {
    words->count = 0;
    words->in_word = words->failed = words->cut = false;
    words->keep = keep;
    words->max = max;
    words->text.len = 0;
}

/* Bytes of the white-space character at at (of len > 0 bytes), 0 when it is none. */
static size_t space_at(const uint8_t *at, size_t len) {
    if (*at <= ' ') {
        return 1;
    }
    if (*at == 0xC2) {
        return len > 1 && (at[1] == 0x85 || at[1] == 0xA0) ? 2 : 0;
    }
    if (len < 3 || *at < 0xE1 || *at > 0xE3) {
        return 0;
    }
    uint32_t code = (uint32_t)(at[0] & 15) << 12 | (uint32_t)(at[1] & 63) << 6 | (at[2] & 63);
    bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
                 code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
    return space ? 3 : 0;
}

static size_t character_len(const uint8_t *at, size_t len) {
    size_t n = *at < 0xC0 ? 1 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
    return n < len ? n : len;
}

/* Appends one character, or closes the text for good when it does not fit. */
static void keep_character(struct words *words, const uint8_t *at, size_t len, bool first) {
    struct buffer *text = &words->text;
    size_t gap = first && text->len > 0;
    if (text->len + gap + len > words->max) {
        words->max = text->len;
        words->cut = true;
    } else if (!buffer_reserve(text, gap + len)) {
        words->failed = true;
    } else {
        if (gap) {
            text->at[text->len++] = ' ';
        }
        memcpy(text->at + text->len, at, len);
        text->len += len;
    }
}

/* Takes one character, of white space or not; returns its bytes. */
static size_t take_character(struct words *words, const uint8_t *at, size_t len) {
    size_t space = space_at(at, len);
    if (space) {
        words->in_word = false;
        return space;
    }
    size_t n = character_len(at, len);
    words->count += !words->in_word;
    if (words->keep) {
        keep_character(words, at, n, !words->in_word);
    }
    words->in_word = true;
    return n;
}

/* Eight bytes of ASCII at once; false: they are something else. */
static bool take_eight(struct words *words, const uint8_t *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bytes = __builtin_bswap64(bytes);
#endif
    if (bytes & EACH_BYTE(0x80)) {
        return false;
    }
    uint64_t above_space = bytes + EACH_BYTE(0x7F - ' ');
    uint64_t in_word = above_space & EACH_BYTE(0x80);
    uint64_t starts = in_word & ~(in_word << 8 | (words->in_word ? 0x80 : 0));
    words->count += ((starts >> 7) * EACH_BYTE(1)) >> 56;
    words->in_word = in_word >> 63;
    return true;
}

void words_add(struct words *words, const char *text, size_t len) {
    const uint8_t *at = (const uint8_t *)text, *end = at + len;
    while (at < end) {
        if (!words->keep && end - at >= 8 && take_eight(words, at)) {
            at += 8;
        } else {
            at += take_character(words, at, (size_t)(end - at));
        }
    }
}
