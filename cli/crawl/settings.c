/* settings.c - see settings.h. */
#include "crawl/settings.h"

#include "commands.h"
#include "options.h"

#include <trine.h>

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OPT_DEPTH = 256,
    OPT_SPAN,
    OPT_STORE,
    OPT_CONCURRENCY,
    OPT_PER_HOST,
    OPT_WORKERS,
    OPT_TIMEOUT,
    OPT_MAX_BYTES,
    OPT_MAX_PAGES,
    OPT_TEXT,
    OPT_JSON,
    OPT_NO_ROBOTS,
    OPT_RETRY
};

static const struct option options[] = {{"depth", required_argument, NULL, OPT_DEPTH},
                                        {"span-hosts", no_argument, NULL, OPT_SPAN},
                                        {"store", required_argument, NULL, OPT_STORE},
                                        {"concurrency", required_argument, NULL, OPT_CONCURRENCY},
                                        {"per-host", required_argument, NULL, OPT_PER_HOST},
                                        {"workers", required_argument, NULL, OPT_WORKERS},
                                        {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                        {"max-bytes", required_argument, NULL, OPT_MAX_BYTES},
                                        {"max-pages", required_argument, NULL, OPT_MAX_PAGES},
                                        {"text", no_argument, NULL, OPT_TEXT},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"no-robots", no_argument, NULL, OPT_NO_ROBOTS},
                                        {"retry", no_argument, NULL, OPT_RETRY},
                                        {"input", required_argument, NULL, 'i'},
                                        {0}};

static bool read_number(struct settings *s, const char *name, int64_t min, int64_t max, int *ret) {
    int64_t value;
    if (!option_number(s->command, name, optarg, min, max, &value))
        return false;
    *ret = (int)value;
    return true;
}

/* No time at all would be no page at all; the HTTP client takes 0 for its default. */
static bool read_timeout(struct settings *s) {
    if (!option_seconds(s->command, "--timeout", optarg, 86400, &s->timeout))
        return false;
    if (s->timeout == 0)
        usage_error(s->command, "--timeout %s: more than 0 seconds are expected", optarg);
    return s->timeout > 0;
}

static bool read_option(struct settings *s, int o) {
    switch (o) {
    case 'i':
        s->list = optarg;
        return true;
    case OPT_DEPTH:
        return read_number(s, "--depth", 0, 1000000, &s->depth);
    case OPT_SPAN:
        return s->span_hosts = true;
    case OPT_STORE:
        s->store = optarg;
        return true;
    case OPT_CONCURRENCY:
        return read_number(s, "--concurrency", 1, 10000, &s->concurrency);
    case OPT_PER_HOST:
        return read_number(s, "--per-host", 1, 10000, &s->per_host);
    case OPT_WORKERS:
        return read_number(s, "--workers", 1, 256, &s->workers);
    case OPT_TIMEOUT:
        return read_timeout(s);
    case OPT_MAX_BYTES:
        return option_number(s->command, "--max-bytes", optarg, 1, 256 << 20, &s->max_bytes);
    case OPT_MAX_PAGES:
        return option_number(s->command, "--max-pages", optarg, 1, 100000000, &s->max_pages);
    case OPT_TEXT:
        return s->text = true;
    case OPT_JSON:
        return s->json = true;
    case OPT_NO_ROBOTS:
        s->robots = false;
        return true;
    default:
        return s->retry = true;
    }
}

int settings_read(struct settings *s, int argc, char **argv) {
    *s = (struct settings){.command = argv[0],
                           .store = "crawl.db",
                           .concurrency = 64,
                           .per_host = 8,
                           .workers = (int)trine_usable_cpus(),
                           .timeout = TRINE_SEC(30),
                           .max_bytes = 20 * 1000 * 1000,
                           .max_pages = 1000000,
                           .robots = true};
    for (int o; (o = getopt_long(argc, argv, "i:", options, NULL)) != -1;) {
        if (o == '?')
            return usage_hint(s->command);
        if (!read_option(s, o))
            return EXIT_USAGE;
    }
    s->urls = argv + optind;
    s->url_count = argc - optind;
    if (!s->url_count && !s->list)
        return usage_error(s->command, "a URL or -i FILE is expected");
    return -1;
}
