/* asyncio_fetch.c - ten posts, fetched by ten coroutines with one session. */
#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <trine/http.h>

struct fetch {
    trine_http *session;
    const char *url;
    json_t *post; /* the result */
};

static int fetch_url(struct fetch *f) {
    trine_http_response response = {0};
    int status = trine_http_get(f->session, f->url, &response);
    if (status == 0)
        f->post = json_loadb(response.body.ptr, response.body.len, 0, NULL);
    if (!f->post)
        printf("Error fetching %s: %s\n", f->url, status < 0 ? response.error : "it is no JSON");
    trine_http_response_free(&response);
    return 0;
}
TRINE_TASK(fetch_url, struct fetch);

static int fetch_all(struct urls *urls) {
    trine_http *session;
    if (trine_http_open(&session, TRINE_OPTS(trine_http_opts, .timeout = TRINE_SEC(5))) < 0)
        return -1;
    struct fetch fetches[URLS_MOST] = {0};
    {
        TRINE_SCOPE(scope);
        for (int i = 0; i < urls->count; i++) {
            fetches[i] = (struct fetch){session, urls->url[i].text, NULL};
            trine_spawn(scope, fetch_url, &fetches[i]);
        }
        trine_join(scope);
    }
    int results = 0;
    for (int i = 0; i < urls->count; i++) {
        results += fetches[i].post != NULL;
        json_decref(fetches[i].post);
    }
    trine_http_close(&session);
    return results;
}
TRINE_TASK(fetch_all, struct urls);

int main(int argc, char **argv) {
    struct urls urls;
    urls_find(&urls, argc, argv, 10, "0.1");
    int64_t start = trine_now();
    int results = trine_run(fetch_all, &urls);
    printf("Asyncio: %d results in %.2fs\n", results, seconds_since(start));
    return results < 0;
}
