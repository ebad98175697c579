/* benchmark_io.c - twenty URLs that each take half a second: processes, threads, coroutines. */
#include "support/support.h"

#include <stdio.h>
#include <trine/http.h>

struct model {
    const char *name;
    trine_executor *on; /* NULL: coroutines */
    unsigned limit;     /* of tasks at a time; 0: all at once */
};

static struct urls urls;

static int fetch_url(struct url *u) {
    trine_http_response response = {0};
    int status = trine_http_get(NULL, u->text, &response);
    if (status == 0 && response.status != 200)
        status = -1;
    trine_http_response_free(&response);
    return status;
}
TRINE_TASK(fetch_url, struct url);

static int fetch_all(struct model *m) {
    TRINE_SCOPE(scope, .limit = m->limit);
    trine_map(scope, m->on, fetch_url, urls.url, (size_t)urls.count);
    return trine_join(scope);
}
TRINE_TASK(fetch_all, struct model);

int main(int argc, char **argv) {
    trine_init(argc, argv);
    urls_find(&urls, argc, argv, 20, "0.5");
    trine_executor *threads, *processes;
    if (trine_processes_open(&processes, NULL) < 0 ||
        trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 10)) < 0)
        return 1;
    struct model models[] = {{"Processes, one a CPU", processes, 0},
                             {"Threads, 10 at a time", threads, 0},
                             {"Coroutines, 10 at a time", NULL, 10},
                             {"Coroutines, all at once", NULL, 0}};
    double slowest = 0;
    for (struct model *m = models; m < models + 4; m++) {
        int64_t start = trine_now();
        int status = m->on ? fetch_all(m) : trine_run(fetch_all, m);
        double seconds = seconds_since(start);
        slowest = seconds > slowest ? seconds : slowest;
        printf("%-24s %.3fs%s\n", m->name, seconds, status < 0 ? " (some failed)" : "");
        printf("Speedup: %.2fx\n", slowest / seconds);
    }
    trine_executor_close(&threads);
    trine_executor_close(&processes);
    return 0;
}
