/* threading_fetch.c - ten posts, fetched by ten threads. */
#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <trine/http.h>

struct fetch {
    const char *url;
    json_t *post; /* the result */
};

static int fetch_url(struct fetch *f) {
    TRINE_SCOPE(limit, .timeout = TRINE_SEC(5));
    trine_http_response response = {0};
    int status = trine_http_get(NULL, f->url, &response);
    if (status == 0)
        f->post = json_loadb(response.body.ptr, response.body.len, 0, NULL);
    if (!f->post)
        printf("Error fetching %s: %s\n", f->url, status < 0 ? response.error : "it is no JSON");
    trine_http_response_free(&response);
    return status;
}
TRINE_TASK(fetch_url, struct fetch);

int main(int argc, char **argv) {
    struct urls urls;
    urls_find(&urls, argc, argv, 10, "0.1");
    struct fetch fetches[URLS_MOST] = {0};
    int64_t start = trine_now();

    trine_executor *threads;
    if (trine_threads_open(&threads,
                           TRINE_OPTS(trine_threads_opts, .workers = (unsigned)urls.count)) < 0)
        return 1;
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    for (int i = 0; i < urls.count; i++) {
        fetches[i].url = urls.url[i].text;
        trine_submit(scope, threads, fetch_url, &fetches[i]);
    }
    trine_join(scope);

    int results = 0;
    for (int i = 0; i < urls.count; i++) {
        results += fetches[i].post != NULL;
        json_decref(fetches[i].post);
    }
    printf("Threading: %d results in %.2fs\n", results, seconds_since(start));
    trine_executor_close(&threads);
    return 0;
}
