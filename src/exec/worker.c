/* worker.c - see worker.h. The worker is a plain thread: a task may block, or use [S] calls, which
 * then block it too. It trusts the program's frames as much as they need to be to be understood; a
 * frame that it does not understand ends it, since nothing after it could be.
 *
 * Memory: one input and one output buffer, kept from task to task (the first touch of a page costs
 * 12 us here), given back when a task made them larger than BUFFER_KEPT. */
#include "exec/worker.h"

#include "base/fault.h"
#include "base/sanitizer.h"
#include "core/task.h"
#include "exec/modules.h"
#include "exec/zygote.h"

#include <trine.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_KEPT = 8 << 20, BUFFER_ALIGNMENT = 64 };
enum { EXIT_PROTOCOL = 70, EXIT_IO = 74 }; /* of sysexits.h */

struct worker {
    int sock;
    uint32_t number;
    struct frame frame; /* of the task at hand */
    uint8_t *in;        /* its argument */
    size_t in_room;
    trine_buf out;
    struct place found_place; /* the descriptor that was looked up last */
    size_t found_size;
    const void *found;
};

/* --- bytes --- */

/* True when all came; false at the end of the stream. */
static bool read_all(int sock, void *to, uint64_t len) {
    for (uint64_t got = 0; got < len;) {
        ssize_t n = recv(sock, (char *)to + got, len - got, MSG_WAITALL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got += (uint64_t)n;
    }
    return true;
}

static void skip(int sock, uint64_t len) {
    char sink[4096];
    while (len > 0) {
        size_t part = len < sizeof(sink) ? (size_t)len : sizeof(sink);
        if (!read_all(sock, sink, part))
            _exit(0);
        len -= part;
    }
}

static void write_frame(int sock, const struct frame *frame, const void *body) {
    uint8_t header[WIRE_HEADER];
    wire_encode(frame, header);
    struct iovec parts[] = {{header, sizeof(header)}, {(void *)body, frame->body}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t n = sendmsg(sock, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            _exit(EXIT_IO);
        for (size_t i = 0; i < 2; i++) {
            size_t part = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
}

/* --- one task --- */

static void refuse(struct worker *w, int status, uint64_t value) {
    struct frame reply = {.type = FRAME_REFUSED,
                          .worker = w->number,
                          .sequence = w->frame.sequence,
                          .status = status,
                          .value = value};
    write_frame(w->sock, &reply, NULL);
}

static void answer(struct worker *w, int status, const void *body, uint64_t len) {
    struct frame reply = {.type = FRAME_RESULT,
                          .worker = w->number,
                          .sequence = w->frame.sequence,
                          .status = status,
                          .body = status >= 0 ? len : 0};
    write_frame(w->sock, &reply, body);
}

/* The task's descriptor in this process, or NULL. */
static const void *find_task(struct worker *w, size_t size) {
    struct place place = {.module = w->frame.module, .offset = w->frame.offset};
    if (w->found && w->found_size == size && place.offset == w->found_place.offset &&
        memcmp(&place.module, &w->found_place.module, sizeof(place.module)) == 0)
        return w->found;
    const void *found =
        place.offset % _Alignof(trine_task) == 0 ? modules_find(&place, size) : NULL;
    w->found = found;
    w->found_place = place;
    w->found_size = size;
    return found;
}

static void run_struct(struct worker *w) {
    const trine_task *task = find_task(w, sizeof(*task));
    if (!task || task->size != w->frame.body || task->first_out != w->frame.first_out ||
        !modules_is_code((const void *)(uintptr_t)task->run)) {
        refuse(w, -ENOEXEC, 0);
        return;
    }
    int status = task->run(w->in);
    fflush(stdout);
    answer(w, status, w->in + task->first_out, task->size - task->first_out);
}

static void run_bytes(struct worker *w) {
    const trine_bytes_task *task = find_task(w, sizeof(*task));
    if (!task || !modules_is_code((const void *)(uintptr_t)task->run)) {
        refuse(w, -ENOEXEC, 0);
        return;
    }
    w->out.len = 0;
    int status = task->run((trine_bytes){w->in, w->frame.body}, &w->out);
    fflush(stdout);
    if (status >= 0 && w->out.len > w->frame.limit)
        refuse(w, -EMSGSIZE, w->out.len);
    else
        answer(w, status, w->out.ptr, w->out.len);
}

/* --- buffers --- */

static bool make_room(struct worker *w, uint64_t len) {
    if (len <= w->in_room && w->in)
        return true;
    size_t room = (size_t)(len + BUFFER_ALIGNMENT) & ~(size_t)(BUFFER_ALIGNMENT - 1);
    free(w->in);
    w->in = FAULT(aligned_alloc(BUFFER_ALIGNMENT, room), NULL, ENOMEM);
    w->in_room = w->in ? room : 0;
    return w->in != NULL;
}

static void give_back_large_buffers(struct worker *w) {
    if (w->in_room > BUFFER_KEPT) {
        free(w->in);
        w->in = NULL;
        w->in_room = 0;
    }
    if (w->out.cap > BUFFER_KEPT)
        trine_buf_free(&w->out);
}

/* --- the worker --- */

/* The limit is on top of what the program has mapped to begin with. Not under sanitizers: their
 * shadow memory is terabytes of address space; the supervisor looks at the resident memory. */
static void limit_memory(uint64_t bytes) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    unsigned long pages = 0;
    FILE *file = bytes ? fopen("/proc/self/statm", "re") : NULL;
    if (!file)
        return;
    if (fscanf(file, "%lu", &pages) == 1) {
        rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
        struct rlimit limit = {most, most};
        setrlimit(RLIMIT_AS, &limit);
    }
    fclose(file);
#else
    (void)bytes;
#endif
}

/* SIGXCPU at the limit, SIGKILL for who lives on a second longer. */
static void limit_cpu(uint64_t seconds) {
    struct rlimit limit = {seconds, seconds + 1};
    if (seconds)
        setrlimit(RLIMIT_CPU, &limit);
}

_Noreturn void worker_main(int sock, const struct fork_request *request, struct flags flags) {
    struct worker w = {.sock = sock, .number = request->worker};
    uint8_t header[WIRE_HEADER];
    crash_watch(flags.crash);
    limit_memory(request->limit_memory);
    limit_cpu(request->limit_cpu);
    write_frame(sock, &(struct frame){.type = FRAME_HELLO, .worker = w.number}, NULL);
    while (read_all(sock, header, sizeof(header))) {
        const char *wrong = wire_decode(header, &w.frame);
        if (wrong || w.frame.type != FRAME_TASK || w.frame.worker != w.number)
            _exit(EXIT_PROTOCOL);
        if (!make_room(&w, w.frame.body)) {
            skip(sock, w.frame.body);
            if (flag_begin(&flags, w.frame.sequence))
                refuse(&w, -ENOMEM, w.frame.body);
            continue;
        }
        if (!read_all(sock, w.in, w.frame.body))
            break;
        if (!flag_begin(&flags, w.frame.sequence))
            continue;
        task_watch_flag(flags.cancel, w.frame.sequence);
        if (w.frame.bytes)
            run_bytes(&w);
        else
            run_struct(&w);
        give_back_large_buffers(&w);
    }
    fflush(NULL);
    _exit(0);
}
