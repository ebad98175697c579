/* sandbox.c - three walls, each behind the other, and none needs privileges: no_new_privs and
 * limits (no core, few descriptors), Landlock (no file, no port) where the kernel has it, and
 * seccomp: the system calls that computing takes, by name; all others fail with EPERM, which code
 * that asks for more than it needs survives. Standard input and output become /dev/null.
 *
 * libseccomp is loaded when it is wanted. Rejected: killing who asks (C libraries ask for things
 * that they can do without); namespaces (a process each, and distributions forbid them to users).
 */
#include "exec/sandbox.h"

#include <errno.h>

#ifndef TRINE_SECCOMP

int sandbox_check(void) {
    return -ENOTSUP;
}

int sandbox_enter(void) {
    return -ENOTSUP;
}

int sandbox_forbid_files(void) {
    return -ENOTSUP;
}

#else

#include "base/fault.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libseccomp, loaded when it is asked for: the library itself needs libc alone. */
static struct {
    void *handle;
    __typeof__(seccomp_init) *init;
    __typeof__(seccomp_attr_set) *attr_set;
    __typeof__(seccomp_rule_add_array) *rule_add;
    __typeof__(seccomp_load) *load;
    __typeof__(seccomp_release) *release;
} lib;

static bool find(const char *name, void *ret_function) {
    void *found = dlsym(lib.handle, name);
    memcpy(ret_function, &found, sizeof(found));
    return found != NULL;
}

static int load_library(void) {
    if (!lib.handle)
        lib.handle = FAULT(dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL), NULL, ENOENT);
    bool whole = lib.handle && find("seccomp_init", &lib.init) &&
                 find("seccomp_attr_set", &lib.attr_set) &&
                 find("seccomp_rule_add_array", &lib.rule_add) && find("seccomp_load", &lib.load) &&
                 find("seccomp_release", &lib.release);
    return whole ? 0 : -ENOTSUP;
}

int sandbox_check(void) {
    const uint32_t action = SECCOMP_RET_ERRNO;
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return -ENOTSUP;
    pthread_mutex_lock(&one_at_a_time);
    int r = load_library();
    pthread_mutex_unlock(&one_at_a_time);
    return r;
}

/* --- descriptors and limits --- */

static int close_streams(void) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
        return -errno;
    close(fd);
    return 0;
}

/* For loops of its own. Not RLIMIT_FSIZE: standard error may be a file. */
enum { DESCRIPTORS = 64 };

static int set_limits(void) {
    const struct rlimit none = {0, 0}, few = {DESCRIPTORS, DESCRIPTORS};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &few) < 0)
        return -errno;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* --- Landlock --- */

/* Of later kernels than Debian 12's headers; the numbers are in linux/landlock.h of Linux 6.12. */
struct ruleset {
    uint64_t files, ports, scoped;
};
enum { ALL_PORTS = 3, ALL_SCOPES = 3 };

/* What each version of the interface can forbid, see landlock(7). */
static struct ruleset all_of_version(long version) {
    static const unsigned files[] = {0, 13, 14, 15, 15, 16};
    long last = (long)(sizeof(files) / sizeof(files[0])) - 1;
    return (struct ruleset){.files = (UINT64_C(1) << files[version < last ? version : last]) - 1,
                            .ports = version >= 4 ? ALL_PORTS : 0,
                            .scoped = version >= 6 ? ALL_SCOPES : 0};
}

static size_t size_of_version(long version) {
    return version >= 6   ? sizeof(struct ruleset)
           : version >= 4 ? offsetof(struct ruleset, scoped)
                          : offsetof(struct ruleset, ports);
}

/* seccomp is the wall that must stand. */
int sandbox_forbid_files(void) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return 0;
    struct ruleset all = all_of_version(version);
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, size_of_version(version), 0);
    if (rules < 0)
        return -errno;
    int r = syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
    close(rules);
    return r;
}

/* --- seccomp --- */

/* Memory, time, threads and their waiting, signals to oneself, the descriptors that are there. */
static const int allowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(lseek),
    SCMP_SYS(membarrier),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(times),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

static int allow_all(scmp_filter_ctx filter) {
    int r = 0;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && r == 0; i++)
        r = lib.rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    return r;
}

/* Those that compute with some arguments and do more with others. glibc makes threads by clone3,
 * whose flags lie in memory where no filter can see them; told that there is none, by clone. */
static int allow_some(scmp_filter_ctx filter) {
    enum { FLAGS_OF_CLONE = 0, PROTECTION = 2, FIRST = 0, ADVICE = 2 };
    /* Advice is what the lower half says: 0 to 31, and guard pages. Not 100 and 101, by which root
     * breaks pages, also those that we share. */
    enum { GUARD = 102, NO_GUARD = 103 };
    const scmp_datum_t lower = 0xffffffff, but_31 = 0xffffffe0;
    const struct {
        int call;
        struct scmp_arg_cmp if_it_is;
    } rules[] = {{SCMP_SYS(mmap), {PROTECTION, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
                 {SCMP_SYS(mprotect), {PROTECTION, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
                 {SCMP_SYS(clone),
                  {FLAGS_OF_CLONE, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
                 {SCMP_SYS(madvise), {ADVICE, SCMP_CMP_MASKED_EQ, but_31, 0}},
                 {SCMP_SYS(madvise), {ADVICE, SCMP_CMP_MASKED_EQ, lower, GUARD}},
                 {SCMP_SYS(madvise), {ADVICE, SCMP_CMP_MASKED_EQ, lower, NO_GUARD}},
                 {SCMP_SYS(prctl), {FIRST, SCMP_CMP_EQ, PR_SET_NAME, 0}},
                 {SCMP_SYS(tgkill), {FIRST, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0}}};
    int r = lib.rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++)
        r = lib.rule_add(filter, SCMP_ACT_ALLOW, rules[i].call, 1, &rules[i].if_it_is);
    return r;
}

static int forbid_calls(void) {
    scmp_filter_ctx filter = FAULT(lib.init(SCMP_ACT_ERRNO(EPERM)), NULL, ENOMEM);
    if (!filter)
        return -ENOMEM;
    /* who enters the kernel by another machine's door is not a library that asks in vain */
    int r = lib.attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = allow_all(filter);
    if (r == 0)
        r = allow_some(filter);
    if (r == 0)
        r = lib.load(filter);
    lib.release(filter);
    return r;
}

int sandbox_enter(void) {
    int r = close_streams();
    if (r == 0)
        r = set_limits();
    if (r == 0)
        r = load_library(); /* while files can be opened */
    if (r == 0)
        r = sandbox_forbid_files();
    return r < 0 ? r : forbid_calls();
}

#endif
