/* core_exceptions.c - exceptions of C++ in coroutines; the tasks are in exceptions.cpp. */
#include "test.h"

#include <sys/resource.h>

int exceptions_two_tasks(void);
int exceptions_many_tasks(void);
int exceptions_leave_a_task(void);

TEST(two_tasks_wait_with_exceptions_in_flight_and_keep_their_own) {
    CHECK_EQ(exceptions_two_tasks(), 0);
}

TEST(a_hundred_tasks_wait_with_exceptions_in_flight) {
    CHECK_EQ(exceptions_many_tasks(), 0);
}

TEST(an_exception_that_leaves_a_task_terminates) {
    pid_t child = fork(); /* nothing of the library was used yet */
    CHECK(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        fclose(stderr);
        exceptions_leave_a_task();
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGABRT);
}
