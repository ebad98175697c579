/* fdpass.h - messages with descriptors over a Unix socket that keeps message boundaries. */
#ifndef TRINE_BASE_FDPASS_H
#define TRINE_BASE_FDPASS_H

#include <stddef.h>

enum { FDPASS_MAX = 8 };

/* Sends one message with `n` descriptors (they stay the caller's). Never waits and raises no
 * signal: 0 or a negative errno of sendmsg, -EAGAIN when the socket is full. */
int fdpass_send(int sock, const void *data, size_t len, const int *fds, size_t n);

/* Receives one message of exactly `len` bytes with at most `n` descriptors (close-on-exec; those
 * not sent are -1). 1; 0 at the end of the stream; -EAGAIN: nothing is there; -EMSGSIZE: another
 * length; -EMFILE: descriptors were lost; or a negative errno of recvmsg. On failure no descriptor
 * is kept. Does not wait. */
int fdpass_receive(int sock, void *ret_data, size_t len, int *ret_fds, size_t n);

#endif
