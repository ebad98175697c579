/* threading_io_example.c - ten endpoints, a thread each; the results go into one dictionary that
 * all threads share, under a lock. */
#include "support/support.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <trine/http.h>

struct request {
    const char *base;
    char endpoint[32];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *results; /* endpoint: status, or why there is none */

static int fetch_endpoint(struct request *r) {
    trine_buf url = {0};
    trine_http_response response = {0};
    TRINE_SCOPE(limit, .timeout = TRINE_SEC(5));
    int status = trine_url_join(r->base, r->endpoint, &url);
    if (status == 0)
        status = trine_http_get(NULL, url.ptr, &response);
    pthread_mutex_lock(&lock);
    json_object_set_new(results, r->endpoint,
                        status < 0 ? json_string(response.error) : json_integer(response.status));
    pthread_mutex_unlock(&lock);
    if (status == 0)
        printf("[Thread] Fetched %s: %d\n", r->endpoint, response.status);
    else
        printf("Error fetching %s: %s\n", r->endpoint, response.error);
    trine_http_response_free(&response);
    trine_buf_free(&url);
    return 0;
}
TRINE_TASK(fetch_endpoint, struct request);

int main(int argc, char **argv) {
    const char *base = base_url(argc, argv, "0.1");
    struct request requests[10];
    for (int i = 0; i < 10; i++) {
        requests[i].base = base;
        snprintf(requests[i].endpoint, sizeof(requests[i].endpoint), "/posts/%d", i + 1);
    }
    results = json_object();
    int64_t start = trine_now();

    trine_executor *threads;
    if (trine_threads_open(&threads, NULL) < 0)
        return 1;
    TRINE_SCOPE(scope);
    trine_map(scope, threads, fetch_endpoint, requests, 10);
    trine_join(scope);

    printf("Completed %zu requests in %.2f seconds\n", json_object_size(results),
           seconds_since(start));
    printf("All results: ");
    json_dumpf(results, stdout, JSON_SORT_KEYS);
    printf("\n");
    json_decref(results);
    trine_executor_close(&threads);
    return 0;
}
