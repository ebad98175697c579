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
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#define OWN_PIDFD (-10001) /* PIDFD_SELF_THREAD_GROUP, Linux 6.14: no descriptor is needed */

/* Stacks begin at different lines of their top page: were all at the same one, they would fight for
 * a few sets of the caches, and switching among 1,000 coroutines would cost twice as much. Half of
 * the page is left for the first frames, so that no second page is touched. */
enum { STACKS_PER_SLAB = 32, COLOURS = 32 };

struct slab {
    struct slab *next;
    char *memory;
    unsigned valgrind_ids[STACKS_PER_SLAB];
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

/* One system call for a whole slab: the ranges of one process_madvise. Where the kernel does not
 * let a process say that of itself, false. */
static bool install_at_once(char *memory, size_t stride, size_t page) {
    struct iovec guards[STACKS_PER_SLAB];
    for (unsigned i = 0; i < STACKS_PER_SLAB; i++)
        guards[i] = (struct iovec){memory + i * stride, page};
    long done = syscall(SYS_process_madvise, OWN_PIDFD, guards, (size_t)STACKS_PER_SLAB,
                        MADV_GUARD_INSTALL, 0u);
    return done == (long)(page * STACKS_PER_SLAB);
}

/* Guards at the low ends of a slab's stacks: 0, or a negative errno. */
static int install_guards(char *memory, size_t stride, size_t page) {
    int kind = atomic_load_explicit(&guard_kind_known, memory_order_relaxed);
    if (kind == GUARD_UNKNOWN) {
        bool holds = madvise(memory, page, MADV_GUARD_INSTALL) == 0 && guard_holds(memory);
        kind = holds ? GUARD_MADVISE : GUARD_MPROTECT;
        atomic_store(&guard_kind_known, kind);
    }
    if (kind == GUARD_MADVISE && install_at_once(memory, stride, page))
        return 0;
    for (unsigned i = 0; i < STACKS_PER_SLAB; i++) {
        char *guard = memory + i * stride;
        if (kind == GUARD_MADVISE && madvise(guard, page, MADV_GUARD_INSTALL) == 0)
            continue;
        if (FAULT(mprotect(guard, page, PROT_NONE), -1, ENOMEM))
            return -errno;
    }
    return 0;
}

struct stacks *stacks_new(size_t stride) {
    struct stacks *cache = FAULT(calloc(1, sizeof(*cache)), NULL, ENOMEM);
    if (!cache)
        return NULL;
    cache->page = (size_t)sysconf(_SC_PAGESIZE);
    cache->stride = (stride + cache->page - 1) / cache->page * cache->page;
    return cache;
}

static bool add_slab(struct stacks *cache) {
    struct slab *slab = FAULT(calloc(1, sizeof(*slab)), NULL, ENOMEM);
    if (!slab) {
        cache->why_none = "no memory for its stack";
        return false;
    }
    size_t bytes = cache->stride * STACKS_PER_SLAB;
    slab->memory = FAULT(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0),
                         MAP_FAILED, ENOMEM);
    if (slab->memory == MAP_FAILED) {
        cache->why_none = "no address space for its stack, or the kernel allows no more mappings "
                          "(sysctl vm.max_map_count)";
        free(slab);
        return false;
    }
    if (install_guards(slab->memory, cache->stride, cache->page) < 0) {
        cache->why_none = "no guard page for its stack: the kernel allows no more mappings (sysctl "
                          "vm.max_map_count)";
        munmap(slab->memory, bytes);
        free(slab);
        return false;
    }
    for (unsigned i = 0; i < STACKS_PER_SLAB; i++) {
        char *base = slab->memory + i * cache->stride;
        slab->valgrind_ids[i] = VALGRIND_STACK_REGISTER(base + cache->page, base + cache->stride);
    }
    slab->next = cache->slabs;
    cache->slabs = slab;
    cache->fresh = STACKS_PER_SLAB;
    return true;
}

struct stack *stack_fresh(struct stacks *cache) {
    if (!cache->fresh && !add_slab(cache))
        return NULL;
    unsigned i = --cache->fresh;
    char *base = cache->slabs->memory + i * cache->stride;
    char *top = base + cache->stride - i % COLOURS * CACHE_LINE;
    struct stack *s =
        (struct stack *)((uintptr_t)(top - sizeof(*s)) & ~(uintptr_t)(CACHE_LINE - 1));
    s->low = base + cache->page;
    s->size = (size_t)((char *)s - (char *)s->low);
    s->strand.tsan_fiber = NULL;
    s->mapped = 0;
    return s;
}

/* --- stacks of their own size --- */

static struct stack *map_odd(struct stacks *cache, size_t size) {
    size_t page = cache->page, whole = size + sizeof(struct stack) + CACHE_LINE;
    size_t bytes = whole < size ? 0 : (whole + page - 1) / page * page + page;
    char *base = bytes <= size
                     ? MAP_FAILED
                     : FAULT(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0),
                             MAP_FAILED, ENOMEM);
    if (base == MAP_FAILED || FAULT(mprotect(base, page, PROT_NONE), -1, ENOMEM) < 0) {
        cache->why_none = "no memory for a stack of the size that it asks for";
        if (base != MAP_FAILED)
            munmap(base, bytes);
        return NULL;
    }
    uintptr_t top = (uintptr_t)(base + bytes) - sizeof(struct stack);
    struct stack *s = (struct stack *)(top & ~(uintptr_t)(CACHE_LINE - 1));
    s->low = base + page;
    s->size = (size_t)((char *)s - (char *)s->low);
    s->mapped = bytes;
    s->valgrind_id = VALGRIND_STACK_REGISTER(s->low, base + bytes);
    s->strand.tsan_fiber = NULL;
    return s;
}

struct stack *stack_take_odd(struct stacks *cache, size_t size) {
    struct stack *s = NULL;
    for (struct strand **at = &cache->odd; *at && !s; at = &(*at)->next_ready) {
        struct stack *kept = container_of(*at, struct stack, strand);
        if (kept->size >= size && kept->size / 4 <= size) {
            s = kept;
            *at = (*at)->next_ready;
            break;
        }
    }
    if (!s && !(s = map_odd(cache, size)))
        return NULL;
    return stack_clean(s);
}

void stack_give_odd(struct stacks *cache, struct stack *s) {
    s->strand.next_ready = cache->odd;
    cache->odd = &s->strand;
}

static void free_odd(struct stacks *cache) {
    for (struct strand *strand = cache->odd, *next; strand; strand = next) {
        struct stack *s = container_of(strand, struct stack, strand);
        next = strand->next_ready;
        sanitizer_fiber_free(strand->tsan_fiber);
        VALGRIND_STACK_DEREGISTER(s->valgrind_id);
        char *base = (char *)s->low - cache->page;
        size_t bytes = s->mapped;
        sanitizer_clean_stack(s->low, bytes - cache->page);
        munmap(base, bytes);
    }
}

void stacks_free(struct stacks *cache) {
    if (!cache)
        return;
    free_odd(cache);
    for (struct strand *s = cache->cached; s; s = s->next_ready)
        sanitizer_fiber_free(s->tsan_fiber);
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
