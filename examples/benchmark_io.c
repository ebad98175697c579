/* benchmark_io.c - twenty URLs that each take half a second: threads, coroutines, processes. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>
#include <trine/http.h>

struct fetch {
    char url[URL_LONGEST];
    int status;
};

static struct fetch fetches[URLS_MOST];
static unsigned limit; /* coroutines at a time; 0: all */
static size_t count;

static int fetch_url(struct fetch *f) {
    trine_http_response response = {0};
    if (trine_http_get(NULL, f->url, &response) == 0)
        f->status = response.status;
    trine_http_response_free(&response);
    return f->status == 200 ? 0 : -1;
}
TRINE_TASK_IO(fetch_url, struct fetch, status);

static int fetch_all(trine_executor **on) {
    TRINE_SCOPE(scope, .limit = *on ? 0 : limit);
    trine_map(scope, *on, fetch_url, fetches, count);
    return trine_join(scope);
}
TRINE_TASK(fetch_all, trine_executor *);

static double measure(const char *name, trine_executor *on, double slowest) {
    int64_t start = trine_now();
    int status = on ? fetch_all(&on) : trine_run(fetch_all, &on);
    double seconds = seconds_since(start);
    printf("%-32s %.3fs%s\n", name, seconds, status < 0 ? " (some failed)" : "");
    if (slowest > 0)
        printf("Speedup: %.2fx\n", slowest / seconds);
    return seconds;
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    struct urls urls;
    urls_find(&urls, argc, argv, 20, "0.5");
    count = (size_t)urls.count;
    for (size_t i = 0; i < count; i++)
        memcpy(fetches[i].url, urls.url[i], URL_LONGEST);
    trine_executor *threads, *processes;
    if (trine_processes_open(&processes, NULL) < 0 ||
        trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 10)) < 0)
        return 1;
    double slowest = measure("Processes, one a CPU:", processes, 0);
    measure("Threads, 10 at a time:", threads, slowest);
    measure("Coroutines, all at once:", NULL, slowest);
    limit = 10;
    measure("Coroutines, 10 at a time:", NULL, slowest);
    trine_executor_close(&threads);
    trine_executor_close(&processes);
    return 0;
}
