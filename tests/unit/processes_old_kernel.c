/* processes_old_kernel.c - process pools where there are no pidfds: a kernel before 5.3, or
 * valgrind. A filter says so to this program and all below it. */
#include "processes_help.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <trine/task.h>

/* Neither, from 5.9 on, many descriptors closed at once. */
static void refuse_pidfds(int error) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        test_skip("this machine has no seccomp filters");
    CHECK(syscall(SYS_pidfd_open, getpid(), 0) < 0 && errno == error);
}

static void forget_pidfds(void) {
    refuse_pidfds(ENOSYS);
}

/* Only a fork, which shares no memory: threads and spawned programs do. */
static void forbid_fork(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
    CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

struct deed {
    enum { TELL_PID, DIE, HANG, HANG_ON } what;
    pid_t pid;
};

static int do_it(struct deed *d) {
    d->pid = getpid();
    if (d->what == DIE)
        raise(SIGKILL);
    if (d->what == HANG_ON)
        signal(SIGTERM, SIG_IGN);
    while (d->what >= HANG)
        pause();
    return 0;
}
TRINE_TASK(do_it, struct deed);

static pid_t tell_pid(trine_executor *pool) {
    struct deed d = {TELL_PID, 0};
    CHECK_OK(trine_map_all(pool, do_it, &d, 1));
    return d.pid;
}

TEST(tasks_run_and_workers_that_die_are_replaced) {
    forget_pidfds();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < 5; i++) {
        pid_t before = tell_pid(pool);
        struct deed dies = {DIE, 0};
        CHECK_EQ(trine_map_all(pool, do_it, &dies, 1), -EOWNERDEAD);
        CHECK(tell_pid(pool) != before);
    }
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

/* As filters of containers do that are older than the call. */
TEST(tasks_run_where_pidfds_are_not_permitted) {
    refuse_pidfds(EPERM);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    tell_pid(pool);
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

static int count_own_descriptors(struct deed *d) {
    d->pid = (pid_t)count_descriptors();
    return 0;
}
TRINE_TASK(count_own_descriptors, struct deed);

TEST(a_worker_has_none_of_the_others_descriptors) {
    forget_pidfds();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 3});
    struct deed d[3] = {{0}};
    CHECK_OK(trine_processes_each(pool, count_own_descriptors, d));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(d[i].pid, 7); /* . and .., four documented ones, and that of the list */
    trine_executor_close(&pool);
}

/* It has the zygote's lifeline, as all that the program forks. */
TEST(a_child_of_the_program_keeps_no_zygote_alive) {
    forget_pidfds();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    tell_pid(pool);
    pid_t child = fork();
    if (child == 0)
        for (prctl(PR_SET_PDEATHSIG, SIGKILL);;)
            pause();
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 1);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

TEST(a_time_limit_kills) {
    forget_pidfds();
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .task_timeout = TRINE_MS(50)});
    struct deed hangs = {HANG_ON, 0}, tells = {TELL_PID, 0};
    CHECK_EQ(trine_map_all(pool, do_it, &hangs, 1), -ETIME);
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit_opts(s, pool, do_it, &tells, .timeout = TRINE_SEC(60)));
    CHECK_OK(trine_join(s));
    CHECK(tells.pid > 0);
    trine_scope_close(&s);
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

TEST(a_fork_that_fails_is_told_and_nobody_is_signalled) {
    forget_pidfds();
    forbid_fork();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct deed d = {TELL_PID, 0};
    CHECK_EQ(trine_map_all(pool, do_it, &d, 1), -EAGAIN);
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

static void cancel_one(int what) {
    forget_pidfds();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(40)});
    struct deed hangs = {what, 0};
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(50));
        CHECK_OK(trine_submit(s, pool, do_it, &hangs));
        CHECK_EQ(trine_join(s), -ETIMEDOUT);
    }
    tell_pid(pool);
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

TEST(a_cancelled_task_is_ended_by_the_first_signal) {
    cancel_one(HANG);
}

TEST(a_cancelled_task_is_ended_by_the_last_signal) {
    cancel_one(HANG_ON);
}

TEST(a_zygote_that_dies_is_replaced) {
    forget_pidfds();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    tell_pid(pool);
    pid_t zygote = find_zygote(), workers[2];
    CHECK(EVENTUALLY(children_of(zygote, workers, 2) == 2, 20000));
    kill(zygote, SIGKILL);
    char state;
    for (int i = 0; i < 2; i++) /* one that had begun the next task would take it along */
        CHECK(EVENTUALLY(parent_of(workers[i], &state) == 0 || state == 'Z', 20000));
    tell_pid(pool);
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

#define VICTIM "TRINE_TEST_OLD_KERNEL_VICTIM"

TEST(plant_victim) {
    if (!getenv(VICTIM))
        return;
    forget_pidfds();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    tell_pid(pool);
    pause();
    trine_executor_close(&pool);
}

TEST(nothing_outlives_a_program_that_is_killed) {
    char program[4096];
    pid_t victim, zygote, workers[2];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    CHECK_OK(n);
    program[n] = 0;
    forget_pidfds();
    setenv(VICTIM, "1", 1);
    char *args[] = {program, (char *)"--case", (char *)"plant_victim", NULL};
    CHECK_EQ(test_spawn(&victim, program, args), 0);
    CHECK(EVENTUALLY(children_of(victim, &zygote, 1) == 1, 20000));
    CHECK(EVENTUALLY(children_of(zygote, workers, 2) == 2, 20000));
    kill(victim, SIGKILL);
    CHECK_EQ(waitpid(victim, NULL, 0), victim);
    CHECK(EVENTUALLY(kill(zygote, 0) < 0, 20000));
    for (int i = 0; i < 2; i++)
        CHECK(EVENTUALLY(kill(workers[i], 0) < 0, 20000));
}
