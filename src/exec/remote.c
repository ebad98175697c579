/* remote.c - one worker process as the supervisor sees it: frames to and from it, its limits, its
 * end. The worker is hostile: of what comes from it only a frame that answers its present task is
 * taken, at most of the size expected, and a flat argument gets its results as a whole or not at
 * all. (And, of a batch, the results that it had before it died.)
 *
 * Which task dies with a worker: it runs one at a time, so it is the oldest without an answer,
 * unless the worker died before it began it, as one does that was killed while idle: it says in a
 * shared word what it begins. A task that had not begun is given to another worker. A worker can
 * lie about that; supervisor.c bounds the repetitions. That it has died is told by its report
 * alone.
 *
 * While it runs one task it is sent the next ones ahead, as long as they fit into its stream as a
 * whole. They can be taken back by the same word, when another worker is idle or this one is to
 * end; their frames stay in the stream, and are skipped.
 *
 * It wakes us by its bell when it has something for us, but not for each of many short tasks; so as
 * long as something is ahead we look at its stream now and then as well. */
#include "exec/batch.h"
#include "exec/pool.h"

#include "base/futex.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define LEAVE_TIMEOUT TRINE_SEC(2)

/* So often what it has written is looked at while something is ahead; less and less often while
 * there is nothing. */
#define LOOK_FIRST TRINE_MS(5)
#define LOOK_LAST TRINE_MS(20)

/* Stream that an introduction takes (see introduce_module). */
enum { INTRODUCTION_MOST = WIRE_HEADER + WIRE_PATH_MAX };

/* Frames that are taken at a time: workers take turns. */
enum { FRAMES_AT_ONCE = 256 };

/* --- limits --- */

void worker_kill(struct worker *w, int verdict, struct failure *failure) {
    if (w->state == WORKER_KILLED) {
        free(failure);
        return;
    }
    struct loop *l = w->pool->loop;
    if (w->state == WORKER_IDLE)
        list_remove(&w->idle_node);
    w->state = WORKER_KILLED;
    worker_leave_seat(w);
    w->verdict = verdict;
    w->failure = failure;
    loop_watch(l, &w->bell_watch, 0);
    loop_timer_stop(l, &w->deadline);
    loop_timer_stop(l, &w->memory_check);
    loop_timer_stop(l, &w->look);
    loop_timer_stop(l, &w->offer);
    worker_signal(w, SIGKILL); /* or when its number comes */
    if (w->ended)
        loop_timer_start(l, &w->offer, 1);
}

static void wake_worker(struct worker *w) {
    if (stream_wake_reader(&w->memory.out))
        futex_wake_shared(&w->memory.out.memory->reader_sleeps, 1);
}

static void violation(struct worker *w, const char *what) {
    worker_kill(w, -EPROTO,
                failure_new(SIGKILL, "worker %d was killed because it sent %s", (int)w->pid, what));
}

/* A task that is to end has begun, so there is an answer to the one before it; the steps begin when
 * that is taken. The future may be back then. */
static void cancel_behind(struct worker *w) {
    uint64_t before = worker_sent(w, 0)->frame.sequence;
    loop_timer_stop(w->pool->loop, &w->look);
    worker_receive(w);
    if (w->state != WORKER_BUSY || w->look.running)
        return; /* there is more to take */
    if (worker_sent(w, 0)->frame.sequence == before && !w->piece_waits && !w->ended)
        violation(w, "no answer to a task, and has begun the next");
    else
        loop_timer_start(w->pool->loop, &w->look, 1);
}

void worker_cancel_task(struct worker *w, const struct trine_future *f) {
    if (w->state != WORKER_BUSY)
        return;
    unsigned i = 0;
    while (worker_sent(w, i)->future != f)
        i++;
    atomic_store(&w->memory.cancel[1], (uint64_t)(int64_t)atomic_load(&f->why));
    atomic_store(&w->memory.cancel[0], worker_sent(w, i)->frame.sequence);
    if (w->terminated && w->deadline.running)
        return; /* its time was over as well */
    if (i > 0) {
        cancel_behind(w);
        return;
    }
    loop_timer_stop(w->pool->loop, &w->deadline);
    loop_timer_start(w->pool->loop, &w->deadline, w->pool->grace / 2);
}

void worker_doom(struct worker *w) {
    if (w->state != WORKER_BUSY) {
        worker_kill(w, 0, NULL);
        return;
    }
    w->used_up = true;
    worker_return_ahead(w);
}

void worker_leave(struct worker *w) {
    if (w->state == WORKER_KILLED || w->state == WORKER_LEAVING)
        return;
    if (w->state == WORKER_IDLE)
        list_remove(&w->idle_node);
    w->state = WORKER_LEAVING;
    worker_leave_seat(w);
    atomic_store(&w->memory.out.memory->closed, true);
    wake_worker(w);
    loop_watch(w->pool->loop, &w->bell_watch, 0);
    loop_timer_stop(w->pool->loop, &w->look);
    loop_timer_stop(w->pool->loop, &w->deadline);
    loop_timer_start(w->pool->loop, &w->deadline, LEAVE_TIMEOUT);
}

/* --- to the worker --- */

static struct iovec body_of(const struct trine_future *f) {
    if (f->task && !future_is_batch(f))
        return (struct iovec){f->arg, f->task->size};
    return (struct iovec){(void *)f->in.ptr, f->in.len};
}

static bool goes_into_area(const struct trine_future *f) {
    return future_is_batch(f) || area_suits(body_of(f).iov_len);
}

static const struct assignment *newest(struct worker *w) {
    return worker_sent(w, w->count - 1);
}

static bool all_sent(struct worker *w) {
    return !w->count || w->out_done == WIRE_HEADER + frame_follows(&newest(w)->frame);
}

/* How much may be sent now, if need be more than is wanted; kills the worker when its stream is
 * broken. */
static size_t room_for(struct worker *w, size_t want) {
    size_t room = stream_room_for(&w->memory.out, want);
    if (room != STREAM_BROKEN)
        return room;
    violation(w, "nothing that could be: it has read what was never sent");
    return 0;
}

/* Sends what the stream takes of the newest; the bell tells of more room while something is left.
 */
static void send_more(struct worker *w) {
    struct stream *s = &w->memory.out;
    while (w->state == WORKER_BUSY && !all_sent(w)) {
        size_t room = room_for(w, 1);
        if (!room && (w->state != WORKER_BUSY || stream_writer_sleeps(s, 0)))
            break;
        struct iovec part = {w->out_header + w->out_done, WIRE_HEADER - w->out_done};
        if (w->out_done >= WIRE_HEADER) {
            part = body_of(newest(w)->future);
            part.iov_base = (char *)part.iov_base + (w->out_done - WIRE_HEADER);
            part.iov_len -= w->out_done - WIRE_HEADER;
        }
        size_t n = part.iov_len < room ? part.iov_len : room;
        stream_put(s, part.iov_base, n);
        w->out_done += n;
    }
    w->wake_due = true;
}

void worker_wake_if_due(struct worker *w) {
    if (w->wake_due)
        wake_worker(w);
    w->wake_due = false;
}

/* What was taken back counts as long as its frame may be unread: the words in which that is said
 * are used again. */
static bool claims_are_left(const struct worker *w) {
    return w->last_sequence - w->last_answered < FLAG_CLAIMS_MOST / 2;
}

bool worker_takes_ahead(struct worker *w, const struct trine_future *f) {
    unsigned most = w->pool->max_tasks;
    size_t body = body_of(f).iov_len;
    if (goes_into_area(f)) {
        if (!area_find(&w->areas))
            return false;
        body = 0;
    }
    size_t need = INTRODUCTION_MOST + WIRE_HEADER + body;
    return w->state == WORKER_BUSY && w->count < SENT_MOST && claims_are_left(w) && !w->used_up &&
           all_sent(w) && room_for(w, need) >= need && w->state == WORKER_BUSY &&
           (!most || w->tasks + w->count < most);
}

static bool knows_module(const struct worker *w, const struct build_id *module) {
    unsigned kept = w->introductions < MODULES_KEPT ? w->introductions : MODULES_KEPT;
    for (unsigned i = 0; i < kept; i++)
        if (memcmp(&w->introduced[i], module, sizeof(*module)) == 0)
            return true;
    return false;
}

/* A module that the program loaded by itself, or linked: the worker loads it if it has not. There
 * is room for the frame, and nothing is half sent. */
static void introduce_module(struct worker *w, const struct trine_future *f,
                             const struct build_id *module) {
    uint8_t header[WIRE_HEADER];
    char *path = w->pool->path;
    w->introduced[w->introductions++ % MODULES_KEPT] = *module;
    if (modules_path(f->task ? (const void *)f->task : f->bytes_task, path) < 0)
        return; /* the worker may know it all the same; if not it says so */
    struct frame frame = {.type = FRAME_MODULE,
                          .worker = w->number,
                          .body = strlen(path) + 1,
                          .module = *module};
    wire_encode(&frame, header);
    stream_put(&w->memory.out, header, sizeof(header));
    stream_put(&w->memory.out, path, frame.body);
}

/* The body goes there as a whole; the worker does not look before it has the frame. */
static void fill_area(struct worker *w, unsigned area, const struct trine_future *f) {
    struct iovec body = body_of(f);
    w->areas.is[area - 1] = true;
    atomic_store_explicit(&w->memory.done[area - 1], 0, memory_order_relaxed);
    memcpy(area_at(w->memory.areas, area), body.iov_base, body.iov_len);
}

/* The task is done with its area, in which `result` bytes lay at the end. */
static void leave_area(struct worker *w, const struct frame *task, uint64_t result) {
    if (task->area)
        area_drop(&w->areas, w->memory.areas, task->area,
                  task->body > result ? task->body : result);
}

void worker_give_task(struct worker *w, struct trine_future *f, const struct place *place) {
    struct pool *p = w->pool;
    bool followed = f->options && f->own.progress;
    if (!knows_module(w, &place->module))
        introduce_module(w, f, &place->module);
    struct frame frame = {.type = FRAME_TASK,
                          .bytes = !f->task,
                          .batch = future_is_batch(f),
                          .progress = followed,
                          .worker = w->number,
                          .sequence = ++w->last_sequence,
                          .body = body_of(f).iov_len,
                          .offset = place->offset,
                          .first_out = f->task ? f->task->first_out : 0,
                          .limit = f->task && !followed ? 0 : p->max_result,
                          .module = place->module};
    if (goes_into_area(f) && (frame.area = area_find(&w->areas)))
        fill_area(w, frame.area, f);
    wire_encode(&frame, w->out_header);
    w->out_done = 0;
    if (!f->task)
        f->out->len = 0;
    *worker_sent(w, w->count++) = (struct assignment){f, frame};
    if (w->state == WORKER_IDLE) {
        list_remove(&w->idle_node);
        w->state = WORKER_BUSY;
        w->in_done = 0;
        worker_start_limits(w);
    } else if (!w->look.running) {
        loop_timer_start(p->loop, &w->look, w->look_every = LOOK_FIRST);
    }
    send_more(w);
}

/* Of what was taken back only what lies between others stays. */
static void trim(struct worker *w) {
    while (w->count && !worker_sent(w, 0)->future) {
        w->first++;
        w->count--;
    }
    while (w->count && !newest(w)->future)
        w->count--;
}

struct trine_future *worker_take_back(struct worker *w, unsigned i) {
    struct assignment *a = worker_sent(w, i);
    struct trine_future *f = a->future;
    if (!f || !flag_take_back(&w->memory, a->frame.sequence))
        return NULL;
    a->future = NULL;
    leave_area(w, &a->frame, 0);
    trim(w);
    w->out_done =
        WIRE_HEADER + frame_follows(&newest(w)->frame); /* all of what is ahead was sent */
    return f;
}

bool worker_return_ahead(struct worker *w) {
    for (unsigned i = w->count; i-- > 1;) {
        if (!worker_sent(w, i)->future)
            continue;
        struct trine_future *f = worker_take_back(w, i);
        if (!f)
            return false;
        pool_task_returned(w->pool, f);
    }
    return true;
}

/* --- from the worker --- */

/* What is there of what it wrote; kills the worker when its stream is broken. */
static size_t ready_from(struct worker *w, size_t want) {
    size_t ready = stream_ready_for(&w->memory.in, want);
    if (ready != STREAM_BROKEN)
        return ready;
    violation(w, "more than its stream can hold");
    return 0;
}

/* Where the body of the present reply goes. To a flat argument itself only when it is all there: a
 * worker that dies in the middle of it must not leave half of it. */
static char *body_place(struct worker *w) {
    struct trine_future *f = worker_task(w);
    if (w->reply.type == FRAME_PROGRESS)
        return w->piece.ptr;
    if (w->direct)
        return (char *)f->arg + f->task->first_out;
    return f->task ? (char *)w->scratch.ptr : (char *)f->out->ptr;
}

/* What is there of what is still to come of the reply's body. */
static size_t body_ready(struct worker *w) {
    uint64_t left = frame_follows(&w->reply) - (w->in_done - WIRE_HEADER);
    return left ? ready_from(w, left < STREAM_BYTES ? (size_t)left : STREAM_BYTES) : 0;
}

/* The header is complete: 0, or the worker was killed. */
static int take_header(struct worker *w) {
    const char *wrong = wire_decode(w->in_header, &w->reply);
    if (!wrong && w->state == WORKER_STARTING) {
        if (w->reply.type != FRAME_HELLO || w->reply.worker != w->number)
            wrong = "no greeting";
    } else if (!wrong) {
        wrong = wire_check_reply(&w->reply, &worker_sent(w, 0)->frame);
    }
    if (wrong) {
        violation(w, wrong);
        return -EPROTO;
    }
    w->direct = false;
    if (w->reply.body == 0)
        return 0;
    struct trine_future *f = worker_task(w);
    bool piece = w->reply.type == FRAME_PROGRESS;
    w->direct = f->task && !piece && (w->reply.area || body_ready(w) >= w->reply.body);
    if (w->direct)
        return 0;
    trine_buf *b = piece ? &w->piece : f->task ? &w->scratch : f->out;
    b->len = 0;
    int r = trine_buf_reserve(b, w->reply.body);
    if (r < 0)
        worker_kill(w, r,
                    failure_new(0, "no memory for its result of %llu bytes",
                                (unsigned long long)w->reply.body));
    return r;
}

static struct failure *refusal(struct worker *w) {
    const struct frame *r = &w->reply;
    unsigned long long value = r->value, limit = worker_sent(w, 0)->frame.limit;
    switch (r->status) {
    case -EMSGSIZE:
        return failure_new(0, "its result of %llu bytes is over the limit of %llu (max_result)",
                           value, limit);
    case -ENOMEM:
        return failure_new(0, "the worker has no memory for its argument of %llu bytes", value);
    case -ENOEXEC:
        return failure_new(0,
                           "the worker does not know the task: its module cannot be loaded there, "
                           "or its file is another build now");
    default:
        return failure_new(0, "the worker's runtime refused it");
    }
}

/* It is through with its task: the first of what was sent ahead is the next. */
static void next_task(struct worker *w) {
    w->first++;
    w->count--;
    w->tries = w->looks = 0;
    trim(w);
    if (!w->count) {
        w->state = WORKER_IDLE;
        list_push_front(&w->pool->idle, &w->idle_node);
        return;
    }
    worker_start_limits(w);
    if (atomic_load(&worker_task(w)->cancel))
        worker_cancel_task(w, worker_task(w));
}

static void empty_area(struct worker *w, const struct trine_future *f) {
    const uint8_t *area = area_at(w->memory.areas, w->reply.area);
    memcpy(body_place(w), f->task ? area + f->task->first_out : area, w->reply.body);
}

/* The frame is complete. */
static void take_frame(struct worker *w) {
    struct pool *p = w->pool;
    if (w->state == WORKER_BUSY && w->reply.type == FRAME_PROGRESS) {
        w->in_done = 0;
        w->piece.len = w->reply.body;
        worker_offer_piece(w);
        return;
    }
    loop_timer_stop(p->loop, &w->deadline);
    loop_timer_stop(p->loop, &w->memory_check);
    w->in_done = 0;
    if (w->state == WORKER_STARTING && w->reply.status < 0) {
        w->start_error = w->reply.status;
        worker_kill(w, 0, NULL);
        return;
    }
    if (w->state == WORKER_STARTING) {
        w->state = WORKER_IDLE;
        list_push_front(&p->idle, &w->idle_node);
        pool_worker_ready(p, w);
        return;
    }
    struct trine_future *f = worker_task(w);
    int status = w->reply.status;
    struct failure *failure = NULL;
    if (future_is_batch(f)) {
        size_t done = worker_take_batch(w);
        future_note_batch_done(f, done);
        if (status >= 0 && !done) {
            violation(w, "a batch of which it has done nothing");
            return;
        }
    }
    if (w->reply.area)
        empty_area(w, f);
    leave_area(w, &worker_sent(w, 0)->frame, w->reply.area ? w->reply.body : 0);
    if (w->reply.type == FRAME_REFUSED)
        failure = refusal(w);
    else if (w->reply.body > 0 && f->task && !w->direct)
        memcpy((char *)f->arg + f->task->first_out, w->scratch.ptr, w->reply.body);
    else if (status >= 0 && !f->task)
        f->out->len = w->reply.body;
    w->tasks++;
    w->last_answered = w->reply.sequence;
    next_task(w);
    pool_task_done(p, w, f, status, failure);
}

/* Takes one frame, or what is there of it: true if it was complete. */
static bool receive_frame(struct worker *w) {
    if (w->piece_waits)
        return false;
    size_t ready =
        w->state <= WORKER_BUSY ? ready_from(w, w->in_done < WIRE_HEADER ? WIRE_HEADER : 1) : 0;
    if (w->state == WORKER_IDLE && ready)
        violation(w, "bytes without a task");
    if (!ready || w->state > WORKER_BUSY)
        return false;
    struct stream *s = &w->memory.in;
    if (w->in_done < WIRE_HEADER) {
        if (ready < WIRE_HEADER)
            return false;
        stream_take(s, w->in_header, WIRE_HEADER);
        w->in_done = WIRE_HEADER;
        if (take_header(w) < 0)
            return false;
    }
    ready = body_ready(w);
    uint64_t done = w->in_done - WIRE_HEADER, left = frame_follows(&w->reply) - done;
    size_t n = left < ready ? (size_t)left : ready;
    if (n)
        stream_take(s, body_place(w) + done, n);
    w->in_done += n;
    if (stream_wake_writer_at_times(s))
        futex_wake_shared(&s->memory->writer_sleeps, 1);
    if (n < left)
        return false;
    take_frame(w);
    return true;
}

void worker_receive(struct worker *w) {
    unsigned frames = 0;
    while (frames < FRAMES_AT_ONCE && receive_frame(w))
        frames++;
    if (w->piece_waits)
        return;
    size_t rest = w->state <= WORKER_BUSY ? ready_from(w, SIZE_MAX) : 0;
    if (w->state > WORKER_BUSY)
        return;
    if (stream_wake_writer(&w->memory.in))
        futex_wake_shared(&w->memory.in.memory->writer_sleeps, 1);
    bool enough = rest >= (w->in_done < WIRE_HEADER ? WIRE_HEADER : 1);
    if (enough || !stream_reader_sleeps(&w->memory.in, rest)) {
        loop_timer_stop(w->pool->loop, &w->look);
        loop_timer_start(w->pool->loop, &w->look, 1);
    }
}

static void look(struct timer *t) {
    struct worker *w = container_of(t, struct worker, look);
    unsigned before = w->tasks;
    worker_receive(w);
    if (w->look.running || w->state != WORKER_BUSY || w->count < 2)
        return;
    int64_t next = w->tasks != before || !w->look_every ? LOOK_FIRST : 2 * w->look_every;
    w->look_every = next < LOOK_LAST ? next : LOOK_LAST;
    loop_timer_start(w->pool->loop, &w->look, w->look_every);
}

/* Never waits, though the worker may have emptied it itself and made it one that waits. Before
 * Linux 5.8 the bell cannot say so. */
static void empty_bell(struct worker *w) {
    uint64_t times;
    struct iovec place = {&times, sizeof(times)};
    if (preadv2(w->bell, &place, 1, -1, RWF_NOWAIT) < 0 && errno != EAGAIN && errno != EINTR &&
        read(w->bell, &times, sizeof(times)) < 0)
        return;
}

static void bell_rung(struct watch *watch, unsigned events) {
    (void)events;
    struct worker *w = container_of(watch, struct worker, bell_watch);
    empty_bell(w);
    if (w->state == WORKER_BUSY && !all_sent(w))
        send_more(w);
    worker_receive(w);
}

/* --- for its life --- */

bool worker_receive_last(struct worker *w, bool drop_pieces) {
    uint64_t present = w->count ? worker_sent(w, 0)->frame.sequence : 0; /* whose time is over */
    for (size_t i = 0; i <= STREAM_BYTES / WIRE_HEADER; i++) { /* others may go on writing there */
        if (w->piece_waits)
            worker_offer_piece(w);
        if (w->piece_waits && drop_pieces && worker_sent(w, 0)->frame.sequence == present)
            worker_drop_piece(w);
        if (w->piece_waits)
            return false;
        if (!receive_frame(w))
            break;
    }
    return true;
}

void worker_init(struct worker *w) {
    w->bell_watch = (struct watch){.fd = w->bell, .ready = bell_rung};
    timer_init(&w->deadline, worker_deadline_passed);
    timer_init(&w->memory_check, worker_check_memory);
    timer_init(&w->look, look);
    timer_init(&w->offer, worker_offer_again);
    stream_reader_sleeps(&w->memory.in, 0);
}
