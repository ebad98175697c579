/* curl_multi.c - the peer of bench/fetch.c: libcurl's multi_socket interface and epoll with nothing
 * around them. Bodies go to a buffer that is used again, as fetch's do.
 *
 * Build: cc -O2 -o curl_multi curl_multi.c -lcurl
 * Usage: curl_multi [--json] FILE CONCURRENCY */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

struct fetcher {
    CURL *easy;
    char *body;
    size_t len, cap;
};

static CURLM *multi;
static int epoll_fd;
static long timeout_ms = -1;
static char **urls;
static size_t url_count, url_next, running;
static unsigned long long pages, bytes, failed;

static size_t keep(char *data, size_t one, size_t n, void *arg) {
    struct fetcher *f = arg;
    (void)one;
    if (f->len + n > f->cap) {
        f->cap = (f->len + n) * 2;
        f->body = realloc(f->body, f->cap);
        if (!f->body)
            return 0;
    }
    memcpy(f->body + f->len, data, n);
    f->len += n;
    return n;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known) {
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    (void)arg;
    if (what == CURL_POLL_REMOVE)
        return epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event), 0;
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    curl_multi_assign(multi, fd, &epoll_fd);
    return 0;
}

static int on_timer(CURLM *m, long ms, void *arg) {
    (void)m;
    (void)arg;
    timeout_ms = ms;
    return 0;
}

static void begin(struct fetcher *f) {
    f->len = 0;
    curl_easy_setopt(f->easy, CURLOPT_URL, urls[url_next++]);
    curl_multi_add_handle(multi, f->easy);
    running++;
}

static void start_fetcher(void) {
    struct fetcher *f = calloc(1, sizeof(*f));
    if (!f || !(f->easy = curl_easy_init()))
        abort();
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
    begin(f);
}

static void reap(void) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi, &left))) {
        struct fetcher *f;
        long status = 0;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&f);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_multi_remove_handle(multi, easy);
        running--;
        if (code == CURLE_OK && status == 200) {
            pages++;
            bytes += f->len;
        } else if (failed++ == 0) {
            fprintf(stderr, "curl_multi: %s: %ld\n", curl_easy_strerror(code), status);
        }
        if (url_next < url_count)
            begin(f);
    }
}

static void turn(void) {
    struct epoll_event events[256];
    int still;
    int n = timeout_ms == 0 ? 0 : epoll_wait(epoll_fd, events, 256, (int)timeout_ms);
    if (n == 0) {
        timeout_ms = -1;
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &still);
    }
    for (int i = 0; i < n; i++) {
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(multi, events[i].data.fd, what, &still);
    }
    reap();
}

static void read_urls(const char *path) {
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0, room = 0;
    if (!file) {
        perror(path);
        exit(2);
    }
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!*line)
            continue;
        if (url_count == room) {
            room = room ? room * 2 : 1024;
            urls = realloc(urls, room * sizeof(*urls));
        }
        if (!urls || !(urls[url_count++] = strdup(line)))
            abort();
    }
    fclose(file);
}

int main(int argc, char **argv) {
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    long concurrency = argc == 3 + json ? atol(argv[2 + json]) : 0;
    struct timespec a, b;
    struct rusage u;
    if (concurrency <= 0) {
        fprintf(stderr, "usage: curl_multi [--json] FILE CONCURRENCY\n");
        return 2;
    }
    read_urls(argv[1 + json]);
    clock_gettime(CLOCK_MONOTONIC, &a);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, concurrency);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    while (url_next < url_count && (long)running < concurrency)
        start_fetcher();
    while (running)
        turn();
    clock_gettime(CLOCK_MONOTONIC, &b);
    getrusage(RUSAGE_SELF, &u);
    if (failed || pages != url_count)
        return 1;
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    double values[] = {cpu * 1e6 / (double)pages, (double)pages / seconds, (double)bytes};
    static const char *const names[] = {"cpu_per_1000_pages", "pages_per_second", "bytes"};
    static const char *const units[] = {"ms", "1/s", "B"};
    for (int i = 0; i < 3; i++) {
        if (json)
            printf("{\"bench\":\"fetch\",\"case\":\"%s/curl_multi\",\"value\":%.3f,"
                   "\"unit\":\"%s\",\"min\":%.3f,\"max\":%.3f,\"n\":%llu}\n",
                   names[i], values[i], units[i], values[i], values[i], pages);
        else
            printf("%-24s %12.3f %s\n", names[i], values[i], units[i]);
    }
    return 0;
}
