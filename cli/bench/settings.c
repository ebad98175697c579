/* settings.c - the options of `trine bench`. */
#include "bench/bench.h"

#include "commands.h"
#include "options.h"

#include <getopt.h>
#include <string.h>

enum { OPT_HTML = 256, OPT_JSON, OPT_LIMIT, OPT_ONLY, OPT_PYTHON, OPT_QUICK, OPT_ROUNDS, OPT_CONC };

static const struct option options[] = {{"concurrency", required_argument, NULL, OPT_CONC},
                                        {"html", required_argument, NULL, OPT_HTML},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"limit", required_argument, NULL, OPT_LIMIT},
                                        {"only", required_argument, NULL, OPT_ONLY},
                                        {"python", no_argument, NULL, OPT_PYTHON},
                                        {"quick", no_argument, NULL, OPT_QUICK},
                                        {"rounds", required_argument, NULL, OPT_ROUNDS},
                                        {0}};

/* Names of groups, separated by commas. */
static bool read_groups(struct settings *s, const char *text) {
    s->groups = 0;
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        unsigned found = 0;
        for (int g = 0; g < GROUPS; g++)
            if (strlen(plan_groups[g]) == len && strncmp(at, plan_groups[g], len) == 0)
                found = 1u << g;
        if (!found) {
            usage_error(s->command,
                        "--only %s: names of io, cpu, mixed, tasks, handover, data, crew, "
                        "blocking, race, crash are expected, separated by commas",
                        text);
            return false;
        }
        s->groups |= found;
        at += len;
        if (!*at)
            return true;
    }
}

static bool read_option(struct settings *s, int o) {
    switch (o) {
    case OPT_CONC:
        return option_number(s->command, "--concurrency", optarg, 1, 100000, &s->concurrency);
    case OPT_HTML:
        s->html = optarg;
        return true;
    case OPT_JSON:
        return s->json = true;
    case OPT_LIMIT:
        return option_number(s->command, "--limit", optarg, 1, 86400, &s->limit);
    case OPT_ONLY:
        return read_groups(s, optarg);
    case OPT_PYTHON:
        return s->python = true;
    case OPT_QUICK:
        return s->quick = true;
    default:
        return option_number(s->command, "--rounds", optarg, 1, ROUNDS_MOST, &s->rounds);
    }
}

int bench_settings_read(int argc, char **argv, struct settings *ret_settings) {
    struct settings s = {.command = argv[0], .groups = (1u << GROUPS) - 1, .limit = 270};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return usage_hint(s.command);
        if (!read_option(&s, o))
            return EXIT_USAGE;
    }
    if (optind < argc)
        return usage_error(s.command, "%s: no argument is expected beside the options",
                           argv[optind]);
    if (!s.concurrency)
        s.concurrency = s.quick ? 50 : 10000;
    if (!s.rounds)
        s.rounds = s.quick ? 1 : 5;
    s.limit *= 1000000000;
    *ret_settings = s;
    return 0;
}
