/* asleep.c - a program whose coroutines wait, for tests/cli/gdb.py to look at. */
#include <trine.h>
#include <trine/task.h>

#include <stdio.h>

struct wait {
    trine_channel *channel;
};

static int sleep_once(void) {
    int r = trine_sleep(TRINE_SEC(600));
    __asm__ volatile("" ::: "memory"); /* so that it is no tail call */
    return r;
}

__attribute__((noinline)) static int deep_in_sleep(void) {
    int r = sleep_once();
    __asm__ volatile("" ::: "memory");
    return r;
}

static int sleeper(struct wait *w) {
    (void)w;
    return deep_in_sleep();
}
TRINE_TASK(sleeper, struct wait);

static int reader(struct wait *w) {
    int item, r = trine_channel_recv(w->channel, &item);
    __asm__ volatile("" ::: "memory");
    return r;
}
TRINE_TASK(reader, struct wait);

static int parent(struct wait *w) {
    TRINE_SCOPE(s);
    trine_spawn(s, sleeper, w);
    trine_spawn(s, sleeper, w);
    trine_spawn_opts(s, reader, w, .name = "the reader");
    puts("asleep");
    fflush(stdout);
    return trine_join(s);
}
TRINE_TASK(parent, struct wait);

int main(void) {
    struct wait w = {.channel = trine_channel_new(sizeof(int), 1)};
    return w.channel ? trine_run(parent, &w) < 0 : 1;
}
