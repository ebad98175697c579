/* processes_leftovers.c - what a pool leaves behind: no process, no descriptor, also when the
 * program is killed; and what a worker inherits: exactly what it is documented to. */
#include "processes_help.h"

#include <trine/shared.h>
#include <trine/task.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <valgrind/valgrind.h>

#define VICTIM "TRINE_TEST_VICTIM"   /* names a process that a case has started, and all below it */
#define DIE_FILE "TRINE_TEST_DIE"    /* while this file exists, workers die at their start */
#define NO_ZYGOTE "TRINE_TEST_NO_ZG" /* the zygote ends before it is ready */

struct act {
    int out;
    pid_t pid;
};

static int work(struct act *a) {
    a->out = 1;
    a->pid = getpid();
    return 0;
}
TRINE_TASK(work, struct act);

static int crash(struct act *a) {
    (void)a;
    abort();
}
TRINE_TASK(crash, struct act);

/* The library opens descriptors of its own at the first use; from then on there are none more. */
static void use_pool(void) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 3, .max_tasks = 2});
    struct act a[10] = {{0}}, b = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_map(s, pool, work, a, 10));
    CHECK_OK(trine_submit(s, pool, crash, &b));
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(no_descriptor_and_no_process_is_left) {
    use_pool();
    size_t before = count_descriptors();
    for (int i = 0; i < 5; i++) {
        use_pool();
        CHECK_EQ(children_of(getpid(), NULL, 0), 0);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1); /* no zombie either */
    }
    CHECK_EQ(count_descriptors(), before);
}

/* --- what a worker has --- */

struct inventory {
    int count;
    int fds[32];
    char input[64];
    sigset_t mask;
    int ignored; /* signals with another action than the default */
};

static int take_inventory(struct inventory *a) {
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -errno;
    for (struct dirent *entry; (entry = readdir(dir));) {
        int fd = atoi(entry->d_name);
        if (isdigit((unsigned char)entry->d_name[0]) && fd != dirfd(dir) && a->count < 32)
            a->fds[a->count++] = fd;
    }
    closedir(dir);
    if (readlink("/proc/self/fd/0", a->input, sizeof(a->input) - 1) < 0)
        return -errno;
    sigprocmask(SIG_SETMASK, NULL, &a->mask);
    for (int i = 1; i < 32; i++) {
        struct sigaction action;
        bool of_a_crash = i == SIGSEGV || i == SIGBUS || i == SIGFPE || i == SIGILL || i == SIGABRT;
        if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL && !of_a_crash)
            a->ignored++;
    }
    return 0;
}
TRINE_TASK(take_inventory, struct inventory);

static atomic_bool stop_opening;

static void *open_and_close(void *unused) {
    (void)unused;
    while (!atomic_load(&stop_opening)) {
        int fd = open("/dev/zero", O_RDONLY); /* NOLINT: not close-on-exec on purpose */
        CHECK(fd >= 0);
        close(fd);
    }
    return NULL;
}

TEST(a_worker_has_exactly_the_documented_descriptors) {
    pthread_t threads[4];
    int leak = open("/dev/zero", O_RDONLY); /* NOLINT: not close-on-exec on purpose */
    CHECK(leak >= 0);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigprocmask(SIG_BLOCK, &some, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
    for (int round = 0; round < 10; round++) {
        trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
        struct inventory a[4] = {{0}};
        TRINE_SCOPE(s);
        CHECK_OK(trine_map(s, pool, take_inventory, a, 4));
        CHECK_EQ(trine_join(s), 0);
        for (int i = 0; i < 4; i++) {
            CHECK_STR(a[i].input, "/dev/null");
            CHECK(!sigismember(&a[i].mask, SIGUSR1));
            int found = 0;
            for (int k = 0; k < a[i].count; k++)
                found += a[i].fds[k] <= 3;
            CHECK_EQ(found, 4);
            if (!RUNNING_ON_VALGRIND) { /* it has some of its own */
                CHECK_EQ(a[i].count, 4);
                CHECK_EQ(a[i].ignored, 0);
            }
        }
        trine_scope_close(&s);
        trine_executor_close(&pool);
    }
    atomic_store(&stop_opening, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    close(leak);
}

TEST(a_program_without_standard_streams) {
    int keep = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
    CHECK(keep >= 0);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    struct inventory a = {0};
    trine_executor *pool = NULL;
    const trine_processes_opts opts = {.size = sizeof(opts), .workers = 1};
    int opened = trine_processes_open(&pool, &opts), status = -1;
    if (opened >= 0) {
        TRINE_SCOPE(s);
        trine_submit(s, pool, take_inventory, &a);
        status = trine_join(s);
        trine_scope_close(&s);
        trine_executor_close(&pool);
    }
    dup2(keep, STDOUT_FILENO);
    CHECK_OK(opened);
    CHECK_OK(status);
    CHECK_STR(a.input, "/dev/null");
    CHECK(RUNNING_ON_VALGRIND || a.count == 4);
}

/* --- other processes of this program --- */

static void own_path(char *space, size_t size) {
    ssize_t n = readlink("/proc/self/exe", space, size - 1);
    CHECK(n > 0);
    space[n] = '\0';
}

static pid_t start_victim(const char *program, const char *name, const char *token) {
    pid_t pid;
    char *argv[] = {(char *)program, (char *)"--case", (char *)name, NULL};
    setenv(VICTIM, token, 1);
    CHECK_EQ(posix_spawn(&pid, program, NULL, NULL, argv, environ), 0);
    unsetenv(VICTIM);
    return pid;
}

/* Living processes that were started with this token in their environment. */
static size_t count_marked(const char *token) {
    char wanted[80];
    size_t wanted_len = (size_t)snprintf(wanted, sizeof(wanted), "%s=%s", VICTIM, token);
    size_t count = 0;
    DIR *proc = opendir("/proc");
    CHECK(proc);
    for (struct dirent *entry; (entry = readdir(proc));) {
        char path[64], state;
        static char text[65536];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%.20s/environ", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n > 0 && memmem(text, (size_t)n, wanted, wanted_len) &&
            parent_of((pid_t)atol(entry->d_name), &state) > 0 && state != 'Z')
            count++;
    }
    closedir(proc);
    return count;
}

/* A task that starts a process of its own, which leaves the worker's process group. */
static int leave_a_child(struct act *a) {
    (void)a;
    pid_t pid = fork();
    if (pid == 0)
        setsid();
    for (;;)
        pause();
    return 0;
}
TRINE_TASK(leave_a_child, struct act);

static int stay(struct act *a) {
    (void)a;
    for (;;)
        pause();
    return 0;
}
TRINE_TASK(stay, struct act);

/* On an idle machine none lives after 2 s; beside other tests one may need longer to begin, and so
 * to notice. One that does not notice stays for ever. */
enum { ALL_GONE_MS = 15000 };
enum { VICTIM_PROCESSES = 6 }; /* itself, the zygote, 3 workers, the child of one */

TEST(plant_victim) {
    if (!getenv(VICTIM))
        return;
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 3});
    struct act a[3] = {{0}};
    TRINE_SCOPE(s);
    trine_submit(s, pool, stay, &a[0]);
    trine_submit(s, pool, leave_a_child, &a[1]);
    trine_submit(s, pool, stay, &a[2]);
    trine_join(s);
}

TEST(no_descendant_survives_a_program_that_is_killed) {
    char program[4096], token[64];
    own_path(program, sizeof(program));
    srand(7);
    for (int round = 0; round < 20; round++) {
        snprintf(token, sizeof(token), "%d.%d", (int)getpid(), round);
        pid_t victim = start_victim(program, "plant_victim", token);
        if (round % 2)
            usleep((useconds_t)(rand() % 30000)); /* any moment of the start */
        else if (!EVENTUALLY(count_marked(token) >= VICTIM_PROCESSES, 10000))
            test_fail(__FILE__, __LINE__, "%zu processes", count_marked(token));
        kill(victim, SIGKILL);
        CHECK_EQ(waitpid(victim, NULL, 0), victim);
        if (!EVENTUALLY(count_marked(token) == 0, ALL_GONE_MS))
            test_fail(__FILE__, __LINE__, "round %d: %zu live", round, count_marked(token));
    }
}

/* Its file is gone when the pool is opened. */
TEST(plant_deleted) {
    if (!getenv(VICTIM))
        return;
    char program[4096];
    own_path(program, sizeof(program));
    CHECK_EQ(unlink(program), 0);
    use_pool();
}

TEST(a_program_whose_file_was_deleted) {
    if (RUNNING_ON_VALGRIND)
        test_skip("under valgrind the link of a deleted program does not lead to it");
    char program[4096], copy[] = "/tmp/trine-test-XXXXXX";
    own_path(program, sizeof(program));
    int from = open(program, O_RDONLY | O_CLOEXEC), to = mkostemp(copy, O_CLOEXEC);
    CHECK(from >= 0 && to >= 0);
    while (sendfile(to, from, NULL, 1 << 20) > 0) {
    }
    CHECK_EQ(fchmod(to, 0700), 0);
    close(from);
    close(to);
    int status;
    CHECK_EQ(waitpid(start_victim(copy, "plant_deleted", "deleted"), &status, 0) > 0, true);
    CHECK_EQ(status, 0);
    CHECK_EQ(access(copy, F_OK), -1);
}

/* --- workers that die at their start --- */

static void die_in_child(void) {
    const char *file = getenv(DIE_FILE);
    if (file && access(file, F_OK) == 0)
        _exit(9);
}

/* In the zygote this runs before trine_init. The program itself never forks. */
__attribute__((constructor)) static void prepare_zygote(void) {
    if (getenv(NO_ZYGOTE))
        _exit(5);
    if (getenv(DIE_FILE))
        pthread_atfork(NULL, NULL, die_in_child);
}

static int run_one(trine_executor *pool, struct act *a) {
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_submit(s, pool, work, a);
    return trine_join(s);
}

TEST(workers_that_die_at_their_start_fail_tasks_and_no_more) {
    char path[] = "/tmp/trine-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    setenv(DIE_FILE, path, 1);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct act a[3] = {{0}}, late = {0}, again = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_map(s, pool, work, a, 3));
    CHECK_EQ(trine_join(s), -EAGAIN);
    trine_future *f = trine_start(s, pool, work, &late);
    trine_join(s);
    CHECK_EQ(trine_status(f), -EAGAIN);
    if (!strstr(trine_error_of(f)->detail, "attempts failed, the last: worker ") ||
        !strstr(trine_error_of(f)->detail, "exited with code 9"))
        test_fail(__FILE__, __LINE__, "%s", trine_error_of(f)->detail);
    unlink(path); /* now they live */
    /* Until one has said that it is there, tasks still fail. */
    CHECK(EVENTUALLY(run_one(pool, &again) == 0, 20000));
    CHECK_EQ(again.out, 1);
    CHECK(EVENTUALLY(children_of(find_zygote(), NULL, 0) == 2, 20000));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_zygote_that_ends_at_its_start_is_an_error_of_open) {
    setenv(NO_ZYGOTE, "1", 1);
    trine_executor *pool = NULL;
    CHECK_EQ(trine_processes_open(&pool, NULL), -EPROTO);
    CHECK_EQ(pool, NULL);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
    unsetenv(NO_ZYGOTE);
    use_pool();
}

/* --- what a task leaves behind in its worker's process group --- */

struct parent {
    trine_shared child; /* its number, once it hears SIGTERM no more */
    enum { PARENT_STAYS, PARENT_CRASHES, PARENT_RETURNS } then;
};

static int beget(struct parent *p) {
    void *child;
    int r = trine_shared_map(&p->child, &child);
    if (r < 0)
        return r;
    signal(SIGTERM, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    signal(SIGTERM, SIG_DFL);
    atomic_store((atomic_int *)child, (int)pid);
    if (p->then == PARENT_CRASHES)
        raise(SIGSEGV);
    while (p->then == PARENT_STAYS)
        pause();
    return 0;
}
TRINE_TASK(beget, struct parent);

static pid_t child_of(const struct parent *p) {
    void *child;
    CHECK_OK(trine_shared_map(&p->child, &child));
    return atomic_load((atomic_int *)child);
}

static trine_future *start_parent(trine_scope *s, trine_executor *pool, struct parent *p,
                                  int64_t timeout) {
    CHECK_OK(trine_shared_open(sizeof(atomic_int), &p->child));
    return trine_start_opts(s, pool, beget, p, .timeout = timeout);
}

/* The child has ended, in a pool that goes on. */
static void check_child_gone(trine_executor *pool, struct parent *p) {
    struct act a = {0};
    pid_t child = child_of(p);
    CHECK(child > 0);
    CHECK(EVENTUALLY(!is_alive(child), 20000));
    CHECK_OK(run_one(pool, &a));
    CHECK_EQ(a.out, 1);
    trine_shared_free(&p->child);
    trine_executor_close(&pool);
}

TEST(a_task_that_is_cancelled_leaves_no_child) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(20)});
    struct parent p = {.then = PARENT_STAYS};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = start_parent(s, pool, &p, 0);
        CHECK(EVENTUALLY(child_of(&p), 20000));
        CHECK(is_alive(child_of(&p)));
        trine_cancel(f, 0);
        CHECK_EQ(trine_join(s), -ECANCELED);
    }
    check_child_gone(pool, &p);
}

TEST(a_task_that_crashes_leaves_no_child) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct parent p = {.then = PARENT_CRASHES};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = start_parent(s, pool, &p, 0);
        CHECK_EQ(trine_join(s), -EOWNERDEAD);
        CHECK_EQ(trine_error_of(f)->signal, SIGSEGV);
    }
    check_child_gone(pool, &p);
}

/* It may be killed before it has a child: then it gets more time. */
TEST(a_task_over_its_time_leaves_no_child) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct parent p = {.then = PARENT_STAYS};
    for (int64_t timeout = TRINE_MS(100);; timeout *= 2) {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        start_parent(s, pool, &p, timeout);
        CHECK_EQ(trine_join(s), -ETIME);
        if (child_of(&p))
            break;
        trine_shared_free(&p.child);
    }
    check_child_gone(pool, &p);
}

TEST(a_worker_that_is_replaced_leaves_no_child) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_tasks = 1});
    struct parent p = {.then = PARENT_RETURNS};
    {
        TRINE_SCOPE(s);
        start_parent(s, pool, &p, 0);
        CHECK_OK(trine_join(s));
    }
    check_child_gone(pool, &p);
}

/* --- environment, directory, umask --- */

struct place {
    char variable[16], directory[64];
    mode_t mask;
    pid_t pid;
};

static int tell_place(struct place *p) {
    const char *variable = getenv("TRINE_TEST_PLACE");
    snprintf(p->variable, sizeof(p->variable), "%s", variable ? variable : "none");
    p->mask = umask(0);
    umask(p->mask);
    p->pid = getpid();
    return getcwd(p->directory, sizeof(p->directory)) ? 0 : -errno;
}
TRINE_TASK(tell_place, struct place);

static void move_to(const char *variable, const char *directory, mode_t mask) {
    setenv("TRINE_TEST_PLACE", variable, 1);
    CHECK_EQ(chdir(directory), 0);
    umask(mask);
}

/* Gives who told it. */
static pid_t check_place(trine_executor *pool, const char *variable, const char *directory,
                         mode_t mask) {
    struct place p;
    CHECK_OK(trine_map_all(pool, tell_place, &p, 1));
    CHECK_STR(p.variable, variable);
    CHECK_STR(p.directory, directory);
    CHECK_EQ(p.mask, mask);
    return p.pid;
}

TEST(environment_directory_and_umask_are_those_of_the_first_pools_opening) {
    move_to("first", "/proc", 0027);
    trine_executor *first = pool_open((trine_processes_opts){.workers = 1});
    move_to("second", "/", 0077);
    trine_executor *second = pool_open((trine_processes_opts){.workers = 1});
    check_place(first, "first", "/proc", 0027);
    check_place(second, "first", "/proc", 0027);
    trine_executor_close(&first);
    trine_executor_close(&second);
    trine_executor *third = pool_open((trine_processes_opts){.workers = 1});
    check_place(third, "second", "/", 0077);
    trine_executor_close(&third);
}

TEST(after_the_zygote_was_killed_they_are_those_of_that_moment) {
    move_to("first", "/proc", 0027);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    pid_t old = check_place(pool, "first", "/proc", 0027);
    move_to("second", "/", 0077);
    CHECK_EQ(check_place(pool, "first", "/proc", 0027), old);
    kill(find_zygote(), SIGKILL);
    char state = 0;
    CHECK(EVENTUALLY(parent_of(old, &state) == 0 || state == 'Z', 20000));
    check_place(pool, "second", "/", 0077); /* it could not begin in the old one any more */
    trine_executor_close(&pool);
}
