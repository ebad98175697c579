/* steps.c - workers die, or are stopped, at each named step of what they do (base/step.h), and the
 * zygote's fork fails, while threads submit tasks: each task comes back exactly once, right or with
 * an error that is true; at the end no process, descriptor or mapping is left. */
#define TEST_TIMEOUT 1200
#include "leftovers.h"
#include "storm_jobs.h"

#include "base/step.h"
#include "exec/garble.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

enum {
    SUBMITTERS = 6,
    AT_LEAST = 50,
    KILLS = 20000,
    STOPS = 20000,
    GARBLED = 20000,
    FAILED_FORKS = 20000
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

/* Steps that come seldom are chosen often, until each has had its share; `later`, one in so many.
 */
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

/* Where steps are chosen, how many, and what is done there. */
struct plan {
    enum storm kind;
    unsigned first, last, wanted;
    unsigned later; /* see steer */
};

/* Who is stopped, or cannot be forked, costs time but no CPU: so many at once. A worker that is
 * stopped is killed when its task's time is over. */
static trine_processes_opts pool_for(enum storm kind) {
    trine_processes_opts opts = {.workers = 4, .queue = 40, .max_tasks = 20};
    if (kind == STORM_OF_STOPS)
        opts.task_timeout = TRINE_MS(30);
    if (kind == STORM_OF_STOPS || kind == STORM_OF_FAILED_FORKS)
        opts.workers = 16;
    if (kind == STORM_OF_FAILED_FORKS)
        opts.max_tasks = 3;
    return opts;
}

/* Until `wanted` are chosen, and each step has its share; or, if not `armed`, for a moment. */
static void storm(struct step_table *t, const struct plan *plan, bool armed) {
    pthread_t threads[SUBMITTERS];
    trine_executor *pool = pool_open(pool_for(plan->kind));
    atomic_store(&over, false);
    atomic_store(&storm_kind, plan->kind);
    atomic_store(&t->signal, plan->kind == STORM_OF_GARBAGE ? 0
                             : plan->kind == STORM_OF_STOPS ? SIGSTOP
                                                            : SIGKILL);
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, submit, pool), 0);
    while (armed && (steer(t, plan->first, plan->last, plan->later) < plan->wanted ||
                     !all_have_their_share(t, plan->first, plan->last)))
        usleep(5000);
    for (unsigned i = 0; i < STEPS; i++)
        atomic_store(&t->of[i].one_in, 0);
    atomic_store(&over, true);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    trine_executor_close(&pool);
}

static void check_storm(struct plan plan) {
    char path[64];
    int64_t began = test_now_ms();
    struct step_table *t = table_new(path);
    adopt_orphans();
    storm(t, &plan, false); /* from now on the library has what it keeps */
    size_t before = count_descriptors(), mappings = count_mappings();
    storm(t, &plan, true);
    CHECK_EQ(count_descriptors(), before);
    CHECK_EQ(count_mappings(), mappings);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
    CHECK(nobody_is_left());
    for (unsigned i = plan.first; i <= plan.last; i++)
        printf("  %-12s %u of %u\n", names[i], atomic_load(&t->of[i].chosen),
               atomic_load(&t->of[i].visits));
    printf("  (%u batches of %d tasks; of %d MiB %u done, %u failed; %lld ms)\n",
           atomic_load(&batches), BATCH + 1, LARGE >> 20, atomic_load(&large_done),
           atomic_load(&large_failed), (long long)(test_now_ms() - began));
    munmap(t, sizeof(*t));
    unlink(path);
}

TEST(workers_die_at_every_step) {
    check_storm((struct plan){STORM_OF_KILLS, STEP_START, STEP_LEAVING, KILLS, 300});
}

/* From its greeting on: before that, and when it leaves, only time ends it (30 s, 2 s). */
TEST(workers_are_stopped_at_every_step_of_a_task) {
    check_storm((struct plan){STORM_OF_STOPS, STEP_HEADER, STEP_FULL, STOPS, 300});
}

/* What each kind of garbage is called in the error of the task at hand; where it had none, by its
 * old number. Of what is flipped each place has its own name. A wrong place in the stream that the
 * worker reads may go unseen: its next read puts it right (unit/processes_hostile.c has it stay).
 */
static const char *const garbage_names[GARBAGES] = {
    [GARBAGE_BYTES] = "sent no frame",
    [GARBAGE_SEQUENCE] = "sent a reply to another task",
    [GARBAGE_WORKER] = "sent a reply in the name of another worker",
    [GARBAGE_BODY] = "sent a result o", /* over the limit, of the wrong size */
    [GARBAGE_AREA] = "sent a frame with unknown flags",
    [GARBAGE_OTHER_AREA] = "sent a result in the area of another task",
    [GARBAGE_PUT] = "sent more than its stream can hold",
    [GARBAGE_TAKEN] = "it has read what was never sent",
};
static atomic_uint garbage_seen[GARBAGES];

static void note_garbage(const char *detail) {
    for (unsigned i = 0; i < GARBAGES; i++)
        if (garbage_names[i] && strstr(detail, garbage_names[i]))
            atomic_fetch_add(&garbage_seen[i], 1);
}

/* A body that got them in its middle is as long as its header says, and wrong: only its owner could
 * tell. So not there, and not when it leaves, where nobody reads. */
TEST(workers_write_garbage_between_their_frames) {
    note_violation = note_garbage;
    check_storm((struct plan){STORM_OF_GARBAGE, STEP_HEADER, STEP_RETURNED, GARBLED, 300});
    for (unsigned i = 0; i < GARBAGES; i++) {
        if (!garbage_names[i])
            continue;
        printf("  %u tasks ended: it %s\n", atomic_load(&garbage_seen[i]), garbage_names[i]);
        CHECK(atomic_load(&garbage_seen[i]) > 0 || i == GARBAGE_TAKEN);
    }
}

TEST(fork_fails) {
    check_storm((struct plan){STORM_OF_FAILED_FORKS, STEP_FORK, STEP_FORK, FAILED_FORKS, 3});
}
