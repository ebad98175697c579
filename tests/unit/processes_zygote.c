/* processes_zygote.c - the zygote where descriptors, rights or its own time run short. */
#include "processes_help.h"

#include <trine/task.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

struct look {
    pid_t pid;
    rlim_t files;
};

static int look(struct look *l) {
    struct rlimit files;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    *l = (struct look){getpid(), files.rlim_cur};
    return 0;
}
TRINE_TASK(look, struct look);

static void limit_files(rlim_t most) {
    struct rlimit files;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = most;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* The limit that the program had when the zygote was started is the workers', not the zygote's. */
TEST(a_pool_may_be_larger_than_the_limit_that_the_zygote_began_with) {
    enum { FEW = 40, WORKERS = 24 };
    struct rlimit before;
    struct look l[WORKERS] = {{0}};
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit_files(FEW);
    trine_executor *first = pool_open((trine_processes_opts){.workers = 1});
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    CHECK_OK(trine_processes_each(pool, look, l));
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(l[i].files, FEW);
    CHECK_EQ(children_of(find_zygote(), NULL, 0), WORKERS + 1);
    trine_executor_close(&pool);
    trine_executor_close(&first);
}

/* Whatever of the start failed: nobody is left behind, and nobody else is harmed. */
TEST(a_program_without_descriptors_loses_no_worker) {
    trine_executor *first = pool_open((trine_processes_opts){.workers = 1});
    struct look before = {0}, after = {0};
    CHECK_OK(trine_map_all(first, look, &before, 1));
    size_t open_now = count_descriptors();
    for (rlim_t room = 6; room < 40; room += 3) {
        limit_files(open_now + room);
        trine_executor *pool = NULL;
        trine_processes_opts opts = {.size = sizeof(opts), .workers = 8};
        struct look l = {0};
        if (trine_processes_open(&pool, &opts) < 0)
            continue;
        int r = trine_map_all(pool, look, &l, 1);
        CHECK(r == 0 || r == -EAGAIN);
        trine_executor_close(&pool);
        CHECK(EVENTUALLY(children_of(find_zygote(), NULL, 0) == 1, 20000));
    }
    CHECK_OK(trine_map_all(first, look, &after, 1));
    CHECK_EQ(after.pid, before.pid);
    trine_executor_close(&first);
}

static int hang_on(struct look *l) {
    signal(SIGTERM, SIG_IGN);
    while (l)
        pause();
    return 0;
}
TRINE_TASK(hang_on, struct look);

TEST(a_program_that_has_dropped_its_rights_still_ends_its_workers) {
    if (geteuid() != 0)
        test_skip("only root can drop rights");
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct look l = {0};
    CHECK_OK(trine_map_all(pool, look, &l, 1));
    CHECK_EQ(setresuid(65534, 65534, 65534), 0);
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit_opts(s, pool, hang_on, &l, .timeout = TRINE_MS(50)));
    CHECK_EQ(trine_join(s), -ETIME);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* A process of its own, which does it also if the case fails. */
static pid_t go_on_soon(pid_t zygote) {
    pid_t child = fork();
    if (child == 0) {
        usleep(600000); /* long enough for all attempts of a pool that does not wait */
        kill(zygote, SIGCONT);
        _exit(0);
    }
    return child;
}

TEST(a_zygote_that_is_slow_is_waited_for) {
    enum { MANY = 40 };
    trine_executor *first = pool_open((trine_processes_opts){.workers = 1});
    pid_t zygote = find_zygote();
    pid_t child = go_on_soon(zygote);
    kill(zygote, SIGSTOP);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = MANY});
    struct look l = {0};
    CHECK_OK(trine_map_all(pool, look, &l, 1));
    CHECK_EQ(waitpid(child, NULL, 0), child);
    trine_executor_close(&pool);
    trine_executor_close(&first);
}

/* --- what workers leave behind --- */

static int leave_an_orphan(struct look *l) {
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0)
            usleep(1000);
        _exit(0);
    }
    l->pid = child;
    return waitpid(child, NULL, 0) == child ? 0 : -errno;
}
TRINE_TASK(leave_an_orphan, struct look);

static bool has_zombies(pid_t parent) {
    char state = 0;
    bool found = false;
    DIR *proc = opendir("/proc");
    CHECK(proc);
    for (struct dirent *entry; (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]) &&
            parent_of((pid_t)atol(entry->d_name), &state) == parent && state == 'Z')
            found = true;
    closedir(proc);
    return found;
}

TEST(orphans_of_workers_are_reaped_while_nothing_else_happens) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct look l = {0};
    pid_t zygote = find_zygote();
    for (int i = 0; i < 3; i++)
        CHECK_OK(trine_map_all(pool, leave_an_orphan, &l, 1));
    CHECK(EVENTUALLY(children_of(zygote, NULL, 0) == 1 && !has_zombies(zygote), 20000));
    trine_executor_close(&pool);
}

/* --- the zygote killed under load --- */

struct count {
    char path[48];
    int number;
};

enum { COUNTED = 3000 };

static atomic_int *map_runs(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_OK(ftruncate(fd, COUNTED * sizeof(atomic_int)));
    void *runs =
        mmap(NULL, COUNTED * sizeof(atomic_int), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(runs != MAP_FAILED);
    close(fd);
    return runs;
}

static int count_run(struct count *c) {
    static atomic_int *runs; /* of the file */
    if (!runs)
        runs = map_runs(c->path);
    atomic_fetch_add(&runs[c->number], 1);
    for (volatile int i = 0; i < 3000; i++)
        ;
    return 0;
}
TRINE_TASK(count_run, struct count);

struct killer {
    atomic_bool stop;
    atomic_int kills;
};

static void *kill_zygotes(void *arg) {
    struct killer *k = (struct killer *)arg;
    while (!atomic_load(&k->stop)) {
        pid_t zygote;
        usleep(30000);
        if (children_of(getpid(), &zygote, 1) == 1 && kill(zygote, SIGKILL) == 0)
            atomic_fetch_add(&k->kills, 1);
    }
    return NULL;
}

/* One round of them; none may have run twice. */
static void count_runs(trine_executor *pool, struct count *tasks, atomic_int *runs) {
    memset(runs, 0, COUNTED * sizeof(*runs));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_map(s, pool, count_run, tasks, COUNTED));
    int r = trine_join(s);
    CHECK(r == 0 || r == -EOWNERDEAD || r == -EAGAIN);
    for (int i = 0; i < COUNTED; i++)
        if (atomic_load(&runs[i]) > 1)
            test_fail(__FILE__, __LINE__, "task %d ran twice", i);
}

/* Those that were begun are lost, the others go to other workers; none is run twice, since none
 * says that it may be. */
TEST(no_task_is_run_twice_when_zygotes_die) {
    enum { KILLS = 40 };
    static struct count tasks[COUNTED];
    struct killer killer = {false};
    pthread_t thread;
    char path[48];
    snprintf(path, sizeof(path), "/tmp/trine-runs-%d", (int)getpid());
    unlink(path);
    atomic_int *runs = map_runs(path);
    for (int i = 0; i < COUNTED; i++) {
        tasks[i] = (struct count){.number = i};
        snprintf(tasks[i].path, sizeof(tasks[i].path), "%s", path);
    }
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    CHECK_EQ(pthread_create(&thread, NULL, kill_zygotes, &killer), 0);
    while (atomic_load(&killer.kills) < KILLS)
        count_runs(pool, tasks, runs);
    atomic_store(&killer.stop, true);
    pthread_join(thread, NULL);
    trine_executor_close(&pool);
    munmap(runs, COUNTED * sizeof(*runs));
    unlink(path);
}
