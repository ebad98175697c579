/* main.c - the front door: finds the command. Which commands there are stands in one table, with
 * their help; `trine help NAME` prints it, so that it can be had without man pages. */
#include "commands.h"
#include "options.h"

#include <trine.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name, *full_name; /* the latter is argv[0] of the command, for its messages */
    int (*run)(int argc, char **argv);
    const char *brief, *help;
};

static const struct command commands[] = {
    {"bench", "trine bench", cmd_bench, "measure which model fits, on this machine",
     "usage: trine bench [options]\n"
     "Measures coroutines, threads and processes on the same work, in turns, several times.\n"
     "Prints a table: medians, spread, from which concurrency one model is better, a comparison.\n"
     "  --python           beside them Python's asyncio, threading and multiprocessing\n"
     "  --html FILE        write a page with charts as well, which needs nothing else\n"
     "  --json             one JSON object on standard output instead of the table\n"
     "  --quick            little work, once: to see that all runs, not how fast\n"
     "  --only LIST        of io,cpu,mixed,tasks,handover,data,crew,blocking,race,crash\n"
     "  --concurrency N    I/O with up to so many requests at once (10000)\n"
     "  --rounds N         at most so many, 1 to 9 (5)\n"
     "  --limit SECONDS    begin no round that would last longer in all (270)\n"},
    {"choose", "trine choose", cmd_choose, "ask what the work is like, say which model fits",
     "usage: trine choose [options]\n"
     "Asks a few questions, one line each, and names the model with the reason. Questions that\n"
     "an option answers are not asked.\n"
     "  --work KIND        compute, wait or both\n"
     "  --style KIND       of waiting code: async, blocking or neither\n"
     "  --at-once N        how many waits at the same time\n"
     "  --risk ANSWER      may it crash, leak or read hostile input? yes or no\n"
     "  --split ANSWER     can computing be handed over apart from waiting? yes or no\n"
     "  --figures FILE     JSON that trine bench printed: its figures beside the reasons\n"},
    {"crawl", "trine crawl", cmd_crawl, "fetch pages, take them apart, store them",
     "usage: trine crawl [options] URL...\n"
     "Fetches the pages, takes them apart in worker processes, and stores them in a SQLite file.\n"
     "Run again with the same store it goes on where it stopped. Exit status: 0; 1 when the run\n"
     "failed; 2 for bad usage; 130 after Ctrl-C.\n"
     "  -i, --input FILE   URLs to fetch, one a line; - is standard input\n"
     "  --depth N          follow links N deep on the hosts of the start URLs (0)\n"
     "  --span-hosts       follow links to any host\n"
     "  --store FILE.db    where the pages go (crawl.db)\n"
     "  --concurrency N    fetches at a time (64)\n"
     "  --per-host N       fetches at a time from one host (8)\n"
     "  --workers N        worker processes that parse (usable CPUs)\n"
     "  --timeout SECONDS  for one page (30)\n"
     "  --max-bytes N      of one page, decompressed (20000000)\n"
     "  --max-pages N      URLs to know at the most (1000000)\n"
     "  --text             store the pages' text too\n"
     "  --retry            fetch pages again that failed in an earlier run\n"
     "  --no-robots        do not ask for robots.txt\n"
     "  --json             final statistics as one JSON object on standard output\n"},
    {"export", "trine export", cmd_export, "write the pages of a store as CSV or JSON Lines",
     "usage: trine export --csv|--jsonl FILE.db\n"
     "Writes all pages of FILE.db to standard output, in the order in which they were stored.\n"
     "  --csv     comma-separated values with a header line (RFC 4180)\n"
     "  --jsonl   one JSON object a line\n"},
    {"serve", "trine serve", cmd_serve, "serve a directory over HTTP",
     "usage: trine serve [options] DIR\n"
     "Serves the files of DIR over HTTP/1.1 until SIGINT or SIGTERM. Prints its URL first.\n"
     "  --host ADDRESS     where to listen (127.0.0.1)\n"
     "  --port N           0 picks a free one (8000)\n"
     "  --delay SECONDS    wait so long before each answer (0)\n"
     "  --log FILE         append a line for each request: time, status, bytes of the body,\n"
     "                     requests in progress, what was asked for\n"
     "  --connections N    at most so many at once; further ones wait (1024)\n"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find(const char *name) {
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_overview(FILE *to) {
    fputs("usage: trine COMMAND ...\n", to);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].brief);
    fputs("  help     print how a command is used: trine help COMMAND\n"
          "  --version, --help\n",
          to);
}

static int unknown(const char *name) {
    fprintf(stderr, "trine: %s: no such command\n", name);
    print_overview(stderr);
    return EXIT_USAGE;
}

static int help(int argc, char **argv) {
    if (argc < 1) {
        print_overview(stdout);
        return 0;
    }
    const struct command *c = find(argv[0]);
    if (!c)
        return unknown(argv[0]);
    fputs(c->help, stdout);
    return 0;
}

static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0) {
        printf("trine %s\n", trine_version());
        return 0;
    }
    const struct command *c = find(name);
    if (!c)
        return unknown(name);
    if (wants_help(argc - 1, argv + 1))
        return help(1, argv + 1);
    argv[1] = (char *)c->full_name;
    return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    int status = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        perror("trine: standard output");
        return 1;
    }
    return status;
}
