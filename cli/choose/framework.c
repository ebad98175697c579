/* framework.c - the decision itself: which question is next, what follows. docs/choosing.md shows
 * it as a chart. It has no input and no output, but for the words. */
#include "choose/choose.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1000 /* at once: from here on threads cost too much */ };

static enum advice next_for_waiting(const struct answers *a) {
    if (a->style == STYLE_UNKNOWN)
        return ADVICE_ASK_STYLE;
    if (a->style == STYLE_ASYNC)
        return ADVICE_LOOP;
    if (a->at_once == 0)
        return ADVICE_ASK_AT_ONCE;
    if (a->style == STYLE_BLOCKING)
        return ADVICE_THREADS;
    return a->at_once >= MANY ? ADVICE_LOOP : ADVICE_THREADS;
}

enum advice choose_next(const struct answers *a) {
    if (a->work == WORK_UNKNOWN)
        return ADVICE_ASK_WORK;
    if (a->work == WORK_WAIT)
        return next_for_waiting(a);
    if (a->work == WORK_BOTH && a->split == ANSWER_UNKNOWN)
        return ADVICE_ASK_SPLIT;
    if (a->work == WORK_BOTH && a->split == ANSWER_NO)
        return ADVICE_PROCESSES_AND_QUEUES;
    if (a->risk == ANSWER_UNKNOWN)
        return ADVICE_ASK_RISK;
    bool risky = a->risk == ANSWER_YES;
    if (a->work == WORK_BOTH)
        return risky ? ADVICE_LOOP_AND_PROCESSES : ADVICE_LOOP_AND_THREADS;
    return risky ? ADVICE_PROCESSES : ADVICE_THREADS;
}

const char *choose_question(enum advice question) {
    switch (question) {
    case ADVICE_ASK_WORK:
        return "Does the work mostly compute, mostly wait (network, disk, timers), or both? "
               "[compute/wait/both]";
    case ADVICE_ASK_STYLE:
        return "Is its code asynchronous already, does it use libraries that block, or neither "
               "yet? [async/blocking/neither]";
    case ADVICE_ASK_AT_ONCE:
        return "How many waits at the same time, at the most? [a number]";
    case ADVICE_ASK_RISK:
        return "May the code crash, leak or read hostile input? [yes/no]";
    default:
        return "Can the computing be handed over as tasks of its own, apart from the waiting? "
               "[yes/no]";
    }
}

/* Which of the words the text begins, counted from 1; 0: none. */
static int word_of(const char *text, const char *const *words) {
    for (int i = 0; words[i]; i++)
        if (text[0] && strncasecmp(text, words[i], strlen(text)) == 0)
            return i + 1;
    return 0;
}

bool choose_answer(struct answers *a, enum advice question, const char *text) {
    static const char *const works[] = {"compute", "wait", "both", NULL};
    static const char *const styles[] = {"async", "blocking", "neither", NULL};
    static const char *const yes_no[] = {"yes", "no", NULL};
    switch (question) {
    case ADVICE_ASK_WORK:
        return (a->work = (enum work)word_of(text, works)) != WORK_UNKNOWN;
    case ADVICE_ASK_STYLE:
        return (a->style = (enum style)word_of(text, styles)) != STYLE_UNKNOWN;
    case ADVICE_ASK_RISK:
        return (a->risk = (enum answer)word_of(text, yes_no)) != ANSWER_UNKNOWN;
    case ADVICE_ASK_SPLIT:
        return (a->split = (enum answer)word_of(text, yes_no)) != ANSWER_UNKNOWN;
    default:
        break;
    }
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || n < 1)
        return false;
    a->at_once = n;
    return true;
}

/* --- the reasons --- */

static const struct {
    enum advice advice;
    const char *use, *because, *python;
} reasons[] = {
    {ADVICE_LOOP, "the loop: coroutines, trine_run and trine_spawn",
     "a task that waits costs a few KiB and no thread, and the kernel has one thread to look after",
     "the same: asyncio"},
    {ADVICE_THREADS, "threads: trine_threads_open", NULL, NULL},
    {ADVICE_PROCESSES, "processes: trine_processes_open",
     "they use all CPUs, and a worker that crashes, leaks or is taken over loses its own task and "
     "no other; what goes to it and comes back is copied",
     "processes too, but for speed already, and a crash there breaks the whole executor"},
    {ADVICE_LOOP_AND_THREADS,
     "the loop to wait, a thread pool to compute: trine_submit from coroutines",
     "the loop stays free while threads compute, which in C they do in parallel, on shared memory",
     "asyncio with a process pool instead: the GIL lets one thread compute at a time"},
    {ADVICE_LOOP_AND_PROCESSES,
     "the loop to wait, a process pool to compute: trine_submit from coroutines",
     "the loop stays free, and what may crash does so in a worker, for one task",
     "the same: asyncio with a ProcessPoolExecutor"},
    {ADVICE_PROCESSES_AND_QUEUES,
     "processes with queues throughout: trine_processes_open, trine_queue_open",
     "each worker waits and computes as it comes, and takes its next item from a queue; no part "
     "of the program has to be taken apart",
     "the same: multiprocessing with its Queue"},
};

static void explain_threads(const struct answers *a) {
    if (a->work == WORK_COMPUTE) {
        puts(
            "Because: C has no GIL: threads compute in parallel as processes do, start faster, and "
            "share memory.\nIn Python: processes instead, unless the interpreter runs without its "
            "GIL.");
        return;
    }
    bool many = a->at_once >= MANY;
    if (a->style == STYLE_BLOCKING)
        puts("Because: libraries that block hold a thread each, whatever else is chosen.");
    else
        puts("Because: for so few waits threads are as fast as a loop, and simpler.");
    if (many)
        puts("But: a thousand threads and more cost memory and time. Look for an asynchronous "
             "library, or let\na smaller number of threads work off a queue.");
    puts("Begin with 5 to 20 of them; the default is min(32, CPUs + 4).\nIn Python: the same, by "
         "ThreadPoolExecutor.");
}

void choose_explain(const struct answers *a, enum advice advice) {
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].advice == advice) {
            printf("Use: %s\n", reasons[i].use);
            if (reasons[i].because)
                printf("Because: %s.\nIn Python: %s.\n", reasons[i].because, reasons[i].python);
            else
                explain_threads(a);
        }
}
