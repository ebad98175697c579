/* step.h - named steps of what a worker process does, at each of which a test may have it die. In
 * ordinary builds they are nothing; with -Dfault_sites=true the variable TRINE_STEPS names a file
 * that all processes of the test map, a struct step_table. */
#ifndef TRINE_BASE_STEP_H
#define TRINE_BASE_STEP_H

enum step {
    STEP_FORK, /* in the zygote: fork fails */
    STEP_START,
    STEP_GREETING, /* before it greets, and after */
    STEP_GREETED,
    STEP_HEADER, /* it has a task's header, a part of its argument, all of it */
    STEP_PART,
    STEP_ARGUMENT,
    STEP_SKIPPED, /* it was taken back */
    STEP_BEGUN,
    STEP_REPORT, /* after a piece */
    STEP_RETURNED,
    STEP_REPLY_HEADER, /* it has put its reply's header, a part of its result, all of it */
    STEP_REPLY_PART,
    STEP_REPLY,
    STEP_TOLD,
    STEP_ASLEEP,
    STEP_FULL, /* it waits for room */
    STEP_LEAVING,
    STEPS
};

#ifdef TRINE_FAULT_SITES
#include <stdatomic.h>
#include <stdbool.h>

struct step_table {
    atomic_int signal;   /* that the chosen raise; 0: they call step_garble */
    atomic_uint garbled; /* how many did */
    struct {
        atomic_uint one_in; /* of so many visits one is chosen; 0: none */
        atomic_uint visits, chosen;
    } of[STEPS];
};

void step_here(enum step step);

/* What a process does that is to go wrong without dying; set by it. The first is nth 0. */
extern void (*step_garble)(unsigned nth);
bool step_fails(enum step step);
#define STEP(step) step_here(step)
#define STEP_FAILS(step) step_fails(step)
#else
#define STEP(step) ((void)0)
#define STEP_FAILS(step) false
#endif

#endif
