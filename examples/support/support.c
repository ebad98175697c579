/* support.c - see support.h. The server is `trine serve`, a process of its own, so that it takes
 * nothing from what an example measures. */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t server, starter;

static void stop_server(void) {
    if (getpid() != starter)
        return;
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
}

static void fail(const char *what) {
    fprintf(stderr, "the examples' own server could not be started: %s\n", what);
    exit(1);
}

static void run_server(int output, const char *delay) {
    const char *trine = getenv("TRINE"), *log = getenv("EXAMPLE_LOG");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    execl(trine ? trine : EXAMPLE_TRINE, "trine", "serve", "--port", "0", "--delay", delay, "--log",
          log ? log : "/dev/null", EXAMPLE_DATA, (char *)NULL);
    _exit(127);
}

const char *base_url(int argc, char **argv, const char *delay) {
    static char url[URL_LONGEST / 2];
    if (argc > 1)
        return argv[1];
    int ends[2];
    if (pipe(ends) < 0)
        fail("no pipe");
    starter = getpid();
    server = fork();
    if (server == 0)
        run_server(ends[1], delay);
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    if (server < 0 || !from || !fgets(url, sizeof(url), from))
        fail(EXAMPLE_TRINE);
    fclose(from);
    atexit(stop_server);
    url[strcspn(url, "\n")] = 0;
    return url;
}

void urls_find(struct urls *urls, int argc, char **argv, int n, const char *delay) {
    urls->count = argc > 1 ? argc - 1 : n;
    if (urls->count > URLS_MOST)
        urls->count = URLS_MOST;
    const char *base = argc > 1 ? NULL : base_url(argc, argv, delay);
    for (int i = 0; i < urls->count; i++)
        if (base)
            snprintf(urls->url[i].text, URL_LONGEST, "%s/posts/%d", base, i % 50 + 1);
        else
            snprintf(urls->url[i].text, URL_LONGEST, "%s", argv[i + 1]);
}

double seconds_since(int64_t start) {
    return (double)(trine_now() - start) / 1e9;
}
