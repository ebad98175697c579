/* multiprocessing_fetch.c - ten posts, fetched by a pool of four worker processes. What crosses to
 * them and back is the struct itself, so it holds its text, and not a pointer to it. */
#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <trine/http.h>

struct fetch {
    char url[URL_LONGEST];
    int id; /* of the post: the result */
};

static int fetch_url(struct fetch *f) {
    TRINE_SCOPE(limit, .timeout = TRINE_SEC(5));
    trine_http_response response = {0};
    int status = trine_http_get(NULL, f->url, &response);
    json_t *post = status == 0 ? json_loadb(response.body.ptr, response.body.len, 0, NULL) : NULL;
    if (post)
        f->id = (int)json_integer_value(json_object_get(post, "id"));
    else
        printf("Error fetching %s: %s\n", f->url, status < 0 ? response.error : "it is no JSON");
    json_decref(post);
    trine_http_response_free(&response);
    return 0;
}
TRINE_TASK_IO(fetch_url, struct fetch, id);

int main(int argc, char **argv) {
    trine_init(argc, argv);
    struct urls urls;
    urls_find(&urls, argc, argv, 10, "0.1");
    struct fetch fetches[URLS_MOST] = {0};
    for (int i = 0; i < urls.count; i++)
        memcpy(fetches[i].url, urls.url[i].text, URL_LONGEST);
    int64_t start = trine_now();

    trine_executor *processes;
    if (trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0)
        return 1;
    trine_map_all(processes, fetch_url, fetches, (size_t)urls.count);

    int results = 0;
    for (int i = 0; i < urls.count; i++)
        results += fetches[i].id > 0;
    printf("Multiprocessing: %d results in %.2fs\n", results, seconds_since(start));
    trine_executor_close(&processes);
    return 0;
}
