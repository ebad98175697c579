/* shared.c - memory and counters between processes. The memory's first page is its head, so that
 * what is its user's begins on a page and can be sealed. */
#include <trine/shared.h>

#include "base/fault.h"
#include "base/panic.h"
#include "exec/shared_map.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

int trine_shared_open(size_t size, trine_shared *ret_shared) {
    struct mapping *m;
    REQUIRE(size > 0, "shared memory needs a size");
    return size > PTRDIFF_MAX - page() ? -ENOMEM : shared_map_new(page() + size, ret_shared, &m);
}

int trine_shared_map(const trine_shared *s, void **ret_memory) {
    struct mapping *m;
    int r = shared_map_enter(s, &m);
    if (r < 0)
        return r;
    *ret_memory = (char *)m->memory + page();
    shared_map_leave(m);
    return 0;
}

int trine_shared_seal(const trine_shared *s) {
    struct mapping *m;
    int r = shared_map_enter(s, &m);
    if (r < 0)
        return r;
    r = shared_map_seal(m);
    if (r == 0 &&
        FAULT(mprotect((char *)m->memory + page(), m->bytes - page(), PROT_READ), -1, ENOMEM) < 0)
        r = -errno;
    shared_map_leave(m);
    return r;
}

size_t trine_shared_size(const trine_shared *s) {
    return s->id_ ? (size_t)s->bytes_ - page() : 0;
}

void trine_shared_free(trine_shared *s) {
    if (s->id_ != 0)
        shared_map_free(s, NULL, "shared memory");
    *s = (trine_shared){0};
}

/* --- counter --- */

struct counter_memory {
    struct shared_head base;
    _Alignas(64) _Atomic int64_t value;
};

int trine_counter_open(trine_counter *ret_counter) {
    struct mapping *m;
    return shared_map_new(sizeof(struct counter_memory), &ret_counter->memory_, &m);
}

int trine_counter_add(const trine_counter *c, int64_t n, int64_t *ret_value) {
    struct mapping *m;
    int r = shared_map_enter(&c->memory_, &m);
    if (r < 0)
        return r;
    struct counter_memory *memory = (struct counter_memory *)m->memory;
    int64_t before = atomic_fetch_add(&memory->value, n);
    shared_map_leave(m);
    if (ret_value)
        *ret_value = (int64_t)((uint64_t)before + (uint64_t)n);
    return 0;
}

void trine_counter_free(trine_counter *c) {
    if (c->memory_.id_ != 0)
        shared_map_free(&c->memory_, NULL, "a counter");
    *c = (trine_counter){0};
}
