/* core_stuck.c - everybody waits and nothing is pending: that is reported; whatever may still end a
 * wait keeps the report away. */
#include "loop_case.h"

#include <trine/select.h>
#include <trine/sync.h>

#include <dirent.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/time.h>

static void keep_stderr(void) {
    test_said = memfd_create("stderr", MFD_CLOEXEC);
    dup2(test_said, STDERR_FILENO);
}

static void check_report(int signal) {
    static char text[1 << 14];
    (void)signal;
    ssize_t n = pread(test_said, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    const char *words[] = {"task waits_first", "task waits_second", "waits for channel",
                           "core_stuck.c:", "deadlock: all tasks wait"};
    for (int i = 0; i < 5; i++)
        if (!strstr(text, words[i]))
            test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", words[i], text);
    _exit(0);
}

static trine_channel *first, *second;

static int do_nothing(struct nothing *n) {
    (void)n;
    return 0;
}
TRINE_TASK(do_nothing, struct nothing);

static int waits_first(struct nothing *n) {
    (void)n;
    int item = 0, r = trine_channel_recv(first, &item);
    return r < 0 ? r : trine_channel_send(second, &item);
}
TRINE_TASK(waits_first, struct nothing);

static int waits_second(struct nothing *n) {
    (void)n;
    int item = 0, r = trine_channel_recv(second, &item);
    return r < 0 ? r : trine_channel_send(first, &item);
}
TRINE_TASK(waits_second, struct nothing);

static int threads_before_us(void) {
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));)
        n += entry->d_name[0] != '.';
    closedir(tasks);
    return n;
}

IN_LOOP(two_tasks_that_wait_for_each_other_are_reported) {
    if (threads_before_us() != 1)
        test_skip("this process has threads that are not ours (a sanitizer's, an emulator's)");
    keep_stderr();
    CHECK_EQ(sigaction(SIGABRT, &(struct sigaction){.sa_handler = check_report}, NULL), 0);
    first = trine_channel_new(sizeof(int), 1);
    second = trine_channel_new(sizeof(int), 1);
    TRINE_SCOPE(s);
    trine_spawn(s, waits_first, NULL);
    trine_spawn(s, waits_second, NULL);
    trine_join(s);
    CHECK(!"it went on");
    return 0;
}

/* --- with pools --- */

static int wait_for_first(struct nothing *n) {
    (void)n;
    int item;
    return trine_channel_recv(first, &item);
}
TRINE_TASK(wait_for_first, struct nothing);

static void check_pool_report(int signal) {
    static char text[1 << 14];
    (void)signal;
    ssize_t n = pread(test_said, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    const char *words[] = {"waits for join since", "task wait_for_first, started at",
                           "handed to threads", "runs the task wait_for_first: waits for channel",
                           "deadlock: all tasks wait"};
    for (int i = 0; i < 5; i++)
        if (!strstr(text, words[i]))
            test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", words[i], text);
    _exit(0);
}

/* One worker waits for what nobody sends, another one has nothing to do. */
TEST(a_task_of_a_pool_that_waits_for_ever_is_reported) {
#ifdef __SANITIZE_THREAD__
    test_skip("with the first thread of ours comes one of the sanitizer's");
#endif
    if (threads_before_us() != 1)
        test_skip("this process has threads that are not ours (an emulator's)");
    trine_executor *pool;
    struct nothing unused[8];
    first = trine_channel_new(sizeof(int), 1);
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 2)));
    CHECK_OK(trine_map_all(pool, do_nothing, unused, 8));
    keep_stderr();
    CHECK_EQ(sigaction(SIGABRT, &(struct sigaction){.sa_handler = check_pool_report}, NULL), 0);
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, pool, wait_for_first, unused));
    trine_join(s);
    CHECK(!"it went on");
}

static int send_to_first(struct nothing *n) {
    (void)n;
    int item = 1;
    usleep(2500000);
    return trine_channel_send(first, &item);
}
TRINE_TASK(send_to_first, struct nothing);

TEST(a_task_of_a_pool_that_works_is_no_deadlock) {
    trine_executor *pool;
    struct nothing unused[2];
    first = trine_channel_new(sizeof(int), 1);
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 2)));
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, pool, wait_for_first, &unused[0]));
    CHECK_OK(trine_submit(s, pool, send_to_first, &unused[1]));
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    trine_channel_free(&first);
    trine_executor_close(&pool);
}

IN_LOOP(a_timer_is_no_deadlock) {
    TRINE_SCOPE(s, .timeout = TRINE_MS(1500), .move_on = true);
    first = trine_channel_new(sizeof(int), 1);
    trine_spawn(s, waits_first, NULL);
    CHECK_OK(trine_join(s));
    trine_channel_free(&first);
    return 0;
}

static int event_fd;

static int reads(struct nothing *n) {
    (void)n;
    uint64_t count;
    trine_case ready = TRINE_CASE_READ(event_fd);
    int which = trine_select(&ready, 1, -1);
    return which < 0 ? which : read(event_fd, &count, sizeof(count)) == sizeof(count) ? 0 : -EIO;
}
TRINE_TASK(reads, struct nothing);

/* The alarm stands for another process: no thread of ours. */
static void write_event(int signal) {
    (void)signal;
    ssize_t n = write(event_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
}

IN_LOOP(a_descriptor_that_is_waited_for_is_no_deadlock) {
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK_EQ(sigaction(SIGALRM, &(struct sigaction){.sa_handler = write_event}, NULL), 0);
    TRINE_SCOPE(s);
    trine_spawn(s, reads, NULL);
    alarm(2);
    CHECK_OK(trine_join(s));
    close(event_fd);
    return 0;
}

static void *send_late(void *arg) {
    usleep(1500000);
    int item = 1;
    CHECK_OK(trine_channel_send(first, &item));
    return arg;
}

TEST(another_thread_is_no_deadlock) {
    first = trine_channel_new(sizeof(int), 1);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, send_late, NULL), 0);
    int item = 0;
    CHECK_OK(trine_channel_recv(first, &item));
    CHECK_EQ(item, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    trine_channel_free(&first);
}

struct last {
    trine_channel *c;
    pthread_t thread;
    int pause;
};

static void *sends_and_ends(void *arg) {
    struct last *l = arg;
    int item = 1;
    for (volatile int spin = 0; spin < l->pause; spin++)
        ;
    CHECK_OK(trine_channel_send(l->c, &item));
    return NULL;
}

/* Woken for nothing while the thread sends: the look at the threads may find it gone already. */
static void wake(int signal) {
    (void)signal;
}

TEST(a_thread_that_sends_and_ends_is_no_deadlock) {
    struct itimerval often = {{0, 50}, {0, 50}};
    CHECK_EQ(sigaction(SIGALRM, &(struct sigaction){.sa_handler = wake}, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 400; i++) {
        struct last l = {.c = trine_channel_new(sizeof(int), 1), .pause = i % 200 * 1000};
        int item = 0;
        CHECK_EQ(pthread_create(&l.thread, NULL, sends_and_ends, &l), 0);
        CHECK_OK(trine_channel_recv(l.c, &item));
        CHECK_EQ(pthread_join(l.thread, NULL), 0);
        trine_channel_free(&l.c);
    }
}

static void *ends(void *arg) {
    for (volatile int spin = 0; spin < *(int *)arg; spin++)
        ;
    return NULL;
}

/* Who lists the threads while one ends may miss those that were started after it. */
TEST(a_thread_that_ends_hides_no_other) {
    struct itimerval often = {{0, 20}, {0, 20}};
    CHECK_EQ(sigaction(SIGALRM, &(struct sigaction){.sa_handler = wake}, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 800; i++) {
        pthread_t other;
        struct last l = {.c = trine_channel_new(sizeof(int), 1), .pause = 40000};
        int item = 0, pause = i % 100 * 200;
        CHECK_EQ(pthread_create(&other, NULL, ends, &pause), 0);
        CHECK_EQ(pthread_create(&l.thread, NULL, sends_and_ends, &l), 0);
        CHECK_OK(trine_channel_recv(l.c, &item));
        CHECK_EQ(pthread_join(other, NULL), 0);
        CHECK_EQ(pthread_join(l.thread, NULL), 0);
        trine_channel_free(&l.c);
    }
}
