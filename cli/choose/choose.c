/* choose.c - `trine choose`: options, questions, the answer. Questions go to standard error where
 * answers come from no terminal, so that the output is the advice alone. */
#include "choose/choose.h"

#include "commands.h"
#include "options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    enum advice question;
    const char *option, *words;
} questions[] = {
    {ADVICE_ASK_WORK, "--work", "compute, wait or both"},
    {ADVICE_ASK_STYLE, "--style", "async, blocking or neither"},
    {ADVICE_ASK_AT_ONCE, "--at-once", "a number from 1 on"},
    {ADVICE_ASK_RISK, "--risk", "yes or no"},
    {ADVICE_ASK_SPLIT, "--split", "yes or no"},
};
enum { QUESTIONS = sizeof(questions) / sizeof(questions[0]), OPT_FIGURES = 256 };

static int number_of(enum advice question) {
    for (int i = 0; i < QUESTIONS; i++)
        if (questions[i].question == question)
            return i;
    return 0;
}

/* 0, or the exit status of a mistake. */
static int read_options(int argc, char **argv, struct answers *a, const char **ret_file) {
    static const struct option options[] = {{"work", required_argument, NULL, 0},
                                            {"style", required_argument, NULL, 1},
                                            {"at-once", required_argument, NULL, 2},
                                            {"risk", required_argument, NULL, 3},
                                            {"split", required_argument, NULL, 4},
                                            {"figures", required_argument, NULL, OPT_FIGURES},
                                            {0}}; /* the first ones as in `questions` */
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return usage_hint(argv[0]);
        if (o == OPT_FIGURES)
            *ret_file = optarg;
        else if (!choose_answer(a, questions[o].question, optarg))
            return usage_error(argv[0], "%s %s: %s is expected", questions[o].option, optarg,
                               questions[o].words);
    }
    if (optind < argc)
        return usage_error(argv[0], "%s: no argument is expected beside the options", argv[optind]);
    return 0;
}

/* A line without the blanks around it; false at the end of the input. */
static bool read_line(char *line, size_t size) {
    if (!fgets(line, (int)size, stdin))
        return false;
    size_t len = strlen(line), start = strspn(line, " \t\r\n");
    while (len > start && isspace((unsigned char)line[len - 1]))
        len--;
    memmove(line, line + start, len - start);
    line[len - start] = '\0';
    return true;
}

/* Asks until there is an answer: 0, or 1 where the input ends before. */
static int ask(const char *command, struct answers *a, enum advice question) {
    int q = number_of(question);
    FILE *to = isatty(STDIN_FILENO) ? stdout : stderr;
    char line[256];
    for (;;) {
        fprintf(to, "%s\n%s", choose_question(question), to == stdout ? "> " : "");
        fflush(to);
        if (!read_line(line, sizeof(line))) {
            fprintf(stderr,
                    "%s: the input ended before this question was answered; %s answers it too\n",
                    command, questions[q].option);
            return 1;
        }
        if (choose_answer(a, question, line))
            return 0;
        fprintf(to, "\"%s\" is no answer: %s is expected.\n", line, questions[q].words);
    }
}

int cmd_choose(int argc, char **argv) {
    struct answers a = {0};
    const char *file = NULL;
    struct figures *figures = NULL;
    int status = read_options(argc, argv, &a, &file);
    if (!status && file)
        status = figures_open(argv[0], file, &figures);
    enum advice advice = ADVICE_ASK_WORK;
    while (!status && (advice = choose_next(&a)) < ADVICE_LOOP)
        status = ask(argv[0], &a, advice);
    if (!status) {
        choose_explain(&a, advice);
        if (figures)
            figures_print(figures, &a);
    }
    figures_close(figures);
    return status;
}
