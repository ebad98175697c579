/* worker.c - see worker.h. The worker is a plain thread: a task may block, or use [S] calls, which
 * then block it too. It trusts the program's frames as much as they need to be to be understood; a
 * frame that it does not understand ends it, since nothing after it could be.
 *
 * Memory: one input and one output buffer, kept from task to task (the first touch of a page costs
 * 12 us here), given back when a task made them larger than BUFFER_KEPT. */
#include "exec/worker.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/futex.h"
#include "base/panic.h"
#include "base/relax.h"
#include "base/sanitizer.h"
#include "base/step.h"
#include "core/progress.h"
#include "core/task.h"
#include "exec/batch.h"
#include "exec/garble.h"
#include "exec/modules.h"
#include "exec/sandbox.h"
#include "exec/shared_mutex.h"
#include "exec/zygote.h"

#include <trine.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SPINS = 30 };
enum { BUFFER_KEPT = 8 << 20, BUFFER_ALIGNMENT = 64 };
#define TELL_EVERY TRINE_MS(5)
enum { EXIT_HOOK = 69, EXIT_PROTOCOL = 70, EXIT_IO = 74 }; /* of sysexits.h */

static struct worker {
    int bell;
    uint32_t number;
    struct flags memory;
    int64_t spin;
    int64_t now, told;  /* when the last task ended; when the program was told of replies last */
    bool patient;       /* it need not be told at once */
    struct frame frame; /* of the task at hand */
    uint8_t *arg;       /* its argument: in an area, or in `in` */
    uint8_t *in;
    size_t in_room;
    trine_buf out;
    struct place found_place; /* the descriptor that was looked up last */
    size_t found_size;
    const void *found;
} self;

struct flags *worker_memory(void) {
    return &self.memory;
}

struct stream *worker_replies(void) {
    return &self.memory.out;
}

#ifdef TRINE_FAULT_SITES
static void write_garbage(unsigned nth) {
    garble(&self.memory, self.bell, &self.frame, self.number, nth);
}
#endif

/* --- bytes --- */

static void ring_bell(struct worker *w) {
    while (write(w->bell, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        if (errno != EINTR)
            _exit(EXIT_IO);
}

static size_t in_range(size_t n) {
    if (n == STREAM_BROKEN)
        _exit(EXIT_PROTOCOL);
    return n;
}

/* A look for as long as a wake-up would cost the program: the next task is often microseconds away.
 */
static bool spin(struct worker *w, struct stream *s) {
    int64_t until = w->spin > 0 ? clock_monotonic() + w->spin : 0;
    if (w->spin < 0)
        return false;
    do
        for (int i = 0; i < SPINS; i++) {
            if (stream_ready(s) || atomic_load_explicit(&s->memory->closed, memory_order_relaxed))
                return true;
            cpu_relax();
        }
    while (until && clock_monotonic() < until);
    return false;
}

/* Waits for tasks: false when none will come. */
static bool await_bytes(struct worker *w, size_t want, size_t *ret_ready) {
    struct stream *s = &w->memory.in;
    while (!(*ret_ready = in_range(stream_ready_for(s, want)))) {
        if (stream_wake_writer(s))
            ring_bell(w);
        if (atomic_load(&s->memory->closed) && !stream_ready(s))
            return false;
        if (stream_wake_reader(&w->memory.out))
            ring_bell(w);
        if (!spin(w, s) && stream_reader_sleeps(s, 0) && !atomic_load(&s->memory->closed)) {
            STEP(STEP_ASLEEP);
            futex_wait_shared(&s->memory->reader_sleeps, 1, INT64_MAX);
        }
    }
    return true;
}

/* True when all came; false at the end of the stream. */
static bool read_all(struct worker *w, void *to, uint64_t len) {
    while (len > 0) {
        size_t ready;
        if (!await_bytes(w, len < STREAM_BYTES ? (size_t)len : STREAM_BYTES, &ready))
            return false;
        size_t part = len < ready ? (size_t)len : ready;
        stream_take(&w->memory.in, to, part);
        STEP(STEP_PART);
        if (stream_wake_writer_at_times(&w->memory.in))
            ring_bell(w);
        to = (char *)to + part;
        len -= part;
    }
    return true;
}

static void skip(struct worker *w, uint64_t len) {
    char sink[4096];
    while (len > 0) {
        size_t part = len < sizeof(sink) ? (size_t)len : sizeof(sink);
        if (!read_all(w, sink, part))
            _exit(0);
        len -= part;
    }
}

static void write_all(struct worker *w, const void *from, uint64_t len) {
    struct stream *s = &w->memory.out;
    while (len > 0) {
        size_t room = in_range(stream_room_for(s, len < STREAM_BYTES ? (size_t)len : STREAM_BYTES));
        if (!room) {
            if (stream_wake_reader(s))
                ring_bell(w);
            STEP(STEP_FULL);
            if (stream_writer_sleeps(s, 0))
                futex_wait_shared(&s->memory->writer_sleeps, 1, INT64_MAX);
            continue;
        }
        size_t part = len < room ? (size_t)len : room;
        stream_put(s, from, part);
        STEP(STEP_REPLY_PART);
        from = (const char *)from + part;
        len -= part;
    }
}

/* Tells the program of what was written; of good news not more often than every TELL_EVERY while
 * there is more to do, since each time takes some 20 us from all that compute. It looks by itself
 * now and then (see remote.c), in case that the next task is a long one. */
static void tell(struct worker *w) {
    if (w->patient && w->now - w->told < TELL_EVERY && stream_ready_for(&w->memory.in, 1) > 0)
        return;
    w->told = w->now;
    if (stream_wake_reader(&w->memory.out))
        ring_bell(w);
    STEP(STEP_TOLD);
}

static void write_frame(struct worker *w, const struct frame *frame, const void *body) {
    uint8_t header[WIRE_HEADER];
    wire_encode(frame, header);
    write_all(w, header, sizeof(header));
    STEP(STEP_REPLY_HEADER);
    write_all(w, body, frame_follows(frame));
    STEP(STEP_REPLY);
    tell(w);
}

/* --- one task --- */

static void refuse(struct worker *w, int status, uint64_t value) {
    struct frame reply = {.type = FRAME_REFUSED,
                          .worker = w->number,
                          .sequence = w->frame.sequence,
                          .status = status,
                          .value = value};
    w->patient = false;
    write_frame(w, &reply, NULL);
}

static void answer(struct worker *w, int status, const void *body, uint64_t len) {
    struct frame reply = {.type = FRAME_RESULT,
                          .worker = w->number,
                          .sequence = w->frame.sequence,
                          .status = status,
                          .body = status >= 0 ? len : 0};
    if (status >= 0 && w->frame.area && len > 0 && len <= AREA_BYTES) {
        reply.area = w->frame.area;
        if (w->frame.bytes) /* a flat struct's lie there already */
            memcpy(w->arg, body, len);
    }
    w->now = clock_monotonic();
    w->patient = status >= 0;
    write_frame(w, &reply, body);
}

/* What the task has found so far; waits while the program does not take it. */
static int report(const void *bytes, size_t len) {
    struct worker *w = &self;
    struct frame piece = {.type = FRAME_PROGRESS,
                          .worker = w->number,
                          .sequence = w->frame.sequence,
                          .body = len};
    if (!w->frame.progress)
        return 0;
    if (trine_cancelled())
        return -ECANCELED;
    if (len > w->frame.limit)
        return -EMSGSIZE;
    w->patient = false;
    write_frame(w, &piece, bytes);
    STEP(STEP_REPORT);
    return 0;
}

static const void *function_of(const struct worker *w, const void *task) {
    return w->frame.bytes ? (const void *)(uintptr_t)((const trine_bytes_task *)task)->run
                          : (const void *)(uintptr_t)((const trine_task *)task)->run;
}

/* What has been printed is out before its result is. */
static void flush(void) {
    if (__fpending(stdout))
        fflush(stdout);
}

/* The task has returned. All others would wait for what it holds, since its worker lives on. */
static void finish(const char *task) {
    REQUIRE(!shared_mutexes_held(), "the task %s has returned with a mutex between processes",
            task);
    flush();
}

/* The task's descriptor in this process, or NULL. */
static const void *find_task(struct worker *w, size_t size) {
    struct place place = {.module = w->frame.module, .offset = w->frame.offset};
    if (w->found && w->found_size == size && place.offset == w->found_place.offset &&
        memcmp(&place.module, &w->found_place.module, sizeof(place.module)) == 0)
        return w->found;
    const void *found =
        place.offset % _Alignof(trine_task) == 0 ? modules_find(&place, size) : NULL;
    if (found && !modules_is_code(function_of(w, found)))
        found = NULL;
    w->found = found;
    w->found_place = place;
    w->found_size = size;
    return found;
}

static bool take_module(struct worker *w) {
    char path[WIRE_PATH_MAX];
    if (!read_all(w, path, w->frame.body))
        return false;
    path[w->frame.body - 1] = 0;
    modules_load(&w->frame.module, path);
    return true;
}

static void run_struct(struct worker *w) {
    const trine_task *task = find_task(w, sizeof(*task));
    if (!task || task->size != w->frame.body || task->first_out != w->frame.first_out) {
        refuse(w, -ENOEXEC, 0);
        return;
    }
    int status = task->run(w->arg);
    STEP(STEP_RETURNED);
    finish(task->name);
    answer(w, status, w->arg + task->first_out, task->size - task->first_out);
}

/* Each struct of a batch, up to one that fails, and until BATCH_LONGEST is over. How many are done
 * is said as soon as they are: who dies at the next has done them all the same. Its status: the ns
 * that it took. */
static void run_batch(struct worker *w) {
    const trine_task *task = find_task(w, sizeof(*task));
    if (!task || !task->size || w->frame.body % task->size ||
        task->first_out != w->frame.first_out) {
        refuse(w, -ENOEXEC, 0);
        return;
    }
    flag_word *done = &w->memory.done[w->frame.area - 1];
    int64_t began = clock_monotonic(), took = 0;
    int status = 0;
    for (uint64_t i = 0, n = w->frame.body / task->size; i < n && took < BATCH_LONGEST; i++) {
        status = trine_cancelled() ? -ECANCELED : task->run(w->arg + i * task->size);
        STEP(STEP_RETURNED);
        finish(task->name);
        if (status < 0)
            break;
        atomic_store_explicit(done, i + 1, memory_order_release);
        took = clock_monotonic() - began;
    }
    answer(w, status < 0 ? status : took < INT_MAX ? (int)took : INT_MAX, NULL, 0);
}

static void run_bytes(struct worker *w) {
    const trine_bytes_task *task = find_task(w, sizeof(*task));
    if (!task) {
        refuse(w, -ENOEXEC, 0);
        return;
    }
    w->out.len = 0;
    int status = task->run((trine_bytes){w->arg, w->frame.body}, &w->out);
    finish(task->name);
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

/* One frame; false: none comes any more. */
static bool serve(struct worker *w) {
    uint8_t header[WIRE_HEADER];
    if (!read_all(w, header, sizeof(header)))
        return false;
    const char *wrong = wire_decode(header, &w->frame);
    if (wrong || w->frame.worker != w->number)
        _exit(EXIT_PROTOCOL);
    if (w->frame.type == FRAME_MODULE)
        return take_module(w);
    if (w->frame.type != FRAME_TASK)
        _exit(EXIT_PROTOCOL);
    STEP(STEP_HEADER);
    if (w->frame.area) {
        w->arg = area_at(w->memory.areas, w->frame.area);
    } else if (!make_room(w, w->frame.body)) {
        skip(w, w->frame.body);
        if (flag_begin(&w->memory, w->frame.sequence))
            refuse(w, -ENOMEM, w->frame.body);
        return true;
    } else {
        w->arg = w->in;
        if (!read_all(w, w->arg, w->frame.body))
            return false;
    }
    STEP(STEP_ARGUMENT);
    if (!flag_begin(&w->memory, w->frame.sequence)) {
        STEP(STEP_SKIPPED);
        tell(w); /* it may have kept something to itself in the hope of this one */
        return true;
    }
    STEP(STEP_BEGUN);
    task_watch_flag(w->memory.cancel, w->frame.sequence);
    if (w->frame.bytes)
        run_bytes(w);
    else if (w->frame.batch)
        run_batch(w);
    else
        run_struct(w);
    w->frame.progress = false; /* what runs on or comes after it reports for nobody */
    give_back_large_buffers(w);
    return true;
}

static void pin(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    if (cpu < 0)
        return;
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one); /* a CPU that is gone meanwhile: then on any */
}

/* What the hook returned; 0 without one. */
static int run_hook(const struct hook *h, void *arg) {
    if (!h->place.module.len)
        return 0;
    modules_load(&h->place.module, h->path);
    const trine_task *hook = modules_find(&h->place, sizeof(*hook));
    if (!hook || !modules_is_code((const void *)(uintptr_t)hook->run))
        return -ENOEXEC;
    int status = hook->run(arg);
    flush();
    return status;
}

_Noreturn void worker_main(int bell, const struct fork_request *request, struct flags memory,
                           int status) {
    static _Alignas(64) uint8_t hook_arg[HOOK_ARG_MOST];
    self = (struct worker){.bell = bell,
                           .number = request->worker,
                           .memory = memory,
                           .spin = request->spin};
    memcpy(hook_arg, request->hook_arg, sizeof(hook_arg));
    crash_watch(memory.crash);
    limit_memory(request->limit_memory);
    limit_cpu(request->limit_cpu);
    pin(request->cpu);
#ifdef TRINE_FAULT_SITES
    step_garble = write_garbage;
#endif
    STEP(STEP_START);
    progress_goes_to(report);
    if (status >= 0)
        status = run_hook(&request->on_start, hook_arg);
    if (status >= 0 && request->sandbox)
        status = sandbox_enter();
    struct frame hello = {.type = FRAME_HELLO,
                          .worker = self.number,
                          .status = status < 0 ? status : 0};
    STEP(STEP_GREETING);
    write_frame(&self, &hello, NULL);
    STEP(STEP_GREETED);
    while (status >= 0 && serve(&self))
        ;
    STEP(STEP_LEAVING);
    if (status >= 0)
        run_hook(&request->on_stop, hook_arg);
    fflush(NULL);
    _exit(status >= 0 ? 0 : EXIT_HOOK);
}
