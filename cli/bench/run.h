/*
 * Runs cells as processes, one at a time, and sees to it that none is left.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench/bench.h"

#include <sys/types.h>

enum { REPLY_MOST = 8 };

struct reply {
    struct {
        char name[16];
        double value;
    } values[REPLY_MOST];
    int count;
    double cpu;                /* seconds, of all its processes, from the measured part on */
    double memory;             /* the most that was seen, where it was watched */
    double processes, threads; /* likewise */
    bool died;                 /* by a signal */
    char error[160];           /* "" when all went well */
};

/* Called once: children of children come to this process when their parents are gone, and SIGINT
 * and SIGTERM are noted. */
void run_prepare(const char *python);

/* Has the user asked for the end? Then run_cell returns early. */
bool run_interrupted(void);

/* Runs a cell to its end, at most `seconds`. `watch`: look at its memory meanwhile, which costs CPU
 * time of the machine. `ports` as cell.h has them. */
void run_cell(const struct spec *s, const char *ports, double seconds, bool watch,
              struct reply *ret_reply);

/* The server of io; its ports, separated by commas. 0 or a negative errno. */
int run_server(int64_t delay_us, int ports, char *ret_ports, size_t size);

/* Ends the server and whatever else is there. */
void run_end(void);

/* A value of a reply by its name; false: there is none. */
bool reply_value(const struct reply *r, const char *name, double *ret_value);

#endif
