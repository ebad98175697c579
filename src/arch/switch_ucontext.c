/* switch_ucontext.c - the switch where there is no assembly for the processor, by the C library. A
 * suspended context is a ucontext_t on its own stack. Slow: each switch makes a system call for the
 * signal mask, which all contexts of a thread share. */
#include "arch/switch.h"

#include "base/panic.h"

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* At the top of a fresh stack; makecontext passes only ints on. */
struct fresh {
    ucontext_t context;
    void (*entry)(void *);
    void *arg;
};

enum { FIRST_FRAMES = 1024 }; /* makecontext wants the bounds, and uses the end alone */

static void start(unsigned high, unsigned low) {
    struct fresh *f = (struct fresh *)((uintptr_t)((uint64_t)high << 32 | low));
    f->entry(f->arg);
}

void arch_switch(void **save, void *load) {
    ucontext_t here;
    *save = &here;
    swapcontext(&here, load);
}

void *arch_context_new(void *top, void (*entry)(void *), void *arg) {
    struct fresh *f = (struct fresh *)(((uintptr_t)top - sizeof(*f)) & ~(uintptr_t)63);
    REQUIRE(getcontext(&f->context) == 0, "getcontext failed: no coroutines on this system");
    f->entry = entry;
    f->arg = arg;
    f->context.uc_link = NULL;
    f->context.uc_stack.ss_sp = (char *)f - FIRST_FRAMES;
    f->context.uc_stack.ss_size = FIRST_FRAMES;
    uint64_t at = (uintptr_t)f;
    makecontext(&f->context, (void (*)(void))start, 2, (unsigned)(at >> 32), (unsigned)at);
    return &f->context;
}
