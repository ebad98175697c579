/* cpu.c - how many CPUs this process may use: the affinity mask, capped by the CPU quota of its
 * cgroup (v2 cpu.max, v1 cpu.cfs_quota_us), rounded up. A container with a quota of two CPUs on a
 * machine of 64 gets 2. Files that cannot be read mean no quota. */
#include <trine.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_line(const char *path, char *line, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool got = fgets(line, (int)size, f) != NULL;
    fclose(f);
    return got;
}

static unsigned whole_cpus(long long quota, long long period) {
    return quota > 0 && period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
}

/* cpu.max is "QUOTA PERIOD" in microseconds, or "max PERIOD". 0: no quota here. */
static unsigned quota_v2(const char *group) {
    char path[4200], line[128];
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group);
    if (!read_line(path, line, sizeof(line)) || strncmp(line, "max", 3) == 0)
        return 0;
    char *end;
    long long quota = strtoll(line, &end, 10);
    return whole_cpus(quota, strtoll(end, NULL, 10));
}

static unsigned quota_v1(const char *group) {
    char path[4200], line[128];
    snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", group);
    if (!read_line(path, line, sizeof(line)))
        return 0;
    long long quota = strtoll(line, NULL, 10);
    snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
    if (!read_line(path, line, sizeof(line)))
        return 0;
    return whole_cpus(quota, strtoll(line, NULL, 10));
}

/* The smallest quota of the group and its parents. */
static unsigned quota_up(char *group, unsigned (*quota_of)(const char *)) {
    unsigned least = 0;
    for (;;) {
        unsigned quota = quota_of(group);
        if (quota && (!least || quota < least))
            least = quota;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup are "ID:CONTROLLERS:PATH"; v2 has "0::PATH". */
static unsigned cgroup_quota(void) {
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return 0;
    char line[4200];
    unsigned least = 0;
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        bool v2 = controllers[1] == 0;
        if (!v2 && !strstr(controllers, "cpu"))
            continue;
        unsigned quota = quota_up(group, v2 ? quota_v2 : quota_v1);
        if (quota && (!least || quota < least))
            least = quota;
    }
    fclose(f);
    return least;
}

unsigned trine_usable_cpus(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                             : (int)sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cpus = count > 0 ? (unsigned)count : 1;
    unsigned quota = cgroup_quota();
    return quota && quota < cpus ? quota : cpus;
}
