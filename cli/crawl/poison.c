/* poison.c - see poison.h. */
#include "crawl/poison.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool has(const char *body, size_t len, const char *word) {
    return memmem(body, len, word, strlen(word)) != NULL;
}

void poison_take_effect(const char *body, size_t len) {
    static int wanted = -1;
    if (wanted < 0)
        wanted = getenv("TRINE_TEST_POISON") != NULL;
    if (!wanted || !has(body, len, "trine-poison: "))
        return;
    if (has(body, len, "trine-poison: segfault")) {
        volatile char *volatile nowhere = (char *)8;
        *nowhere = 1;
    }
    if (has(body, len, "trine-poison: loop"))
        for (volatile int forever = 1; forever;)
            continue;
    while (has(body, len, "trine-poison: memory")) {
        volatile char *page = malloc(1 << 20); /* not checked: the next line would tell */
        for (int i = 0; i < 1 << 20; i += 4096)
            page[i] = 1;
    }
}
