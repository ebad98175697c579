/* flag.c - see flag.h. The worker is hostile, so the memory is sealed: cut short, it would kill the
 * program by SIGBUS; and the word that cancels can be mapped for writing by nobody after us.
 *
 * A task that was sent ahead is begun by its worker or taken back by the program, whoever swaps
 * its word first. The word is used again FLAG_CLAIMS_MOST tasks later: what is in it then is
 * another number.
 *
 * Rejected: a frame that says it (a task that computes reads none), a signal as the first step (a
 * handler cannot know how much of the task's state it interrupts). */
#include "exec/flag.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CANCEL_BYTES = 2 * sizeof(flag_word) };

/* The highest bit of a claim: taken back. */
#define TAKEN_BACK (UINT64_C(1) << 63)

/* What both write. */
struct both {
    flag_word claims[FLAG_CLAIMS_MOST];
    _Alignas(CACHE_LINE) flag_word done[AREAS];
    struct crash crash;
    struct stream_memory tasks, replies;
};

/* Behind it the areas, on pages of any size; those come when they are touched. */
enum {
    PAGE_MOST = 64 << 10,
    AREAS_AT = (sizeof(struct both) + PAGE_MOST - 1) / PAGE_MOST * PAGE_MOST,
    BOTH_BYTES = AREAS_AT + AREAS * AREA_BYTES
};

static int memory_new(void **ret_memory, size_t size, int *ret_fd, int seals) {
    int fd = (int)FAULT(memfd_create("trine-flag", MFD_CLOEXEC | MFD_ALLOW_SEALING), -1, EMFILE);
    if (fd < 0)
        return -errno;
    void *page = MAP_FAILED;
    if (ftruncate(fd, size) == 0)
        page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED ||
        fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int error = errno == EINVAL ? -ENOSYS : -errno; /* a seal that came with Linux 5.1 */
        if (page != MAP_FAILED)
            munmap(page, size);
        close(fd);
        return error;
    }
    *ret_memory = page;
    *ret_fd = fd;
    return 0;
}

int flags_new(struct flags *ret_flags, int ret_fds[FLAGS]) {
    void *cancel = NULL, *memory = NULL;
    int r = memory_new(&cancel, CANCEL_BYTES, &ret_fds[FLAG_CANCEL], F_SEAL_FUTURE_WRITE);
    if (r < 0)
        return r;
    r = memory_new(&memory, BOTH_BYTES, &ret_fds[FLAG_CLAIMS], 0);
    if (r < 0) {
        munmap(cancel, CANCEL_BYTES);
        close(ret_fds[FLAG_CANCEL]);
        return r;
    }
    struct both *b = memory;
    *ret_flags = (struct flags){.cancel = cancel,
                                .claims = b->claims,
                                .done = b->done,
                                .crash = &b->crash,
                                .in.memory = &b->replies,
                                .out.memory = &b->tasks,
                                .areas = (uint8_t *)b + AREAS_AT};
    return 0;
}

bool flags_map(struct flags *ret_flags, const int fds[FLAGS]) {
    void *cancel = mmap(NULL, CANCEL_BYTES, PROT_READ, MAP_SHARED, fds[FLAG_CANCEL], 0);
    struct both *b =
        mmap(NULL, BOTH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FLAG_CLAIMS], 0);
    if (cancel == MAP_FAILED || b == MAP_FAILED)
        return false;
    *ret_flags = (struct flags){.cancel = cancel,
                                .claims = b->claims,
                                .done = b->done,
                                .crash = &b->crash,
                                .in.memory = &b->tasks,
                                .out.memory = &b->replies,
                                .areas = (uint8_t *)b + AREAS_AT};
    return true;
}

void flags_free(struct flags *flags) {
    munmap(flags->cancel, CANCEL_BYTES);
    munmap(container_of(flags->claims, struct both, claims), BOTH_BYTES);
}

static flag_word *claim_of(const struct flags *flags, uint64_t sequence) {
    return &flags->claims[sequence % FLAG_CLAIMS_MOST];
}

/* Whoever decides first. */
static bool decide(struct flags *flags, uint64_t sequence, uint64_t mark) {
    flag_word *claim = claim_of(flags, sequence);
    uint64_t last = atomic_load(claim);
    while ((last & ~TAKEN_BACK) != sequence)
        if (atomic_compare_exchange_weak(claim, &last, sequence | mark))
            return true;
    return false;
}

bool flag_begin(struct flags *flags, uint64_t sequence) {
    return decide(flags, sequence, 0);
}

bool flag_take_back(struct flags *flags, uint64_t sequence) {
    return decide(flags, sequence, TAKEN_BACK);
}

bool flag_has_begun(const struct flags *flags, uint64_t sequence) {
    return atomic_load(claim_of(flags, sequence)) == sequence;
}
