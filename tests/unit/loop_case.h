/* loop_case.h - cases whose body is the main coroutine of a loop. */
#ifndef TRINE_TESTS_LOOP_CASE_H
#define TRINE_TESTS_LOOP_CASE_H

#include "test.h"

#include <trine.h>

struct nothing {
    int unused;
};

#define IN_LOOP(name)                                                                              \
    static int name##_body(struct nothing *nothing_);                                              \
    TRINE_TASK(name##_body, struct nothing);                                                       \
    TEST(name) {                                                                                   \
        CHECK_EQ(trine_run(name##_body, NULL), 0);                                                 \
    }                                                                                              \
    static int name##_body(struct nothing *nothing_ __attribute__((unused)))

/* Lets every other coroutine come to its next wait. */
static inline void settle(void) {
    for (int i = 0; i < 20; i++)
        CHECK_EQ(trine_yield(), 0);
}

#endif
