/* processes_death.c - workers that die, hang, eat memory or send garbage: exactly the task that
 * they ran fails, its error says why, and the pool goes on. */
#include "processes_help.h"
#include "worker_says.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum end {
    END_WELL,
    END_SEGV,
    END_ABORT,
    END_KILL,
    END_EXIT,
    END_GARBAGE,
    END_WRONG_FRAME,
    END_EXTRA,
    END_EARLY,
    END_CLOSE,
    END_LOOP,
    END_EAT
};

struct act {
    enum end how;
    int out;
    pid_t pid;
};

/* One frame's worth of bytes from a worker that was taken over. */
static void write_garbage(void) {
    unsigned char bytes[200];
    memset(bytes, 0xa5, sizeof(bytes));
    say(bytes, sizeof(bytes));
    for (;;)
        pause();
}

/* A well-formed result, of a task that we were not given. */
static void write_wrong_frame(void) {
    unsigned char bytes[104] = {0x01, 0x54, 0x52, 0x4e, WIRE_VERSION, 0, 3};
    bytes[16] = 0xff;
    say(bytes, sizeof(bytes));
    for (;;)
        pause();
}

static void eat_memory(void) {
    for (;;) {
        char *p = malloc(1 << 20);
        if (!p)
            _exit(42);
        for (size_t i = 0; i < 1 << 20; i += 4096)
            ((volatile char *)p)[i] = 1;
    }
}

static void spin(void) {
    for (volatile unsigned i = 0;; i++)
        ;
}

static int act(struct act *a) {
    a->pid = getpid();
    switch (a->how) {
    case END_WELL:
        break;
    case END_SEGV:
        raise(SIGSEGV);
        break;
    case END_ABORT:
        abort();
    case END_KILL:
        raise(SIGKILL);
        break;
    case END_EXIT:
        exit(3);
    case END_GARBAGE:
        write_garbage();
        break;
    case END_WRONG_FRAME:
        write_wrong_frame();
        break;
    case END_EXTRA:
        say("x", 1);
        break; /* the result follows one byte too late */
    case END_EARLY:
        say("\x01\x54\x52", 3);
        raise(SIGKILL);
        break;
    case END_CLOSE:
        close(WORKER_BELL);
        break;
    case END_LOOP:
        spin();
        break;
    case END_EAT:
        eat_memory();
        break;
    }
    a->out = 1;
    return 0;
}
TRINE_TASK(act, struct act);

/* All went well but for the bad one. A worker that breaks the rules may have gone on before that
 * was seen: what it had begun by then is not run again. */
static void check_good(trine_scope *s, const struct act good[50], bool may_die_along) {
    enum { KEPT = 16 }; /* errors, by a scope */
    trine_error errors[KEPT];
    size_t n = trine_errors(s, errors, KEPT), lost = 0;
    CHECK(n == 1 || may_die_along);
    for (int i = 0; i < 50; i++)
        lost += good[i].out != 1;
    CHECK_EQ(lost, n - 1);
    for (size_t i = 1; i < n && i < KEPT; i++)
        CHECK_EQ(errors[i].code, -EOWNERDEAD);
}

/* Runs one task that ends badly among 50 good ones; checks that only it fails, and how. */
static void check_only_one_fails(trine_processes_opts opts, enum end how, int code, int signal,
                                 const char *detail) {
    trine_executor *pool = pool_open(opts);
    struct act good[50], bad = {.how = how};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = NULL;
    for (int i = 0; i < 50; i++) {
        if (i == 20)
            f = trine_start(s, pool, act, &bad);
        good[i] = (struct act){.how = END_WELL};
        CHECK_OK(trine_submit(s, pool, act, &good[i]));
    }
    CHECK_EQ(trine_join(s), code);
    CHECK_EQ(bad.out, 0);
    CHECK_EQ(trine_status(f), code);
    CHECK_EQ(trine_error_of(f)->signal, signal);
    if (!strstr(trine_error_of(f)->detail, detail))
        test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", detail, trine_error_of(f)->detail);
    check_good(s, good, code == -EPROTO);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

static const trine_processes_opts two = {.workers = 2};

TEST(a_segmentation_fault_fails_its_task_and_names_the_signal) {
    check_only_one_fails(two, END_SEGV, -EOWNERDEAD, SIGSEGV, "was killed by SIGSEGV (Segm");
}

TEST(an_abort_fails_its_task) {
    check_only_one_fails(two, END_ABORT, -EOWNERDEAD, SIGABRT, "was killed by SIGABRT");
}

TEST(a_kill_from_inside_fails_its_task) {
    check_only_one_fails(two, END_KILL, -EOWNERDEAD, SIGKILL, "was killed by SIGKILL");
}

TEST(an_exit_fails_its_task_and_names_the_code) {
    check_only_one_fails(two, END_EXIT, -EOWNERDEAD, 0, "exited with code 3");
}

TEST(garbage_from_a_worker_fails_its_task) {
    check_only_one_fails(two, END_GARBAGE, -EPROTO, SIGKILL, "because it sent no frame");
}

TEST(a_reply_to_another_task_fails_its_task) {
    check_only_one_fails(two, END_WRONG_FRAME, -EPROTO, SIGKILL, "another worker");
}

TEST(a_byte_too_many_fails_its_task) {
    check_only_one_fails(two, END_EXTRA, -EPROTO, SIGKILL, "because it sent no frame");
}

TEST(a_worker_that_dies_in_the_middle_of_its_reply) {
    check_only_one_fails(two, END_EARLY, -EOWNERDEAD, SIGKILL, "was killed by SIGKILL");
}

/* It can call the program no more; what it has written may be seen all the same. */
TEST(a_worker_that_closes_its_bell_harms_nobody) {
    trine_executor *pool = pool_open(two);
    for (int round = 0; round < 5; round++) {
        struct act good[50] = {{0}}, bad = {.how = END_CLOSE};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start(s, pool, act, &bad);
        CHECK_OK(trine_map(s, pool, act, good, 50));
        int r = trine_join(s);
        CHECK(r == 0 || (r == -EOWNERDEAD && trine_status(f) == r));
        for (int i = 0; i < 50; i++)
            CHECK_EQ(good[i].out, 1);
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}

TEST(a_task_over_its_time_is_killed) {
    trine_processes_opts opts = {.workers = 2, .task_timeout = TRINE_MS(200)};
    int64_t before = test_now_ms();
    check_only_one_fails(opts, END_LOOP, -ETIME, SIGKILL, "time limit of 0.2 s");
    CHECK(test_now_ms() - before >= 200);
}

/* With the address space limited, malloc fails in the task itself; sanitizers' malloc needs too
 * much of it for that, there the supervisor sees the memory and kills. */
TEST(a_task_over_its_memory_ends) {
    trine_processes_opts opts = {.workers = 2, .limit_memory = 100 << 20};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    check_only_one_fails(opts, END_EAT, -ENOMEM, SIGKILL, "memory limit of 100 MiB");
#else
    check_only_one_fails(opts, END_EAT, -EOWNERDEAD, 0, "exited with code 42");
#endif
}

static int eat_by_mmap(struct act *a) {
    (void)a;
    size_t n = (size_t)60 << 20;
    for (int i = 0; i < 4; i++) {
        char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return -ENOMEM;
        memset(p, 1, n);
    }
    spin();
    return 0;
}
TRINE_TASK(eat_by_mmap, struct act);

TEST(a_task_sees_its_failed_allocation) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    test_skip("the address space is not limited under sanitizers");
#endif
    trine_executor *pool = pool_open((trine_processes_opts){.limit_memory = 100 << 20});
    struct act a = {0};
    TRINE_SCOPE(s);
    trine_submit(s, pool, eat_by_mmap, &a);
    CHECK_EQ(trine_join(s), -ENOMEM);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* --- workers that are killed from outside --- */

static int tell_pid(struct act *a) {
    a->pid = getpid();
    return 0;
}
TRINE_TASK(tell_pid, struct act);

struct hang {
    char path[64]; /* touched when it runs */
};

static int hang(struct hang *h) {
    int fd = open(h->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    dprintf(fd, "%d\n", (int)getpid());
    close(fd);
    for (;;)
        pause();
}
TRINE_TASK(hang, struct hang);

static struct hang hang_new(void) {
    struct hang h = {"/tmp/trine-test-XXXXXX"};
    int fd = mkostemp(h.path, O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    return h;
}

/* The process that runs the task, 0 as long as none does. */
static pid_t hang_runner(const struct hang *h) {
    int pid = 0;
    FILE *file = fopen(h->path, "re");
    CHECK(file);
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid;
}

TEST(a_running_worker_killed_from_outside) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct hang h = hang_new();
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, hang, &h);
    CHECK(EVENTUALLY(hang_runner(&h), 10000));
    kill(hang_runner(&h), SIGKILL);
    struct act after = {0};
    CHECK_OK(trine_submit(s, pool, tell_pid, &after));
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(f)->signal, SIGKILL);
    CHECK(after.pid > 0 && after.pid != hang_runner(&h));
    unlink(h.path);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* Killed while idle, a worker must not fail the task that was sent to it in the same moment. */
TEST(idle_workers_killed_from_outside_fail_no_task) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    for (int round = 0; round < 100; round++) {
        struct act a = {0};
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit(s, pool, tell_pid, &a));
        CHECK_EQ(trine_join(s), 0);
        kill(a.pid, SIGKILL);
        struct act more[3] = {{0}};
        CHECK_OK(trine_map(s, pool, tell_pid, more, 3));
        CHECK_EQ(trine_join(s), 0);
        for (int i = 0; i < 3; i++)
            CHECK(more[i].pid > 0 && more[i].pid != a.pid);
    }
    trine_executor_close(&pool);
}

TEST(a_stopped_worker_that_is_over_its_time) {
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .task_timeout = TRINE_MS(300)});
    struct act a = {0}, b = {0}, c = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_submit(s, pool, tell_pid, &a));
    CHECK_EQ(trine_join(s), 0);
    kill(a.pid, SIGSTOP);
    trine_future *f = trine_start(s, pool, tell_pid, &b);
    CHECK_OK(trine_submit(s, pool, tell_pid, &c));
    CHECK_EQ(trine_join(s), -ETIME);
    CHECK_EQ(trine_status(f), -ETIME);
    CHECK(c.pid > 0 && c.pid != a.pid);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(the_zygote_killed_while_tasks_run) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    for (int round = 0; round < 3; round++) {
        struct hang h = hang_new();
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start(s, pool, hang, &h);
        CHECK(EVENTUALLY(hang_runner(&h), 10000));
        pid_t runner = hang_runner(&h);
        kill(find_zygote(), SIGKILL);
        CHECK_EQ(trine_join(s), -EOWNERDEAD);
        CHECK(strstr(trine_error_of(f)->detail, "zygote"));
        char state;
        CHECK(EVENTUALLY(parent_of(runner, &state) == 0 || state == 'Z', 2000));
        struct act a[10] = {{0}};
        TRINE_SCOPE(next);
        CHECK_OK(trine_map(next, pool, act, a, 10));
        CHECK_EQ(trine_join(next), 0);
        unlink(h.path);
    }
    trine_executor_close(&pool);
}

/* --- cancel --- */

TEST(cancel_ends_a_running_task_and_no_other) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct hang h = hang_new();
    struct act a[20] = {{0}};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, pool, hang, &h);
    CHECK(EVENTUALLY(hang_runner(&h), 10000));
    CHECK_OK(trine_map(s, pool, act, a, 20));
    trine_cancel(f, 0);
    trine_cancel(f, 0);
    int status;
    CHECK_OK(trine_await(f, &status));
    CHECK_EQ(status, -ECANCELED);
    trine_join(s);
    char state;
    CHECK(EVENTUALLY(parent_of(hang_runner(&h), &state) == 0 || state == 'Z', 2000));
    unlink(h.path);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(cancel_drops_a_task_that_has_not_begun) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct hang h = hang_new();
    struct act a = {.how = END_WELL};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *running = trine_start(s, pool, hang, &h);
    CHECK(EVENTUALLY(hang_runner(&h), 10000));
    trine_future *queued = trine_start(s, pool, act, &a);
    trine_cancel(queued, 0);
    int status;
    CHECK_OK(trine_await(queued, &status));
    CHECK_EQ(status, -ECANCELED);
    CHECK_EQ(trine_status(running), -EINPROGRESS);
    char state;
    CHECK(parent_of(hang_runner(&h), &state) > 0);
    trine_cancel(running, 0);
    CHECK_OK(trine_await(running, &status));
    CHECK_EQ(status, -ECANCELED);
    CHECK_EQ(a.out, 0);
    unlink(h.path);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* Cancels at all moments of a task's way: each comes back once, with its result or as cancelled. */
TEST(cancel_at_any_moment) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2, .queue = 8});
    unsigned done = 0, cancelled = 0;
    for (int round = 0; round < 300; round++) {
        struct act a[6] = {{0}};
        trine_future *f[6];
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        for (int i = 0; i < 6; i++)
            f[i] = trine_start(s, pool, act, &a[i]);
        for (volatile int i = 0; i < round * 200; i++)
            ;
        for (int i = 0; i < 6; i++)
            trine_cancel(f[i], 0);
        trine_join(s);
        for (int i = 0; i < 6; i++) {
            int status = trine_status(f[i]);
            CHECK(status == 0 || status == -ECANCELED);
            CHECK_EQ(a[i].out, status == 0);
            done += status == 0;
            cancelled += status != 0;
        }
    }
    CHECK(done > 0);
    CHECK(cancelled > 0);
    trine_executor_close(&pool);
}

/* A task that ends well when it is asked to: by the flag, or by SIGTERM. */
enum asked { ASKED_BY_FLAG, ASKED_BY_SIGNAL, ASKED_IN_VAIN };
struct polite {
    struct hang begun;
    enum asked by;
    pid_t pid;
};

static volatile sig_atomic_t terminated;

static void on_term(int signal) {
    (void)signal;
    terminated = 1;
}

static int polite(struct polite *p) {
    p->pid = getpid();
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, p->by == ASKED_BY_SIGNAL ? &term : NULL, &before);
    signal(SIGTERM, p->by == ASKED_BY_SIGNAL ? on_term : SIG_IGN);
    int fd = open(p->begun.path, O_WRONLY | O_CLOEXEC);
    dprintf(fd, "%d\n", (int)getpid());
    close(fd);
    while (p->by == ASKED_BY_SIGNAL && !terminated)
        sigsuspend(&before); /* TSan runs handlers in calls only, not while code spins */
    while (p->by != ASKED_BY_SIGNAL && (p->by == ASKED_IN_VAIN || !trine_cancelled()))
        ;
    return 7;
}
TRINE_TASK(polite, struct polite);

static int is_cancelled(struct act *a) {
    a->pid = getpid();
    return trine_cancelled();
}
TRINE_TASK(is_cancelled, struct act);

/* Cancels such a task; gives its status, and whether its worker took the next task. */
static int cancel_polite(enum asked by, int64_t grace, bool *ret_kept) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = grace});
    struct polite p = {.begun = hang_new(), .by = by};
    struct act next = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, polite, &p);
    CHECK(EVENTUALLY(hang_runner(&p.begun), 10000));
    trine_cancel(f, 0);
    int status, cancelled;
    CHECK_OK(trine_await(f, &status));
    trine_future *after = trine_start(s, pool, is_cancelled, &next);
    CHECK_OK(trine_await(after, &cancelled));
    CHECK_EQ(cancelled, 0);
    *ret_kept = next.pid == hang_runner(&p.begun);
    unlink(p.begun.path);
    trine_scope_close(&s);
    trine_executor_close(&pool);
    return status;
}

TEST(a_cancelled_task_that_polls_ends_well_and_keeps_its_worker) {
    bool kept;
    CHECK_EQ(cancel_polite(ASKED_BY_FLAG, TRINE_SEC(60), &kept), 7);
    CHECK(kept);
}

TEST(a_cancelled_task_that_catches_SIGTERM_ends_well) {
    bool kept;
    CHECK_EQ(cancel_polite(ASKED_BY_SIGNAL, TRINE_SEC(4), &kept), 7);
    CHECK(!kept);
}

TEST(a_cancelled_task_that_does_not_listen_is_killed) {
    bool kept;
    CHECK_EQ(cancel_polite(ASKED_IN_VAIN, TRINE_MS(50), &kept), -ECANCELED);
    CHECK(!kept);
}

TEST(leaving_a_scope_ends_what_runs_in_a_worker) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct hang h = hang_new();
    int64_t before = test_now_ms();
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(50));
        CHECK_OK(trine_submit(s, pool, hang, &h));
        CHECK_EQ(trine_join(s), -ETIMEDOUT);
    }
    CHECK(test_now_ms() - before >= 50);
    unlink(h.path);
    trine_executor_close(&pool);
}

/* --- results that are too large --- */

static int give_much(trine_bytes in, trine_buf *out) {
    size_t n = *(const size_t *)in.ptr;
    int r = trine_buf_reserve(out, n);
    if (r < 0)
        return r;
    memset(out->ptr, 1, n);
    out->len = n;
    return 0;
}
TRINE_BYTES_TASK(give_much);

TEST(a_result_over_max_result) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_result = 1000});
    size_t sizes[] = {1000, 1001, 1000};
    for (int i = 0; i < 3; i++) {
        trine_buf out = {0};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f =
            trine_start_bytes(s, pool, give_much, ((trine_bytes){&sizes[i], sizeof(size_t)}), &out);
        CHECK_EQ(trine_join(s), sizes[i] > 1000 ? -EMSGSIZE : 0);
        CHECK_EQ(out.len, sizes[i] > 1000 ? 0 : 1000);
        if (sizes[i] > 1000)
            CHECK_STR(trine_error_of(f)->detail,
                      "its result of 1001 bytes is over the limit of 1000 (max_result)");
        trine_buf_free(&out);
    }
    trine_executor_close(&pool);
}

/* A bytes task that dies in the middle of sending its result leaves the caller's buffer empty. */
static int send_half(trine_bytes in, trine_buf *out) {
    (void)out;
    unsigned char header[104] = {0x01, 0x54, 0x52, 0x4e, WIRE_VERSION, 0, 3};
    memcpy(header + 12, in.ptr, 4);
    memcpy(header + 16, (const char *)in.ptr + 4, 8);
    header[25] = 16; /* 4,096 bytes are announced, none come */
    say(header, sizeof(header));
    say(header, sizeof(header));
    raise(SIGKILL);
    return 0;
}
TRINE_BYTES_TASK(send_half);

TEST(a_result_that_breaks_off) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_buf out = {0};
    CHECK_OK(trine_buf_append(&out, "old", 3));
    struct {
        uint32_t worker, low, high;
    } names = {1, 1, 0}; /* the first worker, the first task */
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_bytes(s, pool, send_half, ((trine_bytes){&names, 12}), &out);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(f)->signal, SIGKILL);
    CHECK_EQ(out.len, 0);
    trine_buf_free(&out);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}
