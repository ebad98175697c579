/* processes_cgroup.c - workers in control groups. Each case makes a directory in the cgroup v2
 * hierarchy, if there is one that may be written; limits need a controller that v1 does not hold.
 */
#include "processes_help.h"

#include <trine/task.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { MIB = 1 << 20 };

/* --- directories --- */

static char dir[300]; /* of the case */

static void remove_dir(void) {
    if (getpid() == test_pid)
        rmdir(dir);
}

static bool find_hierarchy(char *ret_path, size_t size) {
    FILE *mounts = fopen("/proc/mounts", "re");
    char path[200], kind[32];
    bool found = false;
    CHECK(mounts);
    while (!found && fscanf(mounts, "%*s %199s %31s %*[^\n]", path, kind) == 2)
        found = strcmp(kind, "cgroup2") == 0;
    fclose(mounts);
    snprintf(ret_path, size, "%s", path);
    return found;
}

static void make_dir(void) {
    char root[200];
    if (!find_hierarchy(root, sizeof(root)))
        test_skip("no cgroup v2 hierarchy is mounted");
    snprintf(dir, sizeof(dir), "%s/trine-test-%d", root, (int)getpid());
    if (mkdir(dir, 0755) < 0)
        test_skip("the cgroup v2 hierarchy cannot be written");
    atexit(remove_dir);
}

static void read_in(const char *path, const char *name, char *ret_text, size_t size) {
    char file[400];
    snprintf(file, sizeof(file), "%s/%s", path, name);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, ret_text, size - 1);
    ret_text[n > 0 ? n : 0] = '\0';
    close(fd);
}

static bool has_controller(const char *name) {
    char text[512];
    read_in(dir, "cgroup.controllers", text, sizeof(text));
    return strstr(text, name) != NULL;
}

static int groups_in_dir(void) {
    int n = 0;
    DIR *d = opendir(dir);
    CHECK(d);
    for (struct dirent *entry; (entry = readdir(d));)
        n += strncmp(entry->d_name, "trine-", 6) == 0;
    closedir(d);
    return n;
}

/* --- where a worker is --- */

struct place {
    char path[200]; /* below the hierarchy's root */
};

static int tell_place(struct place *p) {
    char line[256];
    FILE *file = fopen("/proc/self/cgroup", "re");
    CHECK(file);
    while (fgets(line, sizeof(line), file))
        sscanf(line, "0::%199s", p->path);
    fclose(file);
    return 0;
}
TRINE_TASK(tell_place, struct place);

TEST(each_worker_has_a_group_that_goes_with_it) {
    make_dir();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 3, .cgroup = dir});
    struct place places[3] = {{{0}}};
    CHECK_OK(trine_processes_each(pool, tell_place, places));
    for (int i = 0; i < 3; i++) {
        CHECK(strstr(places[i].path, strrchr(dir, '/')));
        CHECK(strcmp(places[i].path, places[(i + 1) % 3].path) != 0);
    }
    CHECK_EQ(groups_in_dir(), 3);
    trine_executor_close(&pool);
    CHECK_EQ(groups_in_dir(), 0);
}

TEST(a_new_worker_has_a_new_group) {
    make_dir();
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .max_tasks = 1, .cgroup = dir});
    struct place places[4] = {{{0}}};
    for (int i = 0; i < 4; i++) {
        CHECK_OK(trine_map_all(pool, tell_place, &places[i], 1));
        CHECK(i == 0 || strcmp(places[i].path, places[i - 1].path) != 0);
    }
    trine_executor_close(&pool);
    CHECK_EQ(groups_in_dir(), 0);
}

struct stray {
    pid_t pid;
};

/* It leaves the worker's process group and session. */
static int leave_a_stray(struct stray *s) {
    int ends[2];
    CHECK_OK(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        setsid();
        pid_t stray = fork();
        if (stray == 0)
            for (;;)
                pause();
        ssize_t n = write(ends[1], &stray, sizeof(stray));
        _exit(n < 0);
    }
    CHECK_EQ(read(ends[0], &s->pid, sizeof(s->pid)), (int)sizeof(s->pid));
    close(ends[0]);
    close(ends[1]);
    return 0;
}
TRINE_TASK(leave_a_stray, struct stray);

static bool lives(pid_t pid) {
    char state = 0;
    return parent_of(pid, &state) && state != 'Z';
}

TEST(what_a_worker_left_in_another_session_ends_with_it) {
    make_dir();
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .max_tasks = 1, .cgroup = dir});
    struct stray s = {0};
    CHECK_OK(trine_map_all(pool, leave_a_stray, &s, 1));
    CHECK(s.pid > 0);
    trine_executor_close(&pool);
    CHECK(!lives(s.pid));
    CHECK_EQ(groups_in_dir(), 0);
}

/* --- limits --- */

static trine_processes_opts cpu_opts(void) {
    return (trine_processes_opts){.size = sizeof(trine_processes_opts),
                                  .workers = 1,
                                  .cgroup = dir,
                                  .cpu_percent = 50};
}

struct limit {
    char text[64];
};

static int read_cpu_limit(struct limit *l) {
    struct place p = {{0}};
    char root[200], path[500];
    tell_place(&p);
    CHECK(find_hierarchy(root, sizeof(root)));
    snprintf(path, sizeof(path), "%s%s", root, p.path);
    read_in(path, "cpu.max", l->text, sizeof(l->text));
    return 0;
}
TRINE_TASK(read_cpu_limit, struct limit);

TEST(a_share_of_a_cpu) {
    make_dir();
    const trine_processes_opts opts = cpu_opts();
    trine_executor *pool;
    if (!has_controller("cpu")) {
        CHECK_EQ(trine_processes_open(&pool, &opts), -ENOTSUP);
        return;
    }
    struct limit l = {{0}};
    CHECK_OK(trine_processes_open(&pool, &opts));
    CHECK_OK(trine_map_all(pool, read_cpu_limit, &l, 1));
    CHECK_STR(l.text, "50000 100000\n");
    trine_executor_close(&pool);
}

struct amount {
    size_t mib;
};

/* Memory that is in no address space. */
static int fill_a_file(struct amount *a) {
    static char block[MIB];
    int fd = memfd_create("large", MFD_CLOEXEC);
    memset(block, 1, sizeof(block));
    for (size_t i = 0; i < a->mib; i++)
        if (write(fd, block, sizeof(block)) < 0)
            return -errno;
    close(fd);
    return 0;
}
TRINE_TASK(fill_a_file, struct amount);

TEST(a_limit_of_memory_holds_outside_of_the_address_space) {
    make_dir();
    const trine_processes_opts opts = {.size = sizeof(opts),
                                       .workers = 1,
                                       .cgroup = dir,
                                       .limit_memory = 64 * MIB};
    trine_executor *pool;
    if (!has_controller("memory")) {
        CHECK_EQ(trine_processes_open(&pool, &opts), -ENOTSUP);
        return;
    }
    struct amount much = {200}, little = {10};
    CHECK_OK(trine_processes_open(&pool, &opts));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, fill_a_file, &much);
    CHECK_EQ(trine_join(s), -ENOMEM);
    CHECK_STR(trine_error_of(f)->detail, "memory limit of 64 MiB, in its cgroup");
    CHECK_OK(trine_map_all(pool, fill_a_file, &little, 1));
    trine_scope_close(&s);
    trine_executor_close(&pool);
    CHECK_EQ(groups_in_dir(), 0);
}

/* --- what is no directory for it --- */

static int open_with(const char *path) {
    trine_executor *pool;
    return trine_processes_open(&pool,
                                TRINE_OPTS(trine_processes_opts, .workers = 1, .cgroup = path));
}

TEST(what_is_no_cgroup_is_refused) {
    CHECK_EQ(open_with("/nowhere"), -ENOENT);
    CHECK_EQ(open_with("/tmp"), -ENOTSUP);
    CHECK_EQ(open_with("/etc/passwd"), -ENOTDIR);
}

/* Without a limit there is nothing that the kernel would mind. */
TEST(a_directory_that_holds_a_process_is_refused) {
    make_dir();
    if (!has_controller("memory"))
        test_skip("the memory controller is not in the cgroup v2 hierarchy");
    const trine_processes_opts opts = {.size = sizeof(opts),
                                       .workers = 1,
                                       .cgroup = dir,
                                       .limit_memory = 64 * MIB};
    char file[400];
    trine_executor *pool;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    snprintf(file, sizeof(file), "%s/cgroup.procs", dir);
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && dprintf(fd, "%d", (int)child) > 0);
    close(fd);
    CHECK_EQ(trine_processes_open(&pool, &opts), -EBUSY);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}
