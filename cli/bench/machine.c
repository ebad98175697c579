/* machine.c - see machine.h.
 *
 * Noisy is: a spread of more than 10 % in a loop that always computes the same; a speed that moved
 * by more than 15 % in the course of the run; a load of more than half of the CPUs before it began;
 * more than 2 % of the CPU time taken away by the host. Medians bear up to such noise well enough,
 * so that it is a warning and no error. */
#include "bench/machine.h"

#include "bench/work.h"

#include <trine.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LOOPS = 60, ROUNDS = 1000000, DESCRIPTORS_SPARE = 64, TASKS_SPARE = 256 };
/* A pool holds four a worker, and some more while it starts one. */
enum { DESCRIPTORS_PER_WORKER = 5 };

static double stolen_before, total_before;

/* The line of a file that begins with `name`, without that, blanks and ':'; "" when there is none.
 */
static void line_of(const char *path, const char *name, char *ret, size_t size) {
    char line[512];
    FILE *f = fopen(path, "re");
    ret[0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, strlen(name)) != 0)
            continue;
        const char *text = line + strlen(name);
        text += strspn(text, " \t:=\"");
        snprintf(ret, size, "%.*s", (int)strcspn(text, "\"\n"), text);
        break;
    }
    if (f)
        fclose(f);
}

static void read_times(double *ret_stolen, double *ret_total) {
    char text[256];
    line_of("/proc/stat", "cpu ", text, sizeof(text));
    *ret_stolen = *ret_total = 0;
    char *at = text;
    for (int i = 0; i < 8; i++) { /* user nice system idle iowait irq softirq steal */
        double value = strtod(at, &at);
        *ret_total += value;
        if (i == 7)
            *ret_stolen = value;
    }
}

/* --- limits --- */

static int64_t number_in(const char *path) {
    char text[64];
    line_of(path, "", text, sizeof(text));
    return isdigit((unsigned char)text[0]) ? strtoll(text, NULL, 10) : INT64_MAX;
}

static void limit_tasks(struct machine *m, int64_t most, const char *why) {
    if (most < m->tasks_most) {
        m->tasks_most = most > 1 ? most : 1;
        snprintf(m->tasks_why, sizeof(m->tasks_why), "%s", why);
    }
}

static void read_limits(struct machine *m) {
    struct rlimit l;
    m->tasks_most = m->processes_most = INT64_MAX;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
        if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < (rlim_t)INT64_MAX)
            limit_tasks(m, (int64_t)l.rlim_cur - DESCRIPTORS_SPARE,
                        "the limit of open files (ulimit -Hn)");
        if (l.rlim_cur < (rlim_t)INT64_MAX)
            m->processes_most = ((int64_t)l.rlim_cur - DESCRIPTORS_SPARE) / DESCRIPTORS_PER_WORKER;
        if (m->processes_most < 1)
            m->processes_most = 1;
    }
    if (getrlimit(RLIMIT_NPROC, &l) == 0 && l.rlim_cur < (rlim_t)INT64_MAX)
        limit_tasks(m, (int64_t)l.rlim_cur - TASKS_SPARE, "the limit of threads (ulimit -u)");
    limit_tasks(m, number_in("/proc/sys/kernel/threads-max") - TASKS_SPARE,
                "the kernel's threads-max");
    limit_tasks(m, number_in("/proc/sys/kernel/pid_max") - TASKS_SPARE, "the kernel's pid_max");
    limit_tasks(m, number_in("/sys/fs/cgroup/pids.max") - TASKS_SPARE, "the cgroup's pids.max");
}

/* --- python --- */

/* Runs python3 of the PATH with a line of Python; the first two lines of what it prints. */
static bool ask_python(char *first, size_t first_size, char *second, size_t second_size) {
    char *argv[] = {"python3", "-I", "-c",
                    "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])",
                    NULL};
    int ends[2], status;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, "python3", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    bool got = error == 0 && from && fgets(first, (int)first_size, from) &&
               fgets(second, (int)second_size, from);
    if (from)
        fclose(from);
    if (error == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    if (!got)
        return false;
    first[strcspn(first, "\n")] = second[strcspn(second, "\n")] = '\0';
    return true;
}

void machine_read(struct machine *m, bool with_python) {
    *m = (struct machine){.cpus = trine_usable_cpus()};
    struct sysinfo info;
    struct utsname names;
    char system[64];
    line_of("/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
    line_of("/etc/os-release", "PRETTY_NAME", system, sizeof(system));
    if (uname(&names) == 0)
        snprintf(m->system, sizeof(m->system), "%s%sLinux %.30s %.12s", system,
                 system[0] ? ", " : "", names.release, names.machine);
    if (sysinfo(&info) == 0)
        m->memory = (double)info.totalram * info.mem_unit;
    if (getloadavg(&m->load, 1) < 1)
        m->load = 0;
    read_limits(m);
    if (with_python &&
        !ask_python(m->python_path, sizeof(m->python_path), m->python, sizeof(m->python)))
        m->python[0] = '\0';
    read_times(&stolen_before, &total_before);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void machine_look(struct machine *m) {
    double ms[LOOPS];
    if (m->looks == NOISE_MOST)
        return;
    for (int i = 0; i < LOOPS; i++) {
        int64_t start = trine_now();
        work_spin(ROUNDS);
        ms[i] = (double)(trine_now() - start) / 1e6;
    }
    qsort(ms, LOOPS, sizeof(ms[0]), by_value);
    m->speed[m->looks] = ms[LOOPS / 2];
    m->spread[m->looks++] = (ms[LOOPS * 9 / 10] - ms[LOOPS / 10]) / ms[LOOPS / 2];
}

__attribute__((format(printf, 2, 3))) static void warn(struct machine *m, const char *format, ...) {
    if (m->warning_count == WARNINGS_MOST)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(m->warnings[m->warning_count++], sizeof(m->warnings[0]), format, args);
    va_end(args);
}

void machine_judge(struct machine *m) {
    double stolen, total, worst = 0, fastest = m->speed[0], slowest = m->speed[0];
    read_times(&stolen, &total);
    m->stolen = total > total_before ? (stolen - stolen_before) / (total - total_before) : 0;
    for (int i = 0; i < m->looks; i++) {
        worst = m->spread[i] > worst ? m->spread[i] : worst;
        fastest = m->speed[i] < fastest ? m->speed[i] : fastest;
        slowest = m->speed[i] > slowest ? m->speed[i] : slowest;
    }
    if (m->load > m->cpus * 0.5)
        warn(m, "others were at work: a load of %.1f on %u CPUs before the start", m->load,
             m->cpus);
    if (worst > 0.10)
        warn(m, "a loop that always computes the same took times that spread by %.0f %%",
             worst * 100);
    if (slowest > fastest * 1.15)
        warn(m, "the machine's speed moved by %.0f %% in the course of the run",
             (slowest / fastest - 1) * 100);
    if (m->stolen > 0.02)
        warn(m, "the host took %.1f %% of the CPU time away", m->stolen * 100);
}
