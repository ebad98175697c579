/* threading_io_example.c - ten endpoints, a thread each; the results go into one dictionary that
 * all threads share, under a lock. */
#include "support/support.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <trine/http.h>

struct endpoint {
    char path[32];
};

static const char *base;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *results; /* path: status; 0 where there was none */

static int fetch_endpoint(struct endpoint *e) {
    TRINE_SCOPE(limit, .timeout = TRINE_SEC(5));
    trine_buf url = {0};
    trine_http_response response = {0};
    int status = trine_url_join(base, e->path, &url);
    if (status == 0)
        status = trine_http_get(NULL, url.ptr, &response);
    if (status == 0)
        printf("[Thread] Fetched %s: %d\n", e->path, response.status);
    else
        printf("Error fetching %s: %s\n", e->path, response.error);
    pthread_mutex_lock(&lock);
    json_object_set_new(results, e->path, json_integer(response.status));
    pthread_mutex_unlock(&lock);
    trine_http_response_free(&response);
    trine_buf_free(&url);
    return 0;
}
TRINE_TASK(fetch_endpoint, struct endpoint);

int main(int argc, char **argv) {
    base = base_url(argc, argv, "0.1");
    struct endpoint endpoints[10];
    for (int i = 0; i < 10; i++)
        snprintf(endpoints[i].path, sizeof(endpoints[i].path), "/posts/%d", i + 1);
    results = json_object();
    trine_executor *threads;
    if (trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 10)) < 0)
        return 1;

    int64_t start = trine_now();
    trine_map_all(threads, fetch_endpoint, endpoints, 10);
    printf("Completed %zu requests in %.2f seconds\n", json_object_size(results),
           seconds_since(start));
    printf("All results: ");
    json_dumpf(results, stdout, JSON_SORT_KEYS);
    printf("\n");
    json_decref(results);
    trine_executor_close(&threads);
    return 0;
}
