/* fetch.c - fetches a list of URLs from coroutines of one loop and says what it cost.
 *
 * Usage: fetch [--json] FILE CONCURRENCY     FILE has one URL a line
 *
 * Counts pages and bytes, and fails unless every page came with status 200. Its peer is
 * bench/peers/curl_multi.c, a bare libcurl program that does the same; CPU time is what compares,
 * since the server has the other core. */
#include <trine/http.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LARGE = 256 << 10 };

struct job {
    char **urls;
    size_t count, next; /* `next` is shared by the coroutines of one loop */
    unsigned concurrency;
    trine_http *http;
    uint64_t pages, bytes, failed;
};

/* Takes one URL after the other until none is left. */
static int fetcher(struct job **arg) {
    struct job *job = *arg;
    trine_http_response page = {0};
    while (job->next < job->count) {
        if (page.body.cap > LARGE) /* rare: the others need not each have one so large */
            trine_buf_free(&page.body);
        const char *url = job->urls[job->next++];
        int r = trine_http_get(job->http, url, &page);
        if (r == -ECANCELED)
            break;
        if (r == 0 && page.status == 200) {
            job->pages++;
            job->bytes += page.body.len;
        } else if (job->failed++ == 0) {
            fprintf(stderr, "fetch: %s: %d %s\n", url, page.status, page.error);
        }
    }
    trine_http_response_free(&page);
    return 0;
}
TRINE_TASK(fetcher, struct job *);

static int fetch_all(struct job *job) {
    const trine_http_opts opts = {.size = sizeof(opts), .max_per_host = job->concurrency};
    int r = trine_http_open(&job->http, &opts);
    if (r < 0)
        return r;
    TRINE_SCOPE(s);
    for (unsigned i = 0; i < job->concurrency && r == 0; i++)
        r = trine_spawn(s, fetcher, &job);
    int joined = trine_join(s);
    trine_http_close(&job->http);
    return r < 0 ? r : joined;
}
TRINE_TASK(fetch_all, struct job);

static int read_urls(const char *path, struct job *job) {
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    char *line = NULL;
    size_t size = 0, room = 0;
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!*line)
            continue;
        if (job->count == room) {
            room = room ? room * 2 : 1024;
            job->urls = realloc(job->urls, room * sizeof(*job->urls));
        }
        if (!job->urls || !(job->urls[job->count++] = strdup(line)))
            abort();
    }
    free(line);
    fclose(file);
    return 0;
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(bool json, const char *what, double value, const char *unit, uint64_t n) {
    if (json)
        printf("{\"bench\":\"fetch\",\"case\":\"%s\",\"value\":%.3f,\"unit\":\"%s\","
               "\"min\":%.3f,\"max\":%.3f,\"n\":%" PRIu64 "}\n",
               what, value, unit, value, value, n);
    else
        printf("%-24s %12.3f %s\n", what, value, unit);
}

int main(int argc, char **argv) {
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    struct job job = {0};
    if (argc != 3 + json || (job.concurrency = (unsigned)atoi(argv[2 + json])) == 0) {
        fprintf(stderr, "usage: fetch [--json] FILE CONCURRENCY\n");
        return 2;
    }
    if (read_urls(argv[1 + json], &job) < 0) {
        perror(argv[1 + json]);
        return 2;
    }
    int64_t start = trine_now();
    double cpu = cpu_seconds();
    int r = trine_run(fetch_all, &job);
    double seconds = (double)(trine_now() - start) / 1e9;
    cpu = cpu_seconds() - cpu;
    if (r < 0 || job.failed || job.pages != job.count) {
        fprintf(stderr, "fetch: %" PRIu64 " of %zu pages came: %s\n", job.pages, job.count,
                r < 0 ? strerror(-r) : "see above");
        return 1;
    }
    report(json, "cpu_per_1000_pages", cpu * 1e6 / (double)job.pages, "ms", job.pages);
    report(json, "pages_per_second", (double)job.pages / seconds, "1/s", job.pages);
    report(json, "bytes", (double)job.bytes, "B", job.pages);
    for (size_t i = 0; i < job.count; i++)
        free(job.urls[i]);
    free(job.urls);
    return 0;
}
