/* flag.c - see flag.h. The worker is hostile, so the memory is sealed: cut short, it would kill the
 * program by SIGBUS; and it can be mapped for writing by nobody after us.
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

int flag_new(flag_page **ret_flag, int *ret_fd) {
    int fd = (int)FAULT(memfd_create("trine-flag", MFD_CLOEXEC | MFD_ALLOW_SEALING), -1, EMFILE);
    if (fd < 0)
        return -errno;
    void *page = MAP_FAILED;
    if (ftruncate(fd, sizeof(flag_page)) == 0)
        page = mmap(NULL, sizeof(flag_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    if (page == MAP_FAILED || fcntl(fd, F_ADD_SEALS, seals) < 0) {
        int error = -errno;
        if (page != MAP_FAILED)
            munmap(page, sizeof(flag_page));
        close(fd);
        return error;
    }
    *ret_flag = page;
    *ret_fd = fd;
    return 0;
}

const flag_page *flag_map(int fd) {
    void *page = mmap(NULL, sizeof(flag_page), PROT_READ, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

void flag_free(flag_page *flag) {
    munmap(flag, sizeof(*flag));
}
