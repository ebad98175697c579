/* threading_pool_example.c - fifty URLs through a pool of ten threads; map keeps the order. */
#include "support/support.h"

#include <stdio.h>
#include <trine/http.h>

struct fetch {
    const char *url;
    int status; /* of HTTP: the result */
};

static int fetch_url(struct fetch *f) {
    trine_http_response response = {0};
    TRINE_SCOPE(limit, .timeout = TRINE_SEC(5));
    if (trine_http_get(NULL, f->url, &response) == 0)
        f->status = response.status;
    trine_http_response_free(&response);
    return 0;
}
TRINE_TASK(fetch_url, struct fetch);

int main(int argc, char **argv) {
    struct urls urls;
    urls_find(&urls, argc, argv, 50, "0.1");
    struct fetch fetches[URLS_MOST] = {0};
    for (int i = 0; i < urls.count; i++)
        fetches[i].url = urls.url[i].text;
    int64_t start = trine_now();
    trine_executor *threads;
    if (trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 10)) < 0)
        return 1;
    trine_map_all(threads, fetch_url, fetches, (size_t)urls.count);
    int successful = 0;
    for (int i = 0; i < urls.count; i++)
        successful += fetches[i].status == 200;
    printf("ThreadPoolExecutor: %d/%d successful in %.2fs\n", successful, urls.count,
           seconds_since(start));
    trine_executor_close(&threads);
    return 0;
}
