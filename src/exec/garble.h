/* garble.h - what a worker does to the program whose memory was overwritten, or which was taken
 * over. Only in builds with -Dfault_sites=true (base/step.h). */
#ifndef TRINE_EXEC_GARBLE_H
#define TRINE_EXEC_GARBLE_H

#ifdef TRINE_FAULT_SITES
#include "exec/flag.h"
#include "exec/wire.h"

/* Each in turn. */
enum garbage {
    GARBAGE_BYTES,      /* no frame at all */
    GARBAGE_FLIPPED,    /* a reply with one byte that cannot be */
    GARBAGE_SEQUENCE,   /* a reply to a task that it was never sent */
    GARBAGE_WORKER,     /* in the name of another worker */
    GARBAGE_BODY,       /* with a body that is larger than any allowed */
    GARBAGE_AREA,       /* with its body in an area that there is not */
    GARBAGE_OTHER_AREA, /* in one that is not its task's */
    GARBAGE_PUT,        /* it has written what the stream cannot hold */
    GARBAGE_TAKEN,      /* it has read what it was never sent */
    GARBAGES
};

/* Between two of its frames; `task` is the frame that it has read last. Rings the bell. */
void garble(struct flags *memory, int bell, const struct frame *task, uint32_t worker,
            unsigned nth);
#endif

#endif
