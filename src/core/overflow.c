/* overflow.c - a coroutine that runs into the guard page below its stack is named before the
 * program dies of it. The handler of SIGSEGV needs a stack of its own for that: there is nothing
 * left of the coroutine's. It then passes the signal on to who handled it before; every other
 * SIGSEGV is passed on without a word.
 *
 * A frame that is larger than the guard page can step over it: compile with
 * -fstack-clash-protection (the default of many distributions), which touches each page.
 *
 * Invariants: the former action is written before the handler is installed, and stays. A thread's
 * signal stack is ours only if it had none. Rejected: a handler that never returns (the core file
 * would show the handler, not the fault). */
#include "core/overflow.h"

#include "base/text.h"
#include "core/future.h"
#include "core/loop.h"
#include "core/stack.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { SIGNAL_STACK = 64 << 10 }; /* those who handled it before run on it too */

static struct sigaction former;

/* The signal's fate as if we were not there. */
static void pass_on(int signal, siginfo_t *info, void *context) {
    if (former.sa_flags & (int)SA_RESETHAND) /* or the fault would come to us again, for ever */
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (former.sa_flags & SA_SIGINFO) {
        former.sa_sigaction(signal, info, context);
        return;
    }
    if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
        former.sa_handler(signal);
        return;
    }
    bool sent = info->si_code <= 0; /* by kill and the like: it does not come again by itself */
    if (sent && former.sa_handler == SIG_IGN)
        return;
    sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (sent)
        raise(signal);
}

static void report(const struct strand *s) {
    struct text t = {0};
    text_add(&t, "trine: stack overflow: the task ");
    text_add(&t, future_name(s->task));
    text_add(&t, ", started at ");
    text_add(&t, s->task->site);
    text_add(&t, ", has used up its stack of ");
    text_add_number(&t, s->stack->size);
    text_add(&t, " bytes: give it a larger one, or keep large objects elsewhere\n");
    text_write(&t, STDERR_FILENO);
}

static void handler(int signal, siginfo_t *info, void *context) {
    struct loop *l = loop_of_thread;
    struct strand *s = l ? l->current : NULL;
    if (info->si_code > 0 && s && s->stack) {
        size_t above = (size_t)((char *)s->stack->low - (char *)info->si_addr);
        if (above >= 1 && above <= l->stacks->page)
            report(s);
    }
    pass_on(signal, info, context);
}

static void install(void) {
    sigaction(SIGSEGV, NULL, &former);
    struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &ours, NULL);
}

void overflow_watch(struct loop *l) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    stack_t now;
    if (l->signal_stack || sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE))
        return; /* it has one, a sanitizer's for instance */
    void *memory = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return; /* the program runs; an overflow would be a bare SIGSEGV */
    stack_t ours = {.ss_sp = memory, .ss_size = SIGNAL_STACK};
    if (sigaltstack(&ours, NULL) < 0)
        munmap(memory, SIGNAL_STACK);
    else
        l->signal_stack = memory;
}

void overflow_unwatch(struct loop *l) {
    stack_t now;
    if (!l->signal_stack || sigaltstack(NULL, &now) < 0)
        return;
    if (now.ss_sp == l->signal_stack)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(l->signal_stack, SIGNAL_STACK);
    l->signal_stack = NULL;
}
