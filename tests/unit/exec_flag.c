/* exec_flag.c - the memory between the program and a worker, by the worker's descriptors: cut short
 * or written where it is not the worker's to write, it would harm the program. */
#include "test.h"

#include "exec/flag.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define REFUSED(call) (errno = 0, (call) < 0 && errno == EPERM)

static size_t size_of(int fd) {
    struct stat found;
    CHECK_EQ(fstat(fd, &found), 0);
    CHECK(found.st_size > 0);
    return (size_t)found.st_size;
}

static void flags_done(struct flags *flags, const int fds[FLAGS]) {
    flags_free(flags);
    for (int i = 0; i < FLAGS; i++)
        close(fds[i]);
}

TEST(a_worker_can_change_neither_size_nor_seals) {
    struct flags flags;
    int fds[FLAGS];
    CHECK_OK(flags_new(&flags, fds));
    const int size_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    CHECK_EQ(fcntl(fds[FLAG_CANCEL], F_GET_SEALS), size_seals | F_SEAL_FUTURE_WRITE);
    CHECK_EQ(fcntl(fds[FLAG_CLAIMS], F_GET_SEALS), size_seals);
    for (int i = 0; i < FLAGS; i++) {
        size_t size = size_of(fds[i]);
        CHECK(REFUSED(ftruncate(fds[i], 0)));
        CHECK(REFUSED(ftruncate(fds[i], (off_t)(2 * size))));
        CHECK(REFUSED(fcntl(fds[i], F_ADD_SEALS, F_SEAL_WRITE)));
        CHECK_EQ(size_of(fds[i]), size);
    }
    flags_done(&flags, fds);
}

TEST(a_worker_reads_the_words_that_cancel_and_cannot_write_them) {
    struct flags flags, theirs;
    int fds[FLAGS];
    CHECK_OK(flags_new(&flags, fds));
    int cancel = fds[FLAG_CANCEL];
    size_t size = size_of(cancel);
    errno = 0;
    CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cancel, 0) == MAP_FAILED);
    CHECK_EQ(errno, EPERM);
    CHECK(REFUSED(pwrite(cancel, "x", 1, 0)));
    CHECK(flags_map(&theirs, fds));
    CHECK(mprotect(theirs.cancel, size, PROT_READ | PROT_WRITE) < 0);
    CHECK_EQ(errno, EACCES);
    CHECK_EQ(atomic_load(&theirs.cancel[0]), 0);
    atomic_store(&flags.cancel[0], 7); /* the program, which has mapped them before, can */
    CHECK_EQ(atomic_load(&theirs.cancel[0]), 7);
    flags_free(&theirs);
    flags_done(&flags, fds);
}

TEST(whoever_is_first_begins_a_task_or_takes_it_back) {
    struct flags flags, theirs;
    int fds[FLAGS];
    CHECK_OK(flags_new(&flags, fds));
    CHECK(flags_map(&theirs, fds));
    CHECK(flag_begin(&theirs, 5));
    CHECK(flag_has_begun(&flags, 5));
    CHECK(!flag_take_back(&flags, 5));
    CHECK(flag_take_back(&flags, 6));
    CHECK(!flag_has_begun(&flags, 6));
    CHECK(!flag_begin(&theirs, 6));
    CHECK(flag_begin(&theirs, 6 + FLAG_CLAIMS_MOST)); /* the same word, another task */
    flags_free(&theirs);
    flags_done(&flags, fds);
}
