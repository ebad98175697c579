/* processes_modules.c - tasks of modules that the program has loaded while it runs. */
#include "processes_help.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

struct number {
    int value;
};

static const trine_task *load(const char *path) {
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        test_fail(__FILE__, __LINE__, "%s", dlerror());
    const trine_task *(*task)(void);
    *(void **)&task = dlsym(module, "plugin_task");
    CHECK(task);
    return task();
}

static void path_of(const char *name, char ret_path[PATH_MAX]) {
    const char *build = getenv("TRINE_BUILD");
    snprintf(ret_path, PATH_MAX, "%s/tests/%s", build ? build : "build", name);
}

static int scaled(trine_executor *pool, const trine_task *task, char ret_detail[200]) {
    struct number n = {1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_task(s, pool, task, &n, TRINE_HERE_);
    int status = trine_join(s);
    if (status < 0 && ret_detail)
        snprintf(ret_detail, 200, "%s", trine_error_of(f)->detail);
    return status < 0 ? status : n.value;
}

TEST(a_module_that_was_loaded_later_has_tasks) {
    char first[PATH_MAX], second[PATH_MAX];
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    path_of("plugin1.so", first);
    path_of("plugin2.so", second);
    const trine_task *ten = load(first), *twenty = load(second);
    CHECK_STR(ten->name, twenty->name);
    for (int i = 0; i < 4; i++) { /* the second time the workers know them */
        CHECK_EQ(scaled(pool, ten, NULL), 10);
        CHECK_EQ(scaled(pool, twenty, NULL), 20);
    }
    trine_executor_close(&pool);
}

TEST(a_module_is_found_when_the_program_has_moved) {
    char path[PATH_MAX], folder[PATH_MAX];
    path_of("plugin1.so", path);
    CHECK(realpath(path, folder));
    *strrchr(folder, '/') = 0;
    CHECK_EQ(chdir(folder), 0);
    const trine_task *ten = load("./plugin1.so");
    CHECK_EQ(chdir("/"), 0);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    CHECK_EQ(scaled(pool, ten, NULL), 10);
    trine_executor_close(&pool);
}

TEST(a_module_whose_file_is_another_build_now_is_an_error) {
    char first[PATH_MAX], second[PATH_MAX], copy[] = "/tmp/trine-plugin-XXXXXX";
    path_of("plugin1.so", first);
    path_of("plugin2.so", second);
    int fd = mkstemp(copy);
    CHECK(fd >= 0);
    const char *const copy_first[] = {"/bin/cp", first, copy, NULL};
    const char *const copy_second[] = {"/bin/cp", "--remove-destination", second, copy, NULL};
    int status;
    pid_t child;
    CHECK_EQ(test_spawn(&child, "/bin/cp", (char *const *)copy_first), 0);
    CHECK(test_wait(child, test_now_ms() + 10000, &status) && status == 0);
    const trine_task *ten = load(copy);
    CHECK_EQ(test_spawn(&child, "/bin/cp", (char *const *)copy_second), 0);
    CHECK(test_wait(child, test_now_ms() + 10000, &status) && status == 0);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    char detail[200];
    CHECK_EQ(scaled(pool, ten, detail), -ENOEXEC);
    CHECK_STR(detail, "the worker does not know the task: its module cannot be loaded there, or "
                      "its file is another build now");
    trine_executor_close(&pool);
    close(fd);
    unlink(copy);
}
