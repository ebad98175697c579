/* stepped.h - for tests that kill a process at each of its instructions in turn. */
#ifndef TESTS_STEPPED_H
#define TESTS_STEPPED_H

#include "test.h"

#include <sys/ptrace.h>

enum { STEPS_MOST = 2000000, EFFORT = 200000 };

/* To begin with, and to end: few instructions, they are stepped through too. */
static inline void stepped_begin(void) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(2);
    raise(SIGSTOP);
}

_Noreturn static inline void stepped_end(int code) {
    syscall(SYS_exit_group, code);
    __builtin_unreachable();
}

/* Runs the child for `steps` instructions and kills it; how many it made, which are fewer when it
 * was done before, with code 0. */
static inline long stepped_run(pid_t child, long steps) {
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status))
        test_skip("this machine does not let processes be traced");
    for (long i = 0; i < steps; i++) {
        CHECK_EQ(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            CHECK_EQ(WEXITSTATUS(status), 0);
            return i;
        }
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    }
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, &status, 0), child);
    return steps;
}

/* At each instruction; in builds where there are very many of them, at as many as time allows. */
static inline long stepped_stride(long total) {
    return 1 + total * total / EFFORT;
}

#endif
