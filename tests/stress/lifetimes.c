/* lifetimes.c - programs that are killed with their pools, many at once: no descendant of theirs
 * lives 2 s later. And workers by the thousand, started while threads of the program allocate, and
 * open and close files: none hangs, and each has the documented descriptors and no other. */
#define TEST_TIMEOUT 1200
#include "leftovers.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A sanitizer's process needs longer to begin, and so to notice. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ALL_GONE_MS = 15000 };
#else
enum { ALL_GONE_MS = 2000 };
#endif
enum { AT_ONCE = 16, PROGRAMS = 48, PROGRAMS_FULL = 1000, LONGEST_LIFE_US = 80000 };
enum { WORKERS = 300, WORKERS_FULL = 10000, ALLOCATORS = 8, OPENERS = 2, BATCH = 50 };

static unsigned wanted(unsigned bounded, unsigned full) {
    return getenv("TRINE_STRESS") ? full : bounded;
}

/* --- programs that are killed --- */

struct nothing {
    int unused;
};

static int leave_a_child(struct nothing *n) {
    (void)n;
    pid_t pid = fork();
    if (pid == 0)
        setsid(); /* out of its worker's process group */
    for (;;)
        pause();
    return 0;
}
TRINE_TASK(leave_a_child, struct nothing);

TEST(plant_program) {
    if (!getenv("TRINE_VICTIM"))
        return;
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct nothing n[2];
    TRINE_SCOPE(s);
    trine_map(s, pool, leave_a_child, n, 2);
    trine_join(s);
}

static pid_t start_program(const char *program) {
    char *args[] = {(char *)program, (char *)"--case", (char *)"plant_program", NULL};
    pid_t pid;
    CHECK_EQ(test_spawn(&pid, program, args), 0);
    return pid;
}

TEST(no_descendant_of_many_killed_programs_survives) {
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    CHECK(len > 0);
    program[len] = 0;
    setenv("TRINE_VICTIM", "1", 1);
    adopt_orphans();
    unsigned programs = wanted(PROGRAMS, PROGRAMS_FULL);
    srand(11);
    for (unsigned done = 0; done < programs; done += AT_ONCE) {
        pid_t victims[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            victims[i] = start_program(program);
        for (int i = 0; i < AT_ONCE; i++) {
            usleep((useconds_t)(rand() % (LONGEST_LIFE_US / AT_ONCE)));
            kill(victims[i], SIGKILL);
        }
        int64_t until = test_now_ms() + ALL_GONE_MS;
        while (!nobody_is_left() && test_now_ms() < until)
            usleep(2000);
        if (test_now_ms() >= until)
            test_fail(__FILE__, __LINE__, "after %u programs %zu processes are left",
                      done + AT_ONCE, children_of(getpid(), NULL, 0));
    }
    printf("  (%u programs)\n", programs);
}

/* --- workers by the thousand --- */

static atomic_bool stop;

static void *allocate(void *unused) {
    (void)unused;
    for (size_t i = 0; !atomic_load(&stop); i++) {
        char *p = malloc(64 + i * 37 % 100000);
        CHECK(p);
        p[0] = (char)i;
        free(p);
    }
    return NULL;
}

static void *open_and_close(void *unused) {
    (void)unused;
    while (!atomic_load(&stop)) {
        int fd = open("/dev/zero", O_RDONLY); /* NOLINT: not close-on-exec on purpose */
        CHECK(fd >= 0);
        close(fd);
    }
    return NULL;
}

struct inventory {
    pid_t pid;
    int descriptors, highest;
};

static int take_inventory(struct inventory *v) {
    *v = (struct inventory){.pid = getpid()};
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -errno;
    for (struct dirent *entry; (entry = readdir(dir));) {
        int fd = atoi(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || fd == dirfd(dir))
            continue;
        v->descriptors++;
        v->highest = fd > v->highest ? fd : v->highest;
    }
    closedir(dir);
    return 0;
}
TRINE_TASK(take_inventory, struct inventory);

static void check_batch(trine_executor *pool) {
    struct inventory all[BATCH];
    CHECK_OK(trine_map_all(pool, take_inventory, all, BATCH));
    for (int i = 0; i < BATCH; i++) {
        CHECK_EQ(all[i].descriptors, 4); /* 0 to 2 and the bell, see zygote.h */
        CHECK_EQ(all[i].highest, 3);
        for (int k = 0; k < i; k++)
            CHECK(all[i].pid != all[k].pid);
    }
}

TEST(workers_by_the_thousand_start_beside_busy_threads) {
    pthread_t threads[ALLOCATORS + OPENERS];
    int leak = open("/dev/zero", O_RDONLY); /* NOLINT: not close-on-exec on purpose */
    CHECK(leak >= 0);
    for (int i = 0; i < ALLOCATORS + OPENERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i < ALLOCATORS ? allocate : open_and_close,
                                NULL),
                 0);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 4, .max_tasks = 1});
    unsigned workers = wanted(WORKERS, WORKERS_FULL);
    for (unsigned done = 0; done < workers; done += BATCH)
        check_batch(pool);
    trine_executor_close(&pool);
    atomic_store(&stop, true);
    for (int i = 0; i < ALLOCATORS + OPENERS; i++)
        pthread_join(threads[i], NULL);
    close(leak);
    printf("  (%u workers)\n", workers);
}
