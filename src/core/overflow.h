/* overflow.h - who has used up a coroutine's stack learns which task it was. */
#ifndef TRINE_CORE_OVERFLOW_H
#define TRINE_CORE_OVERFLOW_H

struct loop;

/* On the loop's own thread, which begins to have coroutines: gives it a stack for the handler. */
void overflow_watch(struct loop *l);

/* Likewise, when it ends. */
void overflow_unwatch(struct loop *l);

#endif
