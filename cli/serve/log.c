/* log.c - the server's clock and log. The texts of a second are made once a second. */
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

void server_clock(struct server *s, unsigned *ret_ms) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_ms)
        *ret_ms = (unsigned)(now.tv_nsec / 1000000);
    if (now.tv_sec == s->second && s->date[0])
        return;
    struct tm t;
    gmtime_r(&now.tv_sec, &t);
    strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &t);
    strftime(s->log_time, sizeof(s->log_time), "%Y-%m-%dT%H:%M:%S", &t);
    s->second = now.tv_sec;
}

void server_log(struct server *s, int status, int64_t bytes, const char *target,
                size_t target_len) {
    if (s->log_fd < 0)
        return;
    unsigned ms;
    server_clock(s, &ms);
    char start[96];
    int used = snprintf(start, sizeof(start), "%s.%03uZ %d %" PRId64 " %u ", s->log_time, ms,
                        status, bytes, s->in_progress);
    struct iovec line[] = {{start, (size_t)used},
                           {(char *)(target_len ? target : "-"), target_len ? target_len : 1},
                           {"\n", 1}};
    ssize_t written = writev(s->log_fd, line, 3);
    if (written != (ssize_t)(line[0].iov_len + line[1].iov_len + 1) && !s->log_failed) {
        fprintf(stderr, "trine serve: the log is not complete any more: %s\n",
                strerror(written < 0 ? errno : ENOSPC));
        s->log_failed = true;
    }
}
