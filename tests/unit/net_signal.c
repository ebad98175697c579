/* net_signal.c - signals reach the tasks that wait for them, once each, and nobody else. */
#include "test.h"

#include <trine/signal.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

typedef void (*body_fn)(void);

static int run_case(body_fn *body) {
    (*body)();
    return 0;
}
TRINE_TASK(run_case, body_fn);

static void in_loop(body_fn body) {
    CHECK_EQ(trine_run(run_case, &body), 0);
}

static trine_signal *listen_to(int signal) {
    trine_signal *s = NULL;
    CHECK_EQ(trine_signal_open(signal, &s), 0);
    return s;
}

static void expect_nothing(trine_signal *s) {
    TRINE_SCOPE(scope, .timeout = TRINE_MS(2));
    CHECK_EQ(trine_signal_wait(s), -ETIMEDOUT);
}

static int wait_task(trine_signal **s) {
    return trine_signal_wait(*s);
}
TRINE_TASK(wait_task, trine_signal *);

static void counts(void) {
    trine_signal *s = listen_to(SIGINT);
    expect_nothing(s);
    raise(SIGINT); /* nobody waits: it is counted all the same */
    raise(SIGINT);
    raise(SIGINT);
    CHECK_EQ(trine_signal_wait(s), 3);
    expect_nothing(s);
    TRINE_SCOPE(scope);
    trine_future *f = trine_start(scope, NULL, wait_task, &s);
    CHECK_EQ(trine_yield(), 0);
    CHECK_EQ(trine_status(f), -EINPROGRESS);
    kill(getpid(), SIGINT);
    int status;
    CHECK_EQ(trine_await(f, &status), 0);
    CHECK_EQ(status, 1);
    trine_signal_close(&s);
    CHECK(!s);
}
TEST(counts_what_came) {
    in_loop(counts);
}
TEST(counts_in_a_plain_thread) {
    trine_signal *s = listen_to(SIGUSR1);
    raise(SIGUSR1);
    CHECK_EQ(trine_signal_wait(s), 1);
    expect_nothing(s);
    trine_signal_close(&s);
    trine_signal_close(&s); /* NULL is fine */
}

/* The signal comes to a thread that has nothing to do with the loop, which sleeps. */
static void *kill_from_thread(void *unused) {
    (void)unused;
    raise(SIGTERM);
    return NULL;
}

static void other_thread(void) {
    trine_signal *s = listen_to(SIGTERM);
    pthread_t thread;
    pthread_create(&thread, NULL, kill_from_thread, NULL);
    CHECK_EQ(trine_signal_wait(s), 1);
    pthread_join(thread, NULL);
    trine_signal_close(&s);
}
TEST(a_signal_in_another_thread_wakes_the_loop) {
    in_loop(other_thread);
}

static void several(void) {
    trine_signal *a = listen_to(SIGUSR1), *b = listen_to(SIGUSR1), *c = listen_to(SIGUSR2);
    raise(SIGUSR1);
    CHECK_EQ(trine_signal_wait(a), 1);
    CHECK_EQ(trine_signal_wait(b), 1);
    expect_nothing(c);
    trine_signal_close(&a);
    raise(SIGUSR1); /* b still listens: the default action would kill us */
    CHECK_EQ(trine_signal_wait(b), 1);
    CHECK_EQ(trine_signal_add(c, SIGUSR1), 0);
    CHECK_EQ(trine_signal_add(c, SIGUSR1), 0); /* twice is once */
    raise(SIGUSR1);
    raise(SIGUSR2);
    CHECK_EQ(trine_signal_wait(c), 2);
    trine_signal_close(&b);
    trine_signal_close(&c);
}
TEST(several_listeners_and_several_signals) {
    in_loop(several);
}

static void close_wakes(void) {
    trine_signal *s = listen_to(SIGINT), *held = s;
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(scope, NULL, wait_task, &held);
    CHECK_EQ(trine_yield(), 0);
    trine_signal_close(&s);
    int status;
    CHECK_EQ(trine_await(f, &status), 0);
    CHECK_EQ(status, -EBADF);
}
TEST(close_wakes_who_waits) {
    in_loop(close_wakes);
}

/* --- what was there before -------------------------------------------------------------------- */

static atomic_int plain_calls, info_calls, info_value, late_calls;

static void plain_handler(int signal) {
    if (signal == SIGUSR1)
        plain_calls++;
    close(-1); /* spoils errno */
}

static void info_handler(int signal, siginfo_t *info, void *context) {
    if (signal == SIGUSR2 && context)
        info_calls++;
    info_value = info->si_value.sival_int;
}

static void late_handler(int signal) {
    (void)signal;
    late_calls++;
}

static void former(void) {
    signal(SIGUSR1, plain_handler);
    struct sigaction info = {.sa_sigaction = info_handler, .sa_flags = SA_SIGINFO}, now;
    sigaction(SIGUSR2, &info, NULL);
    trine_signal *a = listen_to(SIGUSR1), *b = listen_to(SIGUSR2);
    errno = 0;
    raise(SIGUSR1);
    CHECK_EQ(errno, 0);
    CHECK_EQ(plain_calls, 1);
    sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 42});
    CHECK_EQ(trine_signal_wait(a), 1);
    CHECK_EQ(trine_signal_wait(b), 1); /* by now the handlers have run, also with TSan's delays */
    CHECK_EQ(info_calls, 1);
    CHECK_EQ(info_value, 42);
    trine_signal_close(&a);
    trine_signal_close(&b);
    sigaction(SIGUSR1, NULL, &now);
    CHECK(now.sa_handler == plain_handler);
    sigaction(SIGUSR2, NULL, &now);
    CHECK(now.sa_sigaction == info_handler);
}
TEST(former_handlers_are_called_and_restored) {
    in_loop(former);
}

static void (*below)(int, siginfo_t *, void *);

static void top_handler(int signal, siginfo_t *info, void *context) {
    late_calls++;
    below(signal, info, context);
}

static void on_top(void) {
    trine_signal *s = listen_to(SIGUSR1);
    struct sigaction ours, top = {.sa_sigaction = top_handler, .sa_flags = SA_SIGINFO}, now;
    sigaction(SIGUSR1, NULL, &ours);
    below = ours.sa_sigaction;
    sigaction(SIGUSR1, &top, NULL);
    raise(SIGUSR1);
    CHECK_EQ(late_calls, 1);
    CHECK_EQ(trine_signal_wait(s), 1);
    trine_signal_close(&s); /* what was built on ours must not be torn down */
    sigaction(SIGUSR1, NULL, &now);
    CHECK(now.sa_sigaction == top_handler);
    raise(SIGUSR1);
    CHECK_EQ(late_calls, 2);
    s = listen_to(SIGUSR1); /* still beneath: no circle */
    raise(SIGUSR1);
    CHECK_EQ(late_calls, 3);
    CHECK_EQ(trine_signal_wait(s), 1);
    trine_signal_close(&s);
}
TEST(a_later_handler_on_top_of_ours_stays) {
    in_loop(on_top);
}

TEST(the_default_action_returns_with_the_last_close) {
    struct sigaction now;
    signal(SIGHUP, SIG_DFL); /* under nohup it is not */
    trine_signal *a = listen_to(SIGHUP), *b = listen_to(SIGHUP);
    trine_signal_close(&a);
    sigaction(SIGHUP, NULL, &now);
    CHECK(now.sa_handler != SIG_DFL);
    trine_signal_close(&b);
    sigaction(SIGHUP, NULL, &now);
    CHECK(now.sa_handler == SIG_DFL);
    signal(SIGHUP, late_handler);
    b = listen_to(SIGHUP);
    signal(SIGHUP, SIG_DFL); /* someone throws ours away: the next listener puts it back */
    a = listen_to(SIGHUP);
    raise(SIGHUP);
    CHECK_EQ(trine_signal_wait(a), 1);
    CHECK_EQ(trine_signal_wait(b), 1);
    CHECK_EQ(late_calls, 0); /* it was thrown away as well */
    trine_signal_close(&a);
    trine_signal_close(&b);
}

/* --- errors and stress ------------------------------------------------------------------------ */

TEST(signals_that_cannot_be_waited_for) {
    static const int bad[] = {0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGCHLD};
    trine_signal *s = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_EQ(trine_signal_open(bad[i], &s), -EINVAL);
    CHECK(!s);
    trine_signal *all[65];
    int opened = 0, status = 0;
    while (opened < 65 && (status = trine_signal_open(SIGUSR2, &all[opened])) == 0)
        opened++;
    CHECK_EQ(opened, 64);
    CHECK_EQ(status, -ENOSPC);
    raise(SIGUSR2);
    while (opened) {
        CHECK_EQ(trine_signal_wait(all[--opened]), 1);
        trine_signal_close(&all[opened]);
    }
}

static atomic_bool stop;

static void *raise_all_the_time(void *unused) {
    (void)unused;
    while (!stop)
        raise(SIGUSR1);
    return NULL;
}

enum { RAISERS = 8, RING = 16 };

/* A listener's descriptor is closed while handlers run in other threads: its number goes at once to
 * an eventfd of ours, which no handler may ever write to, also when it was held up for a while. */
TEST(close_while_handlers_run) {
    signal(SIGUSR1, late_handler);
    pthread_t threads[RAISERS];
    int ring[RING];
    for (int i = 0; i < RING; i++)
        ring[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int i = 0; i < RAISERS; i++)
        pthread_create(&threads[i], NULL, raise_all_the_time, NULL);
    int64_t end = test_now_ms() + 1500;
    for (int i = 0; i < 200 || test_now_ms() < end; i++) {
        trine_signal *s = listen_to(SIGUSR1);
        if (i % 8 == 0)
            CHECK(trine_signal_wait(s) >= 1);
        trine_signal_close(&s);
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), *oldest = &ring[i % RING];
        uint64_t count;
        CHECK(fd >= 0);
        CHECK_EQ(read(*oldest, &count, sizeof(count)), -1);
        CHECK_EQ(errno, EAGAIN);
        close(*oldest);
        *oldest = fd;
    }
    stop = true;
    for (int i = 0; i < RAISERS; i++)
        pthread_join(threads[i], NULL);
}
