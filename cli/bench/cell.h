/*
 * One measurement: a process of its own, so that its CPU time and memory are its model's alone, and
 * so that it may crash. `trine bench` starts it as `trine bench --cell PARENT GROUP MODEL N WORK A
 * B PORTS`, all of them given: PARENT is the bench's process id, or 0 to outlive who started it.
 * peer.py takes the words from GROUP on. It does the work, checks what came out, and prints lines
 * "NAME NUMBER"; anything else that it prints is an error's text.
 */
#ifndef BENCH_CELL_H
#define BENCH_CELL_H

#include <stdbool.h>
#include <stdint.h>

enum { CELL_PORTS_MOST = 64 };

struct cell {
    const char *group, *model, *work;
    int64_t n, a, b;
    uint16_t ports[CELL_PORTS_MOST];
    int port_count;
};

/* Runs what follows `--cell`; the exit status. */
int cell_main(int argc, char **argv);

/* --- for the measurements, one function a group; each gives the exit status ------------------- */

int cell_io(const struct cell *c);       /* N requests at once, each by a task of its own */
int cell_cpu(const struct cell *c);      /* WORK's list A times, by N workers */
int cell_mixed(const struct cell *c);    /* N tasks wait A us and compute B rounds */
int cell_tasks(const struct cell *c);    /* N tasks that exist at the same time */
int cell_handover(const struct cell *c); /* N tasks that do nothing */
int cell_data(const struct cell *c);     /* N bytes handed to a task, shared or copied */
int cell_crew(const struct cell *c);     /* A waits of B us by N threads */
int cell_blocking(const struct cell *c); /* N calls that block for A us, direct or handed over */
int cell_race(const struct cell *c);     /* N tasks add to one number, bare or locked */
int cell_crash(const struct cell *c);    /* one of N tasks kills its process */
int cell_server(const struct cell *c);   /* what io asks: answers after A us, on B ports */

/* The measured part begins: prints the CPU time used so far, for the bench to take off. The time
 * now. */
int64_t cell_begin(void);

void cell_print(const char *name, double value);

/* Prints what went wrong; 1. */
int cell_fail(const char *what, int error);

static inline double cell_seconds(int64_t ns) {
    return (double)ns / 1e9;
}

#endif
