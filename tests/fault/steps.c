/* steps.c - workers die, or are stopped, at each named step of what they do (base/step.h), and the
 * zygote's fork fails, while threads submit tasks: each task comes back exactly once, right or with
 * an error that is true; at the end no process, descriptor or mapping is left. */
#define TEST_TIMEOUT 1200
#include "storm_jobs.h"

#include "base/step.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

enum {
    SUBMITTERS = 3,
    AT_LEAST = 50,
    KILLS = 20000,
    STOPS = 1000,
    GARBLED = 1000,
    FAILED_FORKS = 1000
};

static const char *const names[STEPS] = {
    [STEP_FORK] = "fork",
    [STEP_START] = "start",
    [STEP_GREETING] = "greeting",
    [STEP_GREETED] = "greeted",
    [STEP_HEADER] = "header",
    [STEP_PART] = "part",
    [STEP_ARGUMENT] = "argument",
    [STEP_SKIPPED] = "skipped",
    [STEP_BEGUN] = "begun",
    [STEP_REPORT] = "report",
    [STEP_RETURNED] = "returned",
    [STEP_REPLY_HEADER] = "reply header",
    [STEP_REPLY_PART] = "reply part",
    [STEP_REPLY] = "reply",
    [STEP_TOLD] = "told",
    [STEP_ASLEEP] = "asleep",
    [STEP_FULL] = "full",
    [STEP_LEAVING] = "leaving",
};

static struct step_table *table_new(char path[64]) {
    snprintf(path, 64, "/tmp/trine-steps-%d", (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, sizeof(struct step_table)), 0);
    void *memory = mmap(NULL, sizeof(struct step_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED);
    close(fd);
    setenv("TRINE_STEPS", path, 1); /* read by the zygote, which starts later */
    return memory;
}

/* Steps that come seldom are chosen often, until each has had its share. */
static unsigned steer(struct step_table *t, unsigned first, unsigned last, unsigned later) {
    unsigned all = 0;
    for (unsigned i = first; i <= last; i++) {
        unsigned chosen = atomic_load(&t->of[i].chosen);
        bool seldom = i == STEP_SKIPPED || i == STEP_LEAVING || i == STEP_FORK;
        all += chosen;
        atomic_store(&t->of[i].one_in, chosen >= AT_LEAST ? later : seldom ? 2 : 20);
    }
    return all;
}

static bool all_have_their_share(const struct step_table *t, unsigned first, unsigned last) {
    for (unsigned i = first; i <= last; i++)
        if (atomic_load(&t->of[i].chosen) < AT_LEAST)
            return false;
    return true;
}

static size_t count_mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t room = 0, n = 0;
    CHECK(maps);
    while (getline(&line, &room, maps) > 0)
        n += strstr(line, "memfd:") != NULL;
    free(line);
    fclose(maps);
    return n;
}

/* Until `wanted` are chosen among the steps from first to last, and each of them has its share. */
static void storm(struct step_table *t, int signal, unsigned first, unsigned last,
                  unsigned wanted) {
    pthread_t threads[SUBMITTERS];
    unsigned chosen;
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 4,
                                         .queue = 40,
                                         .max_tasks = 20,
                                         .task_timeout = signal == SIGKILL ? 0 : TRINE_MS(30)});
    atomic_store(&over, false);
    atomic_store(&may_be_late, signal != SIGKILL);
    atomic_store(&may_be_garbled, signal == 0);
    atomic_store(&t->signal, signal);
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, submit, pool), 0);
    while ((chosen = steer(t, first, last,
                           !wanted              ? 0
                           : first == STEP_FORK ? 3
                                                : 300)) < wanted ||
           (wanted && !all_have_their_share(t, first, last)))
        usleep(5000);
    for (unsigned i = 0; i < STEPS; i++)
        atomic_store(&t->of[i].one_in, 0);
    atomic_store(&over, true);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    trine_executor_close(&pool);
}

static void check_storm(int signal, unsigned first, unsigned last, unsigned wanted) {
    char path[64];
    struct step_table *t = table_new(path);
    storm(t, signal, 1, 0, 0); /* calm: from now on the library has what it keeps */
    size_t before = count_descriptors(), mappings = count_mappings();
    storm(t, signal, first, last, wanted);
    CHECK_EQ(count_descriptors(), before);
    CHECK_EQ(count_mappings(), mappings);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    for (unsigned i = first; i <= last; i++)
        printf("  %-12s %u of %u\n", names[i], atomic_load(&t->of[i].chosen),
               atomic_load(&t->of[i].visits));
    printf("  (%u batches of %d tasks)\n", atomic_load(&batches), BATCH + 1);
    munmap(t, sizeof(*t));
    unlink(path);
}

TEST(workers_die_at_every_step) {
    check_storm(SIGKILL, STEP_START, STEP_LEAVING, KILLS);
}

/* From its greeting on: before that, and when it leaves, only time ends it (30 s, 2 s). */
TEST(workers_are_stopped_at_every_step_of_a_task) {
    check_storm(SIGSTOP, STEP_HEADER, STEP_FULL, STOPS);
}

/* A body that got them in its middle is as long as its header says, and wrong: only its owner could
 * tell. So not there, and not when it leaves, where nobody reads. */
TEST(workers_write_garbage_between_their_frames) {
    check_storm(0, STEP_HEADER, STEP_RETURNED, GARBLED);
}

TEST(fork_fails) {
    check_storm(SIGKILL, STEP_FORK, STEP_FORK, FAILED_FORKS);
}
