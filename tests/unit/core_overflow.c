/* core_overflow.c - a task that uses up its stack is named, and the SIGSEGV goes where it went
 * before; another SIGSEGV goes there without a word. */
#include "loop_case.h"

#include <pthread.h>
#include <sys/mman.h>
#include <valgrind/valgrind.h>

static int deeper(volatile char *above, int levels) {
    volatile char here[512];
    here[0] = above[0];
    int r = levels ? deeper(here, levels - 1) : 0;
    return r + here[0];
}

static int overflow(struct nothing *n) {
    (void)n;
    char none = 0;
    return deeper(&none, 1 << 20);
}
TRINE_TASK(overflow, struct nothing);

static int spawn_line;

static int parent(struct nothing *n) {
    TRINE_SCOPE(s);
    spawn_line = __LINE__ + 1;
    trine_spawn(s, overflow, n);
    return trine_join(s);
}
TRINE_TASK(parent, struct nothing);

/* What was said; the harness keeps stderr in a file. */
static const char *said(void) {
    static char text[4096];
    ssize_t n = pread(test_said, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void keep_stderr(void) {
    test_said = memfd_create("stderr", MFD_CLOEXEC);
    dup2(test_said, STDERR_FILENO);
}

/* Not by signal(), whose handlers must be safe to call at any time: these end the program. */
static void handle_by(void (*handler)(int)) {
    CHECK_EQ(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = handler}, NULL), 0);
}

static void check_report(int signal) {
    CHECK_EQ(signal, SIGSEGV);
    char site[64];
    snprintf(site, sizeof(site), "core_overflow.c:%d,", spawn_line);
    const char *words[] = {"stack overflow: the task overflow, started at ", site,
                           "has used up its stack of "};
    for (int i = 0; i < 3; i++)
        if (!strstr(said(), words[i]))
            test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", words[i], said());
    _exit(0);
}

TEST(a_stack_overflow_names_the_task_and_goes_to_the_former_handler) {
    keep_stderr();
    handle_by(check_report);
    trine_run(parent, NULL);
    CHECK(!"it went on");
}

static void check_report_with_info(int number, siginfo_t *info, void *context) {
    CHECK(info->si_addr && context);
    check_report(number);
}

TEST(the_former_handler_gets_the_address_of_the_fault) {
    keep_stderr();
    struct sigaction former = {.sa_sigaction = check_report_with_info, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &former, NULL);
    trine_run(parent, NULL);
    CHECK(!"it went on");
}

static void *run_parent(void *unused) {
    (void)unused;
    trine_run(parent, NULL);
    return NULL;
}

static int just_return(struct nothing *n) {
    (void)n;
    return 0;
}
TRINE_TASK(just_return, struct nothing);

TEST(each_thread_that_has_coroutines_reports_their_overflow) {
    keep_stderr();
    handle_by(check_report);
    CHECK_EQ(trine_run(just_return, NULL), 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, run_parent, NULL), 0);
    pthread_join(thread, NULL);
    CHECK(!"it went on");
}

static void *run_nothing(void *ret_stack) {
    CHECK_EQ(trine_run(just_return, NULL), 0);
    stack_t now;
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK(!(now.ss_flags & SS_DISABLE));
    *(void **)ret_stack = now.ss_sp;
    return NULL;
}

static bool is_mapped(void *page) {
    unsigned char resident;
    return mincore(page, 1, &resident) == 0;
}

/* Anybody may map something of their own where one was: so of many, not all may be left. */
TEST(a_thread_that_ends_gives_its_signal_stack_back) {
    enum { THREADS = 32 };
    void *stacks[THREADS];
    int left = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, run_nothing, &stacks[i]), 0);
        pthread_join(thread, NULL);
        bool seen = false;
        for (int k = 0; k < i; k++)
            seen = seen || stacks[k] == stacks[i];
        left += !seen && is_mapped(stacks[i]);
    }
    CHECK(left < THREADS / 2);
}

static void check_silence(int signal) {
    CHECK_EQ(signal, SIGSEGV);
    CHECK_STR(said(), "");
    _exit(0);
}

static int write_nowhere(struct nothing *n) {
    (void)n;
    char *nobodys = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)nobodys = 1;
    return 0;
}
TRINE_TASK(write_nowhere, struct nothing);

TEST(another_segmentation_fault_goes_to_the_former_handler_without_a_word) {
    if (RUNNING_ON_VALGRIND)
        test_skip("valgrind counts the write as an error of the program");
    keep_stderr();
    handle_by(check_silence);
    trine_run(write_nowhere, NULL);
    CHECK(!"it went on");
}

static void return_once(int signal) {
    (void)signal;
}

/* What becomes of a child that runs the task and had that action for SIGSEGV before. */
static int fate_of_child_with(struct sigaction action, const trine_task *task, bool by_kill) {
    pid_t child = fork();
    if (child == 0) {
        sigaction(SIGSEGV, &action, NULL);
        trine_run_task(task, NULL, NULL);
        if (by_kill)
            kill(getpid(), SIGSEGV);
        _exit(1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static int fate_of_child(const trine_task *task, bool by_kill) {
    return fate_of_child_with((struct sigaction){.sa_handler = SIG_DFL}, task, by_kill);
}

TEST(a_former_handler_for_one_time_is_asked_once) {
    if (RUNNING_ON_VALGRIND)
        test_skip("valgrind counts the write as an error of the program");
    const struct sigaction once = {.sa_handler = return_once, .sa_flags = (int)SA_RESETHAND};
    keep_stderr();
    CHECK_EQ(fate_of_child_with(once, &write_nowhere_task, false), SIGSEGV);
    CHECK_EQ(fate_of_child_with(once, &parent_task, false), SIGSEGV);
}

TEST(where_nobody_handled_it_the_program_dies_of_it) {
    keep_stderr();
    CHECK_EQ(fate_of_child(&parent_task, false), SIGSEGV);
    CHECK(strstr(said(), "stack overflow: the task overflow"));
    CHECK_EQ(fate_of_child(&write_nowhere_task, false), SIGSEGV);
    CHECK_EQ(fate_of_child(&just_return_task, true), SIGSEGV);
}
