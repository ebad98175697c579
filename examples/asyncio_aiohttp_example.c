/* asyncio_aiohttp_example.c - twenty posts by one session whose requests may take 5 s in all. */
#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <trine/http.h>

struct fetch {
    const char *url;
    int status, id;
};

static trine_http *session;

static int fetch_post(struct fetch *f) {
    trine_http_response response = {0};
    if (trine_http_get(session, f->url, &response) == 0) {
        json_t *post = json_loadb(response.body.ptr, response.body.len, 0, NULL);
        f->status = response.status;
        f->id = (int)json_integer_value(json_object_get(post, "id"));
        json_decref(post);
    }
    trine_http_response_free(&response);
    return 0;
}
TRINE_TASK(fetch_post, struct fetch);

static int fetch_all(struct fetch *fetches) {
    TRINE_SCOPE(scope);
    for (struct fetch *f = fetches; f->url; f++)
        trine_spawn(scope, fetch_post, f);
    return trine_join(scope);
}
TRINE_TASK(fetch_all, struct fetch);

int main(int argc, char **argv) {
    struct urls urls;
    urls_find(&urls, argc, argv, 20, "0.1");
    if (trine_http_open(&session, TRINE_OPTS(trine_http_opts, .timeout = TRINE_SEC(5))) < 0)
        return 1;
    struct fetch fetches[URLS_MOST + 1] = {{0}};
    for (int i = 0; i < urls.count; i++)
        fetches[i] = (struct fetch){urls.url[i].text, 0, 0};
    int64_t start = trine_now();
    int status = trine_run(fetch_all, fetches), fetched = 0;
    for (int i = 0; i < urls.count; i++)
        fetched += fetches[i].id > 0;
    printf("Fetched %d/%d posts in %.2fs\n", fetched, urls.count, seconds_since(start));
    for (int i = 0; i < 3 && i < urls.count; i++)
        printf("Status %d, post %d\n", fetches[i].status, fetches[i].id);
    trine_http_close(&session);
    return status < 0;
}
