/* zygote.h - the process that forks the workers. The program has threads and must not fork, so it
 * starts its own file once more; that process, the zygote, stays single-threaded in trine_init and
 * forks workers when asked to. All process pools of a program share one. */
#ifndef TRINE_EXEC_ZYGOTE_H
#define TRINE_EXEC_ZYGOTE_H

#include "exec/flag.h"
#include "exec/modules.h"
#include "exec/wire.h"

#include <sys/types.h>

/* Asks for one worker, or (signal, pid) that one gets a signal; the former comes with descriptors:
 * the eventfd by which it wakes the program, the socket for reports on this worker, of which the
 * zygote keeps the end, and the memory of flag.h.
 */
enum { HOOK_ARG_MOST = 256 };
struct fork_request {
    uint32_t worker; /* its number */
    int signal;      /* not 0: nothing else is of meaning but ... */
    pid_t pid;       /* ... which worker gets it */
    uint64_t limit_memory;
    uint64_t limit_cpu; /* seconds */
    int64_t spin;
    int cpu; /* that it is to run on; -1: any */
    bool sandbox;
    struct hook {
        struct place place; /* of a trine_task; without module: none */
        char path[WIRE_PATH_MAX];
    } on_start, on_stop;
    _Alignas(64) uint8_t hook_arg[HOOK_ARG_MOST];
};
enum {
    REQUEST_BELL,
    REQUEST_REPORTS,
    REQUEST_FLAGS,
    REQUEST_GROUP = REQUEST_FLAGS + FLAGS, /* see group.h; -1: none */
    REQUEST_FDS
};

enum report_kind {
    REPORT_STARTED = 1, /* comes with the pidfd, if the zygote has it */
    REPORT_FAILED,      /* status: the negative errno of fork; the last report */
    REPORT_ENDED        /* status: as from waitpid; the last report */
};

/* About one worker, over its own report socket. The end of the stream without a last report: the
 * zygote is gone, and the worker with it. */
struct worker_report {
    enum report_kind kind;
    pid_t pid;
    int status;
    int unused;          /* there would be padding to send */
    int64_t most_memory; /* bytes resident at the worst moment */
};

/* What the zygote says when it is ready. */
struct zygote_greeting {
    uint32_t magic;
    struct build_id program;
};
#define ZYGOTE_MAGIC UINT32_C(0x7a796701)
#define ZYGOTE_MARK "--trine-zygote"
enum { ZYGOTE_SOCKET = 3, WORKER_BELL = 3 };

/* --- in the program; any thread --- */

/* Each pool holds one reference; the first starts the zygote, and waits until it is ready: 0, or
 * -ENOEXEC (no build id, or the program's file is now another build), -EAGAIN, -ENOMEM ... of
 * starting it, -EPROTO (it ended or hung before it was ready). */
int zygote_ref(void);

/* The last one ends it and waits until it is gone. */
void zygote_unref(void);

/* Passes a request on; starts the zygote again when it died. 0, or a negative errno as above; the
 * descriptors stay the caller's. Answers come as reports. *ret_zygote tells the zygote that took it
 * from those before and after: its workers die with it. */
int zygote_fork(const struct fork_request *request, const int fds[REQUEST_FDS],
                unsigned *ret_zygote);

/* Is it gone, or going? */
bool zygote_has_died(unsigned id);

/* Has that zygote send a worker a signal, for who has no pidfd of it: the zygote is the one to reap
 * it, so that its number is nobody else's. Nothing, when that zygote is gone: so is the worker. */
void zygote_signal(unsigned id, pid_t pid, int signal);

/* Was trine_init called? Aborts with what to do if not. */
void zygote_require_init(void);

/* --- in the zygote --- */

/* Serves until the program is gone or closes its socket, then kills all that is under it. `program`
 * is the process id of the program, that started us. */
_Noreturn void zygote_main(pid_t program);

#endif
