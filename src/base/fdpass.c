/* fdpass.c - see fdpass.h. Descriptors that came with a message that is refused are closed, so a
 * broken sender cannot make the receiver run out of them. */
#include "base/fdpass.h"

#include "base/panic.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    char space[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
    struct cmsghdr align;
};

int fdpass_send(int sock, const void *data, size_t len, const int *fds, size_t n) {
    REQUIRE(n <= FDPASS_MAX, "fdpass_send: %zu descriptors, %d at the most", n, FDPASS_MAX);
    union control control = {{0}};
    struct iovec bytes = {(void *)data, len};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (n > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, n * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Takes the descriptors out; how many there were. */
static size_t take_descriptors(struct msghdr *message, int *fds) {
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (here > FDPASS_MAX - count)
            here = FDPASS_MAX - count; /* cannot be: the control buffer has no room for more */
        memcpy(fds + count, CMSG_DATA(c), here * sizeof(int));
        count += here;
    }
    return count;
}

int fdpass_receive(int sock, void *ret_data, size_t len, int *ret_fds, size_t n) {
    union control control;
    struct iovec bytes = {ret_data, len};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    ssize_t got;
    do
        got = recvmsg(sock, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    int fds[FDPASS_MAX];
    size_t count = take_descriptors(&message, fds);
    int result = 1;
    if (got == 0 && len > 0)
        result = 0;
    else if ((size_t)got != len || (message.msg_flags & MSG_TRUNC) || count > n)
        result = -EMSGSIZE;
    else if (message.msg_flags & MSG_CTRUNC)
        result = -EMFILE;
    if (result <= 0) {
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
        return result;
    }
    for (size_t i = 0; i < n; i++)
        ret_fds[i] = i < count ? fds[i] : -1;
    return 1;
}
