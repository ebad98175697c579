/* step.c - see step.h; empty in ordinary builds. */
#include "base/step.h"

#ifdef TRINE_FAULT_SITES

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The table, or one that chooses nothing. */
static struct step_table *table(void) {
    static struct step_table none, *mapped;
    if (mapped)
        return mapped;
    mapped = &none;
    const char *path = getenv("TRINE_STEPS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *memory =
            mmap(NULL, sizeof(struct step_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED)
            mapped = memory;
        close(fd);
    }
    return mapped;
}

static uint64_t dice(void) { /* xorshift64*, of each process its own */
    static uint64_t state;
    static pid_t owner;
    if (owner != getpid()) {
        owner = getpid();
        state = (uint64_t)owner * UINT64_C(0x9e3779b97f4a7c15);
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * UINT64_C(0x2545f4914f6cdd1d)) >> 32;
}

static bool chosen(enum step step) {
    struct step_table *t = table();
    unsigned one_in = atomic_load(&t->of[step].one_in);
    atomic_fetch_add(&t->of[step].visits, 1);
    if (!one_in || dice() % one_in)
        return false;
    atomic_fetch_add(&t->of[step].chosen, 1);
    return true;
}

void (*step_garble)(unsigned nth);

/* What writes the greeting writes replies too: those steps count from the greeting on. */
void step_here(enum step step) {
    static bool greeted;
    greeted |= step == STEP_GREETED;
    if (step > STEP_GREETED && !greeted)
        return;
    if (!chosen(step))
        return;
    int signal = atomic_load(&table()->signal);
    if (signal)
        raise(signal);
    else if (step_garble)
        step_garble(atomic_fetch_add(&table()->garbled, 1));
}

bool step_fails(enum step step) {
    return chosen(step);
}

#else
typedef int steps_are_off; /* C wants a declaration in every file */
#endif
