/* run.c - see run.h.
 *
 * A cell is a process group of its own, so that Ctrl-C reaches this process alone, which then ends
 * the cell. This process is the subreaper of all below it: when a cell's main process has gone, the
 * rest of its processes (a pool's workers, those of Python) become our children, are reaped, and
 * their CPU time is counted. The server is the one child that stays.
 *
 * Rejected: forking without exec, so that no words had to be passed: a cell would begin with our
 * memory and page tables, and Python has to be exec'ed anyhow. */
#include "bench/run.h"

#include "bench/tree.h"

#include <trine.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT = 4096, WORD = 32, WATCH_MS = 10, END_SECONDS = 10 };

extern const unsigned char bench_peer_py[];
extern char **environ;

static volatile sig_atomic_t interrupted;
static const char *python_path;
static pid_t server;

static void note_signal(int number) {
    (void)number;
    interrupted = 1;
}

void run_prepare(const char *python) {
    python_path = python;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct sigaction action = {.sa_handler = note_signal}; /* no SA_RESTART: it ends waits */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool run_interrupted(void) {
    return interrupted;
}

/* --- starting --- */

/* Standard output and error of the child go to `out`; its group is its own, its signals are as for
 * a program that a shell starts. */
static int start(char *const argv[], int out, pid_t *ret_pid) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(ret_pid, "/proc/self/exe", &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return -error;
}

/* argv for a cell; a cell of Python is python3 with our program, started through ourselves for the
 * same protection. */
static int start_cell(const struct spec *s, const char *ports, int out, pid_t *ret_pid) {
    char me[WORD], n[WORD], a[WORD], b[WORD];
    snprintf(me, WORD, "%d", (int)getpid());
    snprintf(n, WORD, "%" PRId64, s->n);
    snprintf(a, WORD, "%" PRId64, s->a);
    snprintf(b, WORD, "%" PRId64, s->b);
    const char *words[] = {s->group, s->model, n, s->work, a, b, ports, NULL};
    const char *head[] = {"trine", "bench", "--cell",
                          me,      "exec",  python_path,
                          "-I",    "-c",    (const char *)bench_peer_py};
    char *argv[18];
    int used = 0, heads = s->python ? 9 : 4;
    for (int i = 0; i < heads; i++)
        argv[used++] = (char *)head[i];
    for (int i = 0; i < 8; i++)
        argv[used++] = (char *)words[i];
    return start(argv, out, ret_pid);
}

/* --- ending --- */

static double cpu_of(const struct rusage *u) {
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static bool only_server_is_left(void) {
    static pid_t pids[TREE_MOST];
    size_t n = tree_find(getpid(), pids, TREE_MOST);
    return n == 1 + (server > 0);
}

static void kill_all(bool server_too) {
    static pid_t pids[TREE_MOST];
    size_t n = tree_find(getpid(), pids, TREE_MOST);
    for (size_t i = 1; i < n; i++)
        if (server_too || pids[i] != server)
            kill(pids[i], SIGKILL);
}

/* Reaps what has ended, without waiting; their CPU seconds. `main_status` is that of `pid`. */
static double reap(pid_t pid, int *main_status) {
    double cpu = 0;
    struct rusage use;
    int status;
    for (pid_t p; (p = wait4(-1, &status, WNOHANG, &use)) > 0;) {
        cpu += cpu_of(&use);
        if (p == pid)
            *main_status = status;
        if (p == server)
            server = 0;
    }
    return cpu;
}

/* Waits until all processes of the cell are gone; what outlives its main process for long, or must
 * not go on, is killed. */
static double drain(pid_t pid, bool at_once, int *main_status) {
    double cpu = 0;
    int64_t deadline = trine_now() + (at_once ? 0 : TRINE_SEC(END_SECONDS));
    int64_t give_up = deadline + TRINE_SEC(END_SECONDS);
    for (;;) {
        cpu += reap(pid, main_status);
        if (only_server_is_left() || trine_now() > give_up)
            return cpu;
        if (interrupted || trine_now() >= deadline)
            kill_all(false);
        poll(NULL, 0, 1);
    }
}

/* --- listening --- */

static void take_line(struct reply *r, const char *line) {
    char name[16];
    double value;
    int used = 0;
    if (sscanf(line, "%15[a-z] %lf%n", name, &value, &used) == 2 && !line[used] &&
        r->count < REPLY_MOST) {
        snprintf(r->values[r->count].name, sizeof(r->values[0].name), "%s", name);
        r->values[r->count++].value = value;
    } else if (*line) {
        snprintf(r->error, sizeof(r->error), "%.150s", line); /* the last one says what it was */
    }
}

static void watch_tree(pid_t pid, struct reply *r) {
    struct tree_use use;
    tree_measure(pid, &use);
    if (use.memory > r->memory)
        r->memory = use.memory;
    if ((double)use.processes > r->processes)
        r->processes = (double)use.processes;
    if ((double)use.threads > r->threads)
        r->threads = (double)use.threads;
}

/* Until the cell closes its output: 0, or why it has to be ended. */
static int listen_to(pid_t pid, int fd, int64_t deadline, bool watch, struct reply *r) {
    char text[TEXT];
    size_t len = 0;
    for (;;) {
        int64_t left = (deadline - trine_now()) / 1000000;
        if (interrupted || left <= 0)
            return interrupted ? -EINTR : -ETIMEDOUT;
        struct pollfd event = {.fd = fd, .events = POLLIN};
        int ready = poll(&event, 1, watch && left > WATCH_MS ? WATCH_MS : (int)left);
        if (ready == 0 && watch)
            watch_tree(pid, r);
        if (ready <= 0)
            continue;
        ssize_t got = read(fd, text + len, TEXT - 1 - len);
        if (got <= 0)
            return 0;
        len += (size_t)got;
        text[len] = '\0';
        char *line = text;
        for (char *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            take_line(r, line);
        }
        len -= (size_t)(line - text);
        memmove(text, line, len);
        if (len == TEXT - 1)
            len = 0; /* a line that long is none of ours */
    }
}

bool reply_value(const struct reply *r, const char *name, double *ret_value) {
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->values[i].name, name) == 0) {
            *ret_value = r->values[i].value;
            return true;
        }
    return false;
}

/* What the cell's end says of it. */
static void judge(struct reply *r, int ended, int status) {
    double before = 0;
    reply_value(r, "before", &before);
    r->cpu -= before;
    r->died = ended == 0 && WIFSIGNALED(status);
    if (ended == -ETIMEDOUT)
        snprintf(r->error, sizeof(r->error), "it took too long and was ended");
    else if (ended == -EINTR)
        snprintf(r->error, sizeof(r->error), "interrupted");
    else if (r->died)
        snprintf(r->error, sizeof(r->error), "ended by signal %d", WTERMSIG(status));
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        r->error[0] = '\0';
    else if (!r->error[0])
        snprintf(r->error, sizeof(r->error), "it failed");
}

void run_cell(const struct spec *s, const char *ports, double seconds, bool watch,
              struct reply *ret_reply) {
    *ret_reply = (struct reply){0};
    int ends[2], status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        snprintf(ret_reply->error, sizeof(ret_reply->error), "no pipe: %s", strerror(errno));
        return;
    }
    int ended = start_cell(s, ports, ends[1], &pid);
    close(ends[1]);
    if (ended < 0) {
        snprintf(ret_reply->error, sizeof(ret_reply->error), "no process: %s", strerror(-ended));
    } else {
        ended = listen_to(pid, ends[0], trine_now() + TRINE_SEC(seconds), watch, ret_reply);
        ret_reply->cpu = drain(pid, ended < 0, &status);
        judge(ret_reply, ended, status);
    }
    close(ends[0]);
}

/* --- the server --- */

static int read_ports(int fd, int ports, char *ret_ports, size_t size) {
    FILE *from = fdopen(fd, "r");
    char line[256];
    size_t used = 0;
    unsigned port;
    ret_ports[0] = '\0';
    for (int i = 0; from && i < ports; i++) {
        if (!fgets(line, sizeof(line), from) || sscanf(line, "port %u", &port) != 1)
            break;
        used += (size_t)snprintf(ret_ports + used, size - used, "%s%u", used ? "," : "", port);
        if (i == ports - 1) {
            fclose(from);
            return 0;
        }
    }
    if (from)
        fclose(from);
    return -ECONNREFUSED;
}

int run_server(int64_t delay_us, int ports, char *ret_ports, size_t size) {
    struct spec s = {.group = "server", .model = "loop", .work = "-", .a = delay_us, .b = ports};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int error = start_cell(&s, "-", ends[1], &server);
    close(ends[1]);
    if (error < 0) {
        close(ends[0]);
        return error;
    }
    return read_ports(ends[0], ports, ret_ports, size);
}

void run_end(void) {
    int status;
    kill_all(true);
    for (int64_t deadline = trine_now() + TRINE_SEC(END_SECONDS); trine_now() < deadline;) {
        if (wait4(-1, &status, 0, NULL) < 0 && errno == ECHILD)
            break;
        kill_all(true); /* what was a grandchild is a child now */
    }
    server = 0;
}
