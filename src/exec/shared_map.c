/* shared_map.c - see shared_map.h. The memory is a memfd that the process which made it keeps; a
 * trine_shared says which descriptor of which process. Workers descend from the zygote and
 * so inherit nothing of it: at its first use a worker opens /proc/PID/fd/N and maps that. The id is
 * random and is part of what the kernel shows as the descriptor's name, so a process or descriptor
 * that took over the number is told apart before anything of it is opened. The memory's size is
 * sealed: a mapping never ends early.
 *
 * A sandboxed worker will not be able to open files: its descriptor must then come with the task's
 * frame (fdpass.h) and be put in the table by its id before the task runs; shared_map_enter finds
 * it there. But a participant must be trusted, which a worker is sandboxed for not being.
 *
 * Invariants: a mapping is in the table, or about to be freed with no users. Mappings of what
 * its owner has freed are swept when the next one is made.
 * Lock order: `lock` alone; no lock in the memory is taken under it.
 *
 * Rejected: pidfd_getfd (asks for the right to trace, which Yama gives to parents only); shm_open
 * (names outlive the program); the address in the trine_shared (a copy of it travels to processes
 * where that is another's memory). */
#include "exec/shared_map.h"

#include "base/fault.h"
#include "base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping *table;

/* --- one mapping --- */

/* Maps a descriptor, and takes it over: to keep it, or to close it, as in failure. */
static int mapping_new(int fd, bool keep, uint64_t id, size_t bytes, struct mapping **ret) {
    int r = 0;
    struct mapping *m = FAULT(malloc(sizeof(*m)), NULL, ENOMEM);
    void *memory = MAP_FAILED;
    if (m)
        memory =
            FAULT(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED, ENOMEM);
    if (m && memory == MAP_FAILED && errno == EPERM) /* it is sealed */
        memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        r = m && errno != EINVAL ? -errno : -ENOMEM; /* EINVAL: larger than an address space */
    if (r < 0 || !keep)
        close(fd);
    if (r < 0) {
        free(m);
        return r;
    }
    *m = (struct mapping){.memory = memory, .id = id, .bytes = bytes, .fd = keep ? fd : -1};
    bell_init(&m->bell, memory);
    *ret = m;
    return 0;
}

static void mapping_free(struct mapping *m) {
    bell_done(&m->bell);
    if (m->fd >= 0)
        close(m->fd);
    munmap(m->memory, m->bytes);
    free(m);
}

/* --- the table, under its lock --- */

static struct mapping **find(uint64_t id) {
    struct mapping **at = &table;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void add(struct mapping *m) {
    m->next = table;
    table = m;
}

/* Takes out what nobody here uses and nobody elsewhere can find any more. */
static struct mapping *sweep(void) {
    struct mapping *swept = NULL;
    for (struct mapping **at = &table; *at;) {
        struct mapping *m = *at;
        if (m->users > 0 || m->fd >= 0 || !atomic_load(&m->memory->freed)) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        m->next = swept;
        swept = m;
    }
    return swept;
}

/* --- memory of ours --- */

enum { NAME_ROOM = 48 };

static void name_of(uint64_t id, char name[NAME_ROOM]) {
    snprintf(name, NAME_ROOM, "trine-shared-%016" PRIx64, id);
}

static int make_memory(uint64_t id, size_t bytes) {
    char name[NAME_ROOM];
    name_of(id, name);
    int fd = FAULT(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), -1, EMFILE, ENFILE, ENOMEM);
    if (fd < 0)
        return -errno;
    int r = FAULT(ftruncate(fd, (off_t)bytes), -1, ENOMEM);
    if (r == 0)
        r = fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    if (r < 0) {
        r = errno == EFBIG || errno == EINVAL ? -ENOMEM : -errno; /* larger than a file can be */
        close(fd);
        return r;
    }
    return fd;
}

int shared_map_new(size_t bytes, trine_shared *ret_name, struct mapping **ret_mapping) {
    uint64_t id = 0;
    while (id == 0)
        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
            id = 0; /* interrupted by a signal */
    int fd = make_memory(id, bytes);
    if (fd < 0)
        return fd;
    struct mapping *m;
    int r = mapping_new(fd, true, id, bytes, &m);
    if (r < 0)
        return r;
    m->memory->id = id;
    pthread_mutex_lock(&table_lock);
    add(m);
    pthread_mutex_unlock(&table_lock);
    *ret_name = (trine_shared){.id_ = id, .bytes_ = bytes, .owner_ = getpid(), .fd_ = fd};
    *ret_mapping = m;
    return 0;
}

int shared_map_seal(struct mapping *m) {
    if (m->fd < 0)
        return -EPERM;
    int seals = fcntl(m->fd, F_GET_SEALS);
    if (seals >= 0 && seals & F_SEAL_FUTURE_WRITE)
        return 0;
    int r = FAULT(fcntl(m->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), -1, EINVAL);
    return r < 0 ? -errno : 0;
}

/* --- memory of another process --- */

/* Does the link in /proc lead to that memory? 0 if so. */
static int check_link(const char *path, uint64_t id) {
    char name[NAME_ROOM], expected[NAME_ROOM + 32], found[NAME_ROOM + 32];
    ssize_t n = readlink(path, found, sizeof(found) - 1);
    if (n < 0 && errno != ENOENT)
        return -errno;
    if (n < 0)
        return access("/proc/self", F_OK) == 0 ? -ESTALE : -ENOENT;
    found[n] = '\0';
    name_of(id, name);
    snprintf(expected, sizeof(expected), "/memfd:%s (deleted)", name);
    return strcmp(found, expected) == 0 ? 0 : -ESTALE;
}

static int open_foreign(const trine_shared *name) {
    char path[64];
    struct stat found;
    snprintf(path, sizeof(path), "/proc/%" PRId32 "/fd/%" PRId32, name->owner_, name->fd_);
    int r = check_link(path, name->id_);
    if (r < 0)
        return r;
    int fd = FAULT(open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), -1, EMFILE, ENFILE);
    if (fd < 0)
        return errno == ENOENT || errno == ENXIO ? -ESTALE : -errno;
    if (fstat(fd, &found) < 0 || (uint64_t)found.st_size != name->bytes_) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

/* Under the lock. */
static int map_foreign(const trine_shared *name, struct mapping **ret_mapping) {
    int fd = open_foreign(name);
    if (fd < 0)
        return fd;
    struct mapping *m;
    int r = mapping_new(fd, false, name->id_, name->bytes_, &m);
    if (r < 0)
        return r;
    if (m->memory->id != name->id_) {
        mapping_free(m);
        return -ESTALE;
    }
    add(m);
    *ret_mapping = m;
    return 0;
}

/* --- enter, leave, free --- */

int shared_map_enter(const trine_shared *name, struct mapping **ret_mapping) {
    struct mapping *swept = NULL;
    int r = 0;
    pthread_mutex_lock(&table_lock);
    struct mapping *m = *find(name->id_);
    if (!m) {
        swept = sweep();
        r = map_foreign(name, &m);
    }
    if (r == 0)
        m->users++;
    pthread_mutex_unlock(&table_lock);
    for (struct mapping *next; swept; swept = next) {
        next = swept->next;
        mapping_free(swept);
    }
    if (r == 0)
        *ret_mapping = m;
    return r;
}

void shared_map_leave(struct mapping *m) {
    pthread_mutex_lock(&table_lock);
    m->users--;
    pthread_mutex_unlock(&table_lock);
}

void shared_map_free(const trine_shared *name, void (*last)(struct shared_head *),
                     const char *what) {
    pthread_mutex_lock(&table_lock);
    struct mapping **at = find(name->id_), *m = *at;
    if (m) {
        REQUIRE(m->users == 0,
                "%s was freed while tasks of this process are in a call on it: end "
                "and join them before",
                what);
        *at = m->next;
    }
    pthread_mutex_unlock(&table_lock);
    if (!m)
        return;
    if (m->fd >= 0) {
        if (last)
            last(m->memory);
        atomic_store(&m->memory->freed, true);
    }
    mapping_free(m);
}
