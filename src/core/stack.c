/* stack.c - stacks are mapped a slab at a time and reused last in, first out, since a page's first
 * touch costs a thousand times a switch. Each has a guard page below: MADV_GUARD_INSTALL where the
 * kernel has it and it is seen to work, else mprotect (which splits the mapping: Linux stops at
 * 65,530 mappings, some 32,700 stacks).
 *
 * Invariant: a stack is in the cache, or a strand runs on it. The last user may still stand on a
 * cached stack for the few instructions until it switches away; only its own thread takes stacks.
 *
 * Rejected: malloc for stacks (no guard), one mapping per stack (a system call each). */
#include "core/stack.h"

#include "base/fault.h"
#include "base/panic.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

enum { STACKS_PER_SLAB = 32 };

struct slab {
    struct slab *next;
    char *memory;
    unsigned valgrind_ids[STACKS_PER_SLAB];
};

struct stacks {
    struct stack *cached;
    struct slab *slabs;
    size_t stride, page;
    unsigned fresh; /* stacks of the newest slab not used yet */
};

enum guard_kind { GUARD_UNKNOWN, GUARD_MADVISE, GUARD_MPROTECT };

static atomic_int guard_kind_known;

void stacks_use_mprotect(void) {
    atomic_store(&guard_kind_known, GUARD_MPROTECT);
}

/* Some kernels and emulators say yes to MADV_GUARD_INSTALL and do nothing: read from the guard. */
static bool guard_holds(void *guard) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    bool holds = write(ends[1], guard, 1) < 0 && errno == EFAULT;
    close(ends[0]);
    close(ends[1]);
    return holds;
}

static int install_guard(void *guard, size_t page) {
    int kind = atomic_load_explicit(&guard_kind_known, memory_order_relaxed);
    if (kind != GUARD_MPROTECT) {
        bool done = madvise(guard, page, MADV_GUARD_INSTALL) == 0;
        if (kind == GUARD_UNKNOWN) {
            kind = done && guard_holds(guard) ? GUARD_MADVISE : GUARD_MPROTECT;
            atomic_store(&guard_kind_known, kind);
        }
        if (done && kind == GUARD_MADVISE)
            return 0;
    }
    return FAULT(mprotect(guard, page, PROT_NONE), -1, ENOMEM) ? -errno : 0;
}

struct stacks *stacks_new(size_t stride) {
    struct stacks *cache = FAULT(calloc(1, sizeof(*cache)), NULL, ENOMEM);
    if (!cache)
        return NULL;
    cache->page = (size_t)sysconf(_SC_PAGESIZE);
    cache->stride = (stride + cache->page - 1) / cache->page * cache->page;
    return cache;
}

static int add_slab(struct stacks *cache) {
    struct slab *slab = FAULT(calloc(1, sizeof(*slab)), NULL, ENOMEM);
    if (!slab)
        return -ENOMEM;
    size_t bytes = cache->stride * STACKS_PER_SLAB;
    slab->memory = FAULT(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0),
                         MAP_FAILED, ENOMEM);
    if (slab->memory == MAP_FAILED) {
        free(slab);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < STACKS_PER_SLAB; i++) {
        char *base = slab->memory + i * cache->stride;
        if (install_guard(base, cache->page) < 0) {
            munmap(slab->memory, bytes);
            free(slab);
            return -ENOMEM;
        }
        slab->valgrind_ids[i] = VALGRIND_STACK_REGISTER(base + cache->page, base + cache->stride);
    }
    slab->next = cache->slabs;
    cache->slabs = slab;
    cache->fresh = STACKS_PER_SLAB;
    return 0;
}

static struct stack *stack_fresh(struct stacks *cache) {
    if (!cache->fresh && add_slab(cache) < 0)
        return NULL;
    char *base = cache->slabs->memory + --cache->fresh * cache->stride;
    struct stack *s = (struct stack *)(base + cache->stride - sizeof(struct stack));
    s = (struct stack *)((uintptr_t)s & ~(uintptr_t)63);
    s->low = base + cache->page;
    s->size = (size_t)((char *)s - (char *)s->low);
    s->strand.tsan_fiber = NULL;
    return s;
}

struct stack *stack_take(struct stacks *cache) {
    struct stack *s = cache->cached;
    if (s)
        cache->cached = s->next;
    else if (!(s = stack_fresh(cache)))
        return NULL;
    sanitizer_clean_stack(s->low, s->size);
    sanitizer_fiber_free(s->strand.tsan_fiber); /* here, since nobody can free the one it runs on */
    s->strand.tsan_fiber = sanitizer_fiber_new();
    return s;
}

void stack_give(struct stacks *cache, struct stack *s) {
    s->next = cache->cached;
    cache->cached = s;
}

void stacks_free(struct stacks *cache) {
    if (!cache)
        return;
    for (struct stack *s = cache->cached; s; s = s->next)
        sanitizer_fiber_free(s->strand.tsan_fiber);
    for (struct slab *slab = cache->slabs; slab;) {
        struct slab *next = slab->next;
        for (unsigned i = 0; i < STACKS_PER_SLAB; i++)
            VALGRIND_STACK_DEREGISTER(slab->valgrind_ids[i]);
        sanitizer_clean_stack(slab->memory, cache->stride * STACKS_PER_SLAB);
        munmap(slab->memory, cache->stride * STACKS_PER_SLAB);
        free(slab);
        slab = next;
    }
    free(cache);
}
