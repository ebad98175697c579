/* asyncio_exception_example.c - one of three tasks fails; the scope collects errors, so the others
 * go on. An error is a value, and its detail hangs off the future. */
#include <trine.h>

#include <errno.h>
#include <stdio.h>

struct work {
    int number;
    double seconds;
    bool fails;
    char result[32];
};

static int work(struct work *w) {
    int status = trine_sleep(TRINE_SEC(w->seconds));
    if (status < 0)
        return status;
    snprintf(w->result, sizeof(w->result), "Task %d %s", w->number,
             w->fails ? "failed!" : "success");
    return w->fails ? -EIO : 0;
}
TRINE_TASK(work, struct work);

static int run_all(struct work *tasks) {
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    trine_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = trine_start(scope, NULL, work, &tasks[i]);
    for (int i = 0, status; i < 3; i++)
        if (trine_await(futures[i], &status) == 0)
            printf("Task %d%s: %s\n", i + 1, status < 0 ? " raised" : "", tasks[i].result);
    return 0;
}
TRINE_TASK(run_all, struct work);

int main(void) {
    struct work tasks[3] = {{1, 1.0, false, ""}, {2, 0.5, true, ""}, {3, 1.5, false, ""}};
    return trine_run(run_all, tasks) < 0;
}
