/* zygote_main.c - the zygote itself: forks workers, reports their ends, leaves no orphan.
 *
 * Invariants: one thread; nothing of the program's ran here but what comes before trine_init's
 * line. The zygote is the subreaper of all that workers start, so everything below it ends with it:
 * it ends when its socket closes or the program's pidfd says so (a child that the program forked
 * may hold the socket open). A worker gets SIGKILL when the zygote dies (PR_SET_PDEATHSIG, and a
 * second look at the parent for the moment before that). Each worker leads a process group; what is
 * left of the group is killed before the worker is reaped, while its number cannot be anybody
 * else's. Orphans that end are reaped within ORPHANS_MS.
 *
 * Where there are no pidfds (Linux 5.1 and 5.2, valgrind, a container) it looks every POLL_MS who
 * has ended, and whether the program is still its parent.
 *
 * Rejected: a SIGCHLD handler or signalfd (the workers would inherit a mask); waiting on a closed
 * report socket (no pool is gone before its workers are). */
#include "exec/zygote.h"

#include "base/fault.h"
#include "base/fdpass.h"
#include "base/step.h"
#include "exec/flag.h"
#include "exec/modules.h"
#include "exec/worker.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_SOCKET, POLL_PROGRAM, POLL_CHILDREN };
enum { POLL_MS = 10, ORPHANS_MS = 1000 };

struct child {
    pid_t pid;
    int reports;
};

static struct {
    pid_t pid;
    size_t count, room;
    struct child *children;
    struct pollfd *events; /* POLL_CHILDREN + i is the pidfd of children[i], or -1 */
    bool polls;            /* there are no pidfds */
    struct rlimit files;   /* as the program has it: a pool may be larger than that */
} self;

/* --- the end --- */

/* Kills every process whose parent we are: also what dead workers left behind. */
static void kill_children(void) {
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[64], line[512];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%.20s/stat", entry->d_name);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        int parent = 0;
        if (fgets(line, sizeof(line), file)) {
            const char *after_name = strrchr(line, ')');
            if (after_name && sscanf(after_name, ") %*c %d", &parent) == 1 && parent == self.pid)
                kill((pid_t)atol(entry->d_name), SIGKILL);
        }
        fclose(file);
    }
    if (proc)
        closedir(proc);
}

_Noreturn static void end(void) {
    for (size_t i = 0; i < self.count; i++)
        kill(-self.children[i].pid, SIGKILL);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            _exit(0);
        if (pid == 0) {
            kill_children();
            waitpid(-1, NULL, 0);
        }
    }
}

/* --- fork --- */

/* False: it cannot be told; the pool may be gone. */
static bool report(int sock, enum report_kind kind, pid_t pid, int status, int pidfd) {
    struct worker_report r = {.kind = kind, .pid = pid, .status = status};
    return (pidfd >= 0 && fdpass_send(sock, &r, sizeof(r), &pidfd, 1) >= 0) ||
           fdpass_send(sock, &r, sizeof(r), NULL, 0) >= 0;
}

static bool make_room(void) {
    if (self.count < self.room)
        return true;
    size_t room = self.room + 64;
    struct child *children = FAULT(realloc(self.children, room * sizeof(*children)), NULL, ENOMEM);
    if (!children)
        return false;
    self.children = children;
    struct pollfd *events =
        FAULT(realloc(self.events, (room + POLL_CHILDREN) * sizeof(*events)), NULL, ENOMEM);
    if (!events)
        return false;
    self.events = events;
    self.room = room;
    return true;
}

_Noreturn static void become_worker(const struct fork_request *request,
                                    const int fds[REQUEST_FDS]) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self.pid)
        _exit(1); /* the zygote died before the line above */
    setpgid(0, 0);
    setrlimit(RLIMIT_NOFILE, &self.files);
    prctl(PR_SET_NAME, "trine-worker");
    struct flags flags;
    if (!flags_map(&flags, fds + REQUEST_FLAGS))
        _exit(1);
    int status = fds[REQUEST_GROUP] >= 0 && write(fds[REQUEST_GROUP], "0", 1) < 0 ? -errno : 0;
    dup3(fds[REQUEST_BELL], WORKER_BELL, O_CLOEXEC);
    closefrom(WORKER_BELL + 1); /* other than close_range it works before Linux 5.9, too */
    worker_main(WORKER_BELL, request, flags, status);
}

static int open_pidfd(pid_t pid) {
    int fd = self.polls ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    self.polls |= fd < 0 && (errno == ENOSYS || errno == EPERM); /* so says a container's filter */
    return fd;
}

/* The pid of a new worker, or a negative errno. */
static pid_t fork_worker(const struct fork_request *request, const int fds[REQUEST_FDS]) {
    if (!make_room())
        return -ENOMEM;
    errno = 0;
    pid_t pid = STEP_FAILS(STEP_FORK) ? -1 : FAULT(fork(), -1, EAGAIN, ENOMEM);
    if (pid < 0)
        return errno ? -errno : -EAGAIN;
    if (pid == 0)
        become_worker(request, fds);
    setpgid(pid, pid); /* here as well: whoever is first */
    return pid;
}

/* A worker that the pool does not know of, and could not end. */
static void end_worker(pid_t pid) {
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* It is told, and looked after from now on: 0, or a negative errno. */
static int adopt_worker(pid_t pid, int reports) {
    int pidfd = open_pidfd(pid);
    if (pidfd < 0 && !self.polls)
        return -errno;
    if (!report(reports, REPORT_STARTED, pid, 0, pidfd)) {
        int error = -errno;
        if (pidfd >= 0)
            close(pidfd);
        return error;
    }
    self.children[self.count] = (struct child){.pid = pid, .reports = reports};
    self.events[POLL_CHILDREN + self.count] = (struct pollfd){.fd = pidfd, .events = POLLIN};
    self.count++;
    return 0;
}

/* Takes ownership of the descriptors. */
static void start_worker(const struct fork_request *request, const int fds[REQUEST_FDS]) {
    int reports = fds[REQUEST_REPORTS];
    pid_t pid = fork_worker(request, fds);
    close(fds[REQUEST_BELL]);
    for (int i = 0; i < FLAGS; i++)
        close(fds[REQUEST_FLAGS + i]);
    if (fds[REQUEST_GROUP] >= 0)
        close(fds[REQUEST_GROUP]);
    int r = pid < 0 ? pid : adopt_worker(pid, reports);
    if (r >= 0)
        return;
    if (pid > 0)
        end_worker(pid);
    report(reports, REPORT_FAILED, 0, r, -1);
    close(reports);
}

/* It is not reaped yet, as long as it is in the list. */
static void send_signal(pid_t pid, int signal) {
    for (size_t i = 0; i < self.count; i++)
        if (self.children[i].pid == pid)
            kill(pid, signal);
}

static void serve_request(void) {
    struct fork_request request;
    int fds[REQUEST_FDS];
    int r = fdpass_receive(ZYGOTE_SOCKET, &request, sizeof(request), fds, REQUEST_FDS);
    if (r == -EAGAIN || r == -EMFILE)
        return; /* lost descriptors close the report socket: the pool sees that and asks again */
    if (r <= 0)
        end();
    if (request.signal)
        send_signal(request.pid, request.signal);
    else
        start_worker(&request, fds);
}

/* --- reap --- */

static void forget_child(size_t i) {
    close(self.children[i].reports);
    if (self.events[POLL_CHILDREN + i].fd >= 0)
        close(self.events[POLL_CHILDREN + i].fd);
    self.count--;
    self.children[i] = self.children[self.count];
    self.events[POLL_CHILDREN + i] = self.events[POLL_CHILDREN + self.count];
}

static void reap(pid_t pid) {
    size_t i = 0;
    while (i < self.count && self.children[i].pid != pid)
        i++;
    if (i < self.count)
        kill(-pid, SIGKILL);
    int status;
    struct rusage used;
    if (wait4(pid, &status, 0, &used) != pid || i == self.count)
        return;
    struct worker_report r = {.kind = REPORT_ENDED,
                              .pid = pid,
                              .status = status,
                              .most_memory = (int64_t)used.ru_maxrss * 1024};
    fdpass_send(self.children[i].reports, &r, sizeof(r), NULL, 0);
    forget_child(i);
}

static void reap_all(void) {
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        reap(info.si_pid);
    }
}

/* --- start --- */

/* A program may be started without standard streams; what is opened later must not become one. */
static void fill_standard_streams(void) {
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR); /* gets the lowest number, which is this */
}

/* It holds two descriptors a worker. */
static void raise_file_limit(void) {
    if (getrlimit(RLIMIT_NOFILE, &self.files) == 0)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){self.files.rlim_max, self.files.rlim_max});
}

static void greet(void) {
    struct zygote_greeting greeting = {.magic = ZYGOTE_MAGIC};
    if (modules_program(&greeting.program) < 0 ||
        fdpass_send(ZYGOTE_SOCKET, &greeting, sizeof(greeting), NULL, 0) < 0)
        _exit(1);
}

_Noreturn void zygote_main(pid_t program) {
    fill_standard_streams();
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(ZYGOTE_SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET) {
        fprintf(stderr, "trine: %s is only for processes that the library starts itself\n",
                ZYGOTE_MARK);
        _exit(2);
    }
    fcntl(ZYGOTE_SOCKET, F_SETFD, FD_CLOEXEC);
    raise_file_limit();
    fflush(NULL); /* or each worker would write it again */
    self.pid = getpid();
    int program_fd = open_pidfd(program);
    if (getppid() != program || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || !make_room())
        _exit(1);
    prctl(PR_SET_NAME, "trine-zygote");
    greet();
    self.events[POLL_SOCKET] = (struct pollfd){.fd = ZYGOTE_SOCKET, .events = POLLIN};
    self.events[POLL_PROGRAM] = (struct pollfd){.fd = program_fd, .events = POLLIN};
    for (;;) {
        int pause = self.polls ? POLL_MS : self.count ? ORPHANS_MS : -1;
        int n = poll(self.events, POLL_CHILDREN + self.count, pause);
        if ((n < 0 && errno != EINTR) || (self.polls && getppid() != program))
            end();
        if (n > 0 && self.events[POLL_PROGRAM].revents)
            end();
        if (n > 0 && self.events[POLL_SOCKET].revents)
            serve_request();
        reap_all();
    }
}
