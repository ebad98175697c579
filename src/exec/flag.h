/* flag.h - the memory that the program shares with one worker: two streams of frames, what is left
 * of it when it crashes, areas for bodies, and words. Those that cancel and claim hold a task's
 * number, and numbers only grow, so that none needs a reset between tasks. */
#ifndef TRINE_EXEC_FLAG_H
#define TRINE_EXEC_FLAG_H

#include "exec/area.h"
#include "exec/crash.h"
#include "exec/stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t flag_word;

enum { FLAG_CANCEL, FLAG_CLAIMS, FLAGS };

/* Tasks that a worker was sent and has not come to: fewer than this. */
enum { FLAG_CLAIMS_MOST = 1024 };

struct flags {
    flag_word *cancel;     /* [0]: the last task that was asked to end, [1]: with what; only the
                            * program writes them */
    flag_word *claims;     /* of each task, by its number: that it was begun, or taken back */
    struct crash *crash;   /* what the worker leaves when it crashes */
    struct stream in, out; /* frames from the other side, and to it */
    uint8_t *areas;        /* see area.h */
    flag_word *done;       /* of the batch in each area: how many of its structs are done */
};

/* In the program: 0, the pages in *ret_flags and a descriptor of each for the worker in ret_fds,
 * all the caller's; or a negative errno. */
int flags_new(struct flags *ret_flags, int ret_fds[FLAGS]);

/* In the worker: false when they cannot be mapped. The descriptors stay the caller's. */
bool flags_map(struct flags *ret_flags, const int fds[FLAGS]);

/* Unmaps what flags_new gave. */
void flags_free(struct flags *flags);

/* The worker begins a task; false: it was taken back, and is to be skipped. */
bool flag_begin(struct flags *flags, uint64_t sequence);

/* The program takes a task back; false: its worker has begun it. */
bool flag_take_back(struct flags *flags, uint64_t sequence);

/* Has the worker begun it? It can lie. */
bool flag_has_begun(const struct flags *flags, uint64_t sequence);

#endif
