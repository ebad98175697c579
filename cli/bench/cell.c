/* cell.c - see cell.h: words into a struct cell, and the function that measures.
 *
 * A cell dies with the bench: PR_SET_PDEATHSIG strikes when the thread that started it ends, which
 * in the bench is the only one. */
#include "bench/cell.h"

#include "bench/work.h"

#include <trine.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WORDS = 8 };

static int cell_calibrate(const struct cell *c) {
    (void)c;
    cell_print("rate", work_spin_rate());
    return 0;
}

static const struct {
    const char *name;
    int (*measure)(const struct cell *c);
} groups[] = {
    {"io", cell_io},       {"cpu", cell_cpu},           {"mixed", cell_mixed},
    {"tasks", cell_tasks}, {"handover", cell_handover}, {"data", cell_data},
    {"crew", cell_crew},   {"blocking", cell_blocking}, {"race", cell_race},
    {"crash", cell_crash}, {"server", cell_server},     {"calibrate", cell_calibrate},
};

static double cpu_of(int who) {
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int64_t cell_begin(void) {
    cell_print("before", cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN));
    return trine_now();
}

void cell_print(const char *name, double value) {
    printf("%s %.9g\n", name, value);
    fflush(stdout);
}

int cell_fail(const char *what, int error) {
    printf("%s%s%s\n", what, error ? ": " : "", error ? strerror(error < 0 ? -error : error) : "");
    fflush(stdout);
    return 1;
}

static void read_ports(struct cell *c, const char *text) {
    for (char *end; c->port_count < CELL_PORTS_MOST; text = end + 1) {
        c->ports[c->port_count] = (uint16_t)strtoul(text, &end, 10);
        if (end == text)
            return;
        c->port_count++;
        if (*end != ',')
            return;
    }
}

/* python3, with the same protection; argv[0] is its path, what follows are its arguments. */
static int become(char **argv) {
    execv(argv[0], argv);
    return cell_fail(argv[0], -1);
}

/* Whoever started us may have ended before the kernel knew what we want. */
static void die_with(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (parent && getppid() != parent)
        _exit(1);
}

int cell_main(int argc, char **argv) {
    die_with(argc > 0 ? (pid_t)strtol(argv[0], NULL, 10) : 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(argv[1], "exec") == 0)
        return become(argv + 2);
    if (argc != WORDS)
        return cell_fail("a cell has eight words", 0);
    argv++;
    struct cell c = {.group = argv[0],
                     .model = argv[1],
                     .n = strtoll(argv[2], NULL, 10),
                     .work = argv[3],
                     .a = strtoll(argv[4], NULL, 10),
                     .b = strtoll(argv[5], NULL, 10)};
    read_ports(&c, argv[6]);
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (strcmp(groups[i].name, c.group) == 0)
            return groups[i].measure(&c);
    return cell_fail("no such cell", 0);
}
