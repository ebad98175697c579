/*
 * `trine choose`: answers about a piece of work, and the model that follows from them.
 */
#ifndef CHOOSE_CHOOSE_H
#define CHOOSE_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

enum work { WORK_UNKNOWN, WORK_COMPUTE, WORK_WAIT, WORK_BOTH };
enum style { STYLE_UNKNOWN, STYLE_ASYNC, STYLE_BLOCKING, STYLE_NEITHER };
enum answer { ANSWER_UNKNOWN, ANSWER_YES, ANSWER_NO };

struct answers {
    enum work work;
    enum style style;
    enum answer risk, split;
    int64_t at_once; /* 0: not known */
};

enum advice {
    ADVICE_ASK_WORK, /* the next question, until all is known */
    ADVICE_ASK_STYLE,
    ADVICE_ASK_AT_ONCE,
    ADVICE_ASK_RISK,
    ADVICE_ASK_SPLIT,
    ADVICE_LOOP, /* and from here on what to use */
    ADVICE_THREADS,
    ADVICE_PROCESSES,
    ADVICE_LOOP_AND_THREADS,
    ADVICE_LOOP_AND_PROCESSES,
    ADVICE_PROCESSES_AND_QUEUES
};

/* What follows from the answers: a question that is still open, or the model. */
enum advice choose_next(const struct answers *a);

/* Prints the model and the reasons. */
void choose_explain(const struct answers *a, enum advice advice);

/* Takes one answer to a question; false: it is none. `question` is one of the ADVICE_ASK. */
bool choose_answer(struct answers *a, enum advice question, const char *text);

/* The question in words, with the answers that it takes. */
const char *choose_question(enum advice question);

/*
 * Figures of `trine bench --json` for such work. Opened before the questions, so that a file that
 * is none shows at once: 0, or 1 after a message.
 */
struct figures;
int figures_open(const char *command, const char *file, struct figures **ret_figures);
void figures_print(const struct figures *f, const struct answers *a);
void figures_close(struct figures *f);

#endif
