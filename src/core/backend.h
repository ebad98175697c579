/* backend.h - the seam between the loop and the kernel. Coroutines write operations (one kind of
 * record) and watches; a backend carries them out. No other code of the core does I/O or reads a
 * clock. Everything here happens on the loop's own thread. */
#ifndef TRINE_CORE_BACKEND_H
#define TRINE_CORE_BACKEND_H

#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

struct backend;

enum io_code { IO_READ, IO_WRITE, IO_RECV, IO_SEND, IO_ACCEPT, IO_CONNECT };

/* One operation on a descriptor that is ours (non-blocking). The memory and the buffer belong to
 * the backend from submit until done() is called. */
struct io_op {
    struct list node;
    enum io_code code;
    int fd;
    void *buf; /* IO_CONNECT: the address */
    size_t len;
    int flags;      /* of recv, send, accept4 */
    int64_t result; /* bytes, a descriptor, 0; or a negative errno */
    void *owner;    /* of who submitted it */
    void (*done)(struct io_op *);
};

enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_ERROR = 4 };

/* Level-triggered readiness of any descriptor, also a foreign one: `ready` is called in each turn
 * in which it is so. WATCH_ERROR comes unasked. The callback may change or end any watch. */
struct watch {
    int fd;
    unsigned events;
    void (*ready)(struct watch *, unsigned events);
    struct list node; /* the backend's */
    bool watching;
};

struct backend_kind {
    const char *name;
    int (*open)(struct backend **ret);
    void (*close)(struct backend *);
    int64_t (*now)(struct backend *);
    void (*submit)(struct backend *, struct io_op *);
    /* Asks for an early end; done() is called all the same, with -ECANCELED or the true result. */
    void (*cancel)(struct backend *, struct io_op *);
    /* The descriptor is about to be closed: its operations end with -EBADF. */
    void (*forget)(struct backend *, int fd);
    /* Starts or changes a watch (events 0 ends it). */
    int (*watch)(struct backend *, struct watch *, unsigned events);
    /* Carries out what was submitted and calls done() and ready() of what is finished; sleeps until
     * `deadline` (0: does not sleep, NEVER: no deadline) when nothing is. */
    int (*submit_and_wait)(struct backend *, int64_t deadline);
    /* Whether nothing can come of it but the loop's own wake-up: no operation is under way, no
     * other descriptor watched. NULL: it cannot tell. */
    bool (*idle)(const struct backend *);
    /* A descriptor that is readable when submit_and_wait would not sleep. */
    int (*descriptor)(const struct backend *);
};

/* Every backend begins with this. */
struct backend {
    const struct backend_kind *kind;
    pthread_mutex_t *lent;   /* held by the loop's thread but while it sleeps: who has it meanwhile
                              * may work in its place, and wakes it if it has to know; or NULL */
    atomic_bool lent_wanted; /* the loop's thread waits for it */
};

#endif
