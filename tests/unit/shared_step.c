/* shared_step.c - a process is killed at each single instruction of taking a mutex between
 * processes and giving it back: the next one gets it, and is told so if it died with it. */
#define TEST_TIMEOUT 120
#include "stepped.h"

#include "exec/shared_mutex.h"

#include <sys/mman.h>

static struct stage {
    struct mutex_memory mutex;
    volatile int inside; /* the victim has it, and has not begun to give it back */
} * stage;

_Noreturn static void be_victim(void) {
    stepped_begin();
    int r = mutex_memory_try_lock(&stage->mutex);
    stage->inside = 1;
    stage->inside = 0;
    mutex_memory_unlock(&stage->mutex);
    stepped_end(r >= 0 ? 0 : 1);
}

static long run_victim(long steps) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        be_victim();
    return stepped_run(pid, steps);
}

/* By the one who comes next, whom the kernel has told of the death. */
static int take(void) {
    int r = mutex_memory_try_lock(&stage->mutex);
    CHECK(r == 0 || r == 1);
    CHECK_EQ(mutex_memory_try_lock(&stage->mutex), -EDEADLK);
    mutex_memory_unlock(&stage->mutex);
    return r;
}

/* How many instructions the victim has. */
static long set_stage(void) {
    stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(stage != MAP_FAILED);
    mutex_memory_init(&stage->mutex);
    atomic_store(&stage->mutex.base.awaited, true); /* it has somebody to rouse */
    CHECK_EQ(take(), 0);
    syscall(SYS_getpid); /* all calls are bound by now */
    long total = run_victim(STEPS_MOST);
    CHECK_EQ(take(), 0);
    return total;
}

TEST(a_holder_may_die_at_any_instruction) {
    long total = set_stage(), stride = stepped_stride(total), told = 0, kills = 0;
    for (bool whole = false; !whole; kills++) {
        long steps = 1 + kills * stride;
        atomic_store(&stage->mutex.base.awaited, true);
        whole = run_victim(steps) < steps;
        int r = take();
        CHECK(r == 1 || !stage->inside);
        CHECK(r == 0 || !whole);
        told += r;
        stage->inside = 0;
        CHECK_EQ(take(), 0); /* it is as good as new */
    }
    CHECK(told > 0 && told < kills);
    printf("  (%ld kills, %ld instructions, %ld with the mutex)\n", kills, total, told);
}

/* A victim that dies with it, and then one that dies as it takes it over. */
TEST(who_takes_over_may_die_too) {
    long total = set_stage(), with_it = 1, kills = 0;
    while (run_victim(with_it) == with_it && !stage->inside) {
        take();
        with_it++;
    }
    CHECK(stage->inside);
    for (long steps = 1; steps < with_it; steps += stepped_stride(total), kills++) {
        run_victim(steps);
        CHECK_EQ(take(), 1);
        run_victim(with_it);
    }
    CHECK_EQ(take(), 1);
    CHECK_EQ(take(), 0);
    printf("  (%ld kills of who takes over)\n", kills);
}
