/* sandbox.c - three walls, each behind the other, and none needs privileges: no_new_privs and
 * limits (no core, few descriptors), Landlock (no file, no port) where the kernel has it, and
 * seccomp: the system calls that computing takes, by name; all others fail with EPERM, which code
 * that asks for more than it needs survives. Standard input and output become /dev/null.
 *
 * Rejected: killing who asks (C libraries ask for things that they can do without); namespaces (a
 * process each, and distributions forbid them to users). */
#include "exec/sandbox.h"

#include <errno.h>

#ifndef TRINE_SECCOMP

int sandbox_check(void) {
    return -ENOTSUP;
}

int sandbox_enter(void) {
    return -ENOTSUP;
}

#else

#include "base/fault.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int sandbox_check(void) {
    const uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 ? 0 : -ENOTSUP;
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

/* Forbids all that the kernel's Landlock knows of; seccomp is the wall that must stand. */
static int forbid_files(void) {
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
    SCMP_SYS(madvise),
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
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    return r;
}

/* Those that compute with some arguments and do more with others. glibc makes threads by clone3,
 * whose flags lie in memory where no filter can see them; told that there is none, by clone. */
static int allow_some(scmp_filter_ctx filter) {
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              a_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD),
                              a_name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME),
                              oneself = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    const struct {
        int call;
        struct scmp_arg_cmp if_it_is;
    } rules[] = {{SCMP_SYS(mmap), no_code},
                 {SCMP_SYS(mprotect), no_code},
                 {SCMP_SYS(clone), a_thread},
                 {SCMP_SYS(prctl), a_name},
                 {SCMP_SYS(tgkill), oneself}};
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, rules[i].call, 1, rules[i].if_it_is);
    return r;
}

static int forbid_calls(void) {
    scmp_filter_ctx filter = FAULT(seccomp_init(SCMP_ACT_ERRNO(EPERM)), NULL, ENOMEM);
    if (!filter)
        return -ENOMEM;
    /* who enters the kernel by another machine's door is not a library that asks in vain */
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = allow_all(filter);
    if (r == 0)
        r = allow_some(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

int sandbox_enter(void) {
    int r = close_streams();
    if (r == 0)
        r = set_limits();
    if (r == 0)
        r = forbid_files();
    return r < 0 ? r : forbid_calls();
}

#endif
