/* crash.h - what a worker process that crashes leaves behind: the signal, the address, its calls.
 * It writes that into memory that it shares with the program, which reads it when the worker is
 * dead, and believes nothing of it. */
#ifndef TRINE_EXEC_CRASH_H
#define TRINE_EXEC_CRASH_H

#include <stdatomic.h>
#include <stdint.h>

enum { CRASH_FRAMES = 32, CRASH_MODULE = 48 };

struct crash_frame {
    uint64_t offset;           /* of the call in its module */
    char module[CRASH_MODULE]; /* the last part of its file's name; the program itself: empty */
};

struct crash {
    atomic_uint written; /* 1 when all else is */
    int32_t signal;
    uint64_t address;
    uint32_t count;
    struct crash_frame frames[CRASH_FRAMES];
};

/* In the worker, before it runs tasks: crashes are written to *c. Without a signal stack to be had
 * nothing is. */
void crash_watch(struct crash *c);

/* In the program: the calls as lines of text, on the heap; NULL when the worker left none, or not
 * for that signal. The address goes to *ret_address. */
char *crash_describe(const struct crash *c, int signal, uint64_t *ret_address);

#endif
