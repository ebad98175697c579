/* census.c - see census.h. A stack that was taken before the census began has no pattern at its low
 * end and is not counted, nor is one that was used up to there: that one overflows anyway.
 *
 * Lock order: `lock` alone. Rejected: asking the kernel which pages are resident (stacks are used
 * again: those pages are of the deepest task ever, not of this one). */
#include "core/census.h"

#include <trine/debug.h>

#include "base/text.h"
#include "core/future.h"
#include "core/stack.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 512 };
#define PATTERN UINT64_C(0xa55ac33c0ff0e11e)

struct census_place {
    const char *site, *name;
    size_t most, size; /* bytes used by the deepest, and how many it had */
    uint64_t count;
};

atomic_bool census_on;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct census_place places[PLACES];
static size_t used;

void trine_census_start(void) {
    atomic_store(&census_on, true);
}

void census_fill(struct stack *s) {
    for (uint64_t *at = s->low; at < (uint64_t *)s; at++)
        *at = PATTERN;
}

/* Not instrumented: what it reads is full of the sanitizer's red zones. */
__attribute__((no_sanitize("address"), noinline)) static size_t depth(const struct stack *s) {
    const volatile uint64_t *at = s->low;
    if (*at != PATTERN)
        return 0;
    while (at < (const uint64_t *)s && *at == PATTERN)
        at++;
    return (size_t)((const char *)s - (const char *)at);
}

static struct census_place *find(const char *site, const char *name) {
    for (size_t i = 0; i < used; i++)
        if (strcmp(places[i].site, site) == 0 && strcmp(places[i].name, name) == 0)
            return &places[i];
    if (used == PLACES)
        return NULL;
    places[used] = (struct census_place){.site = site, .name = name};
    return &places[used++];
}

void census_count(const struct trine_future *f, const struct stack *s) {
    size_t bytes = depth(s);
    if (!bytes)
        return;
    pthread_mutex_lock(&lock);
    struct census_place *p = find(f->site, f->task ? f->task->name : f->bytes_task->name);
    if (p) {
        p->count++;
        if (bytes > p->most) {
            p->most = bytes;
            p->size = s->size;
        }
    }
    pthread_mutex_unlock(&lock);
}

static int deeper_first(const void *a, const void *b) {
    size_t x = ((const struct census_place *)a)->most, y = ((const struct census_place *)b)->most;
    return (x < y) - (x > y);
}

void trine_census(int fd) {
    pthread_mutex_lock(&lock);
    qsort(places, used, sizeof(*places), deeper_first);
    for (size_t i = 0; i < used; i++) {
        struct text t = {0};
        text_add_number(&t, places[i].most);
        text_add(&t, " of ");
        text_add_number(&t, places[i].size);
        text_add(&t, " bytes, ");
        text_add_number(&t, places[i].count);
        text_add(&t, " times: ");
        text_add(&t, places[i].name);
        text_add(&t, ", started at ");
        text_add(&t, places[i].site);
        text_add(&t, "\n");
        text_write(&t, fd);
    }
    pthread_mutex_unlock(&lock);
}
