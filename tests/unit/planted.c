/* planted.c - errors planted on a coroutine's stack, for tests/cli/planted.sh: the sanitizers must
 * report them, on the marked lines. Not a test by itself. */
#include "core/stack.h"

#include <trine.h>

#include <stdio.h>
#include <string.h>

struct plant {
    const char *kind;
};

static volatile int sink;

static int overflow(int i) {
    int values[8] = {0};
    __asm__ volatile("" : "+r"(i)); /* the compiler must not see it coming */
    values[0] = i;
    sink = ((volatile int *)values)[i]; /* planted: overflow */
    return sink;
}

static int use_after_scope(int i) {
    volatile int *left;
    {
        volatile int inner = i;
        left = &inner;
    }
    sink = *left; /* planted: use after scope */
    return sink;
}

static int too_deep(int depth) {
    volatile char room[1024] = {0};
    room[depth & 1023] = 1;
    return depth < 1 << 30 ? too_deep(depth + 1) + room[0] : 0;
}

static int plant(struct plant *p) {
    if (trine_yield() < 0) /* so that it is a switched-to stack */
        return -1;
    if (strcmp(p->kind, "overflow") == 0)
        overflow(8);
    if (strcmp(p->kind, "scope") == 0)
        use_after_scope(1);
    if (strcmp(p->kind, "deep") == 0)
        too_deep(0);
    return 0;
}
TRINE_TASK(plant, struct plant);

static int plant_in_child(struct plant *p) {
    TRINE_SCOPE(s);
    trine_spawn(s, plant, p);
    return trine_join(s);
}
TRINE_TASK(plant_in_child, struct plant);

int main(int argc, char **argv) {
    struct plant p = {argc > 1 ? argv[1] : ""};
    if (argc > 2 && strcmp(argv[2], "mprotect") == 0)
        stacks_use_mprotect();
    int r = trine_run(plant_in_child, &p);
    printf("ran to the end: %d\n", r);
    return 0;
}
