/* sites.c - every fault site that a workload through all executors visits fails once, and then for
 * ever, with each errno it names. The program must end by itself: with a negative status, with
 * success, or with trine's own message. A crash, a hang or a leaked task is a failure.
 *
 * Each try is a process of its own: this program again, with the site's number. */
#include "base/fault.h"
#include "core/backend.h"

#include <trine/queue.h>
#include <trine/shared.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_WRONG = 41, SECONDS = 60 };

/* --- the workload --- */

struct number {
    int in, out;
};

static int twice(struct number *n) {
    n->out = 2 * n->in;
    return trine_sleep(TRINE_US(50));
}
TRINE_TASK(twice, struct number);

static int use_little(struct number *n) {
    n->out = 2 * n->in;
    return 0;
}
TRINE_TASK(use_little, struct number);

static int use_channel(struct number *n) {
    trine_channel *c = trine_channel_new(sizeof(int), 4);
    if (!c)
        return -ENOMEM;
    int r = trine_channel_send(c, &n->in);
    if (r == 0)
        r = trine_channel_recv(c, &n->out);
    trine_channel_free(&c);
    return r;
}
TRINE_TASK(use_channel, struct number);

struct end {
    trine_queue queue;
    int n;
};

static int get_one(struct end *e) {
    int r = trine_queue_get(&e->queue, &e->n);
    return r == -EPIPE ? 0 : r;
}
TRINE_TASK(get_one, struct end);

/* The getter waits, as a coroutine or in another process. */
static int use_queue(trine_executor *pool) {
    struct end e = {.n = 0};
    int item = 5, r = trine_queue_open(sizeof(int), 2, &e.queue);
    if (r < 0)
        return r;
    trine_queue ours = e.queue;
    {
        TRINE_SCOPE(s, .timeout = TRINE_SEC(30));
        trine_submit(s, pool, get_one, &e);
        r = trine_yield();
        if (r == 0)
            r = trine_queue_put(&ours, &item);
        trine_queue_close(&ours);
        int joined = trine_join(s);
        r = r < 0 ? r : joined;
    }
    trine_queue_free(&ours);
    if (r == 0 && e.n != item)
        exit(EXIT_WRONG);
    return r;
}

static int on_pool(trine_executor *pool) {
    struct number n[20];
    for (int i = 0; i < 20; i++)
        n[i] = (struct number){i, -1};
    TRINE_SCOPE(s, .timeout = TRINE_SEC(30));
    trine_map(s, pool, twice, n, 20);
    int r = trine_join(s);
    for (int i = 0; i < 20 && r == 0; i++)
        if (n[i].out != 2 * i)
            exit(EXIT_WRONG); /* success, but not the result */
    return r;
}

/* So many that a process pool makes batches of them. */
static int on_pool_in_batches(trine_executor *pool) {
    enum { MANY = 1500 };
    static struct number n[MANY];
    for (int i = 0; i < MANY; i++)
        n[i] = (struct number){i, -1};
    int r = trine_map_all(pool, use_little, n, MANY);
    for (int i = 0; i < MANY && r == 0; i++)
        if (n[i].out != 2 * i)
            exit(EXIT_WRONG);
    return r;
}

struct all_shared {
    trine_shared memory;
    trine_counter counter;
    trine_shared_mutex mutex;
    trine_queue messages;
};

static int use_all_shared(struct all_shared *a) {
    void *at;
    trine_buf message = {0};
    int r = trine_shared_map(&a->memory, &at);
    if (r == 0)
        r = trine_counter_add(&a->counter, 1, NULL);
    if (r == 0)
        r = trine_queue_put_bytes(&a->messages, (trine_bytes){"message", 8});
    if (r == 0)
        r = trine_queue_get_bytes(&a->messages, &message);
    trine_buf_free(&message);
    if (r == 0 && (r = trine_shared_mutex_lock(&a->mutex)) >= 0)
        trine_shared_mutex_unlock(&a->mutex);
    return r < 0 ? r : 0;
}
TRINE_TASK(use_all_shared, struct all_shared);

static int share(trine_executor *pool) {
    struct all_shared a = {.memory = {0}};
    int r = trine_shared_open(100, &a.memory);
    if (r == 0)
        r = trine_counter_open(&a.counter);
    if (r == 0)
        r = trine_shared_mutex_open(&a.mutex);
    if (r == 0)
        r = trine_queue_open_bytes(100, &a.messages);
    struct all_shared theirs = a;
    if (r == 0)
        r = trine_map_all(pool, use_all_shared, &theirs, 1);
    trine_queue_free(&a.messages);
    trine_shared_mutex_free(&a.mutex);
    trine_counter_free(&a.counter);
    trine_shared_free(&a.memory);
    return r;
}

static int all_executors(struct number *unused) {
    (void)unused;
    trine_executor *pool;
    int first = on_pool(NULL), r;
    struct number n = {7, 0};
    if ((r = use_channel(&n)) < 0 && first == 0)
        first = r;
    if ((r = trine_blocking(twice, &n)) < 0 && first == 0)
        first = r;
    if ((r = use_queue(NULL)) < 0 && first == 0)
        first = r;
    trine_threads_opts threads = {.size = sizeof(threads), .workers = 2};
    if ((r = trine_threads_open(&pool, &threads)) == 0) {
        r = on_pool(pool);
        trine_executor_close(&pool);
    }
    if (r < 0 && first == 0)
        first = r;
    trine_processes_opts processes = {.size = sizeof(processes), .workers = 2};
    if ((r = trine_processes_open(&pool, &processes)) == 0) {
        r = on_pool(pool);
        if (r == 0)
            r = use_queue(pool);
        if (r == 0)
            r = on_pool_in_batches(pool);
        if (r == 0)
            r = share(pool);
        trine_executor_close(&pool);
    }
    return first ? first : r;
}
TRINE_TASK(all_executors, struct number);

/* --- one try --- */

static int list_sites(void) {
    if (trine_run(all_executors, NULL) < 0)
        return EXIT_WRONG;
    for (struct fault_site *s = fault_sites(); s; s = s->next)
        for (const int *e = s->errnos; *e; e++)
            printf("%s:%d %d\n", strrchr(s->file, '/') + 1, s->line, *e);
    return fflush(stdout) == 0 ? 0 : EXIT_WRONG;
}

/* The site fails when it is first visited; the run may fail, but must end. */
static int try_site(const char *place, int error, int times) {
    fault_ask_at(place, error, times);
    int r = trine_run(all_executors, NULL);
    for (struct fault_site *s = fault_sites(); s; s = s->next)
        fault_ask(s, 0, 0);
    if (trine_run(all_executors, NULL) != 0)
        return EXIT_WRONG; /* and then all is well */
    printf(r < 0 ? "the run failed: %s\n" : "it did without\n", strerrorname_np(-r));
    return 0;
}

/* --- the tries --- */

/* Runs this program with these arguments; what it prints is in `text`. */
static int run_self(char *const argv[], char *text, size_t size) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
    pid_t child;
    int r = posix_spawn(&child, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while (r == 0 && used < size - 1 && (got = read(ends[0], text + used, size - used - 1)) > 0)
        used += (size_t)got;
    text[used] = 0;
    close(ends[0]);
    int status = -1;
    if (r == 0)
        waitpid(child, &status, 0);
    return status;
}

static bool well_ended(int status, const char *text) {
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, "trine: ");
}

static bool try_one(char *program, char *place, int error, int times) {
    char text[4096], error_text[16], times_text[16];
    snprintf(error_text, sizeof(error_text), "%d", error);
    snprintf(times_text, sizeof(times_text), "%d", times);
    char *argv[] = {program, place, error_text, times_text, NULL};
    int status = run_self(argv, text, sizeof(text));
    bool good = well_ended(status, text);
    text[strcspn(text, "\n")] = 0;
    printf("%s %s %s %s%s%.200s\n", good ? "ok" : "FAIL", place, strerrorname_np(error),
           times > 0 ? "once" : "always", good ? " - " : ": ", text);
    fflush(stdout);
    return good;
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    alarm(argc > 1 ? SECONDS : 0);
    if (argc == 2)
        return list_sites();
    if (argc == 4)
        return try_site(argv[1], atoi(argv[2]), atoi(argv[3]));
    static char list[1 << 16];
    char *lister[] = {argv[0], (char *)"list", NULL};
    int status = run_self(lister, list, sizeof(list)), passed = 0, failed = status != 0;
    for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
        char place[128];
        int error;
        if (sscanf(line, "%127s %d", place, &error) != 2)
            continue;
        for (int times = 1; times >= -1; times -= 2)
            try_one(argv[0], place, error, times) ? passed++ : failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
