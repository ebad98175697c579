/* trine/signal.h - signals as something that a task waits for. See trine.h for [S] and errors.
 *
 *     trine_signal *interrupt;
 *     if (trine_signal_open(SIGINT, &interrupt) == 0 && trine_signal_wait(interrupt) > 0)
 *         puts("interrupted");
 *     trine_signal_close(&interrupt);
 *
 * A listener counts signals from its opening to its closing, also while nobody waits. While a
 * signal has a listener, its default action is off; a handler that the program had installed before
 * is still called. Several listeners of one signal each count it. */
#ifndef TRINE_SIGNAL_H
#define TRINE_SIGNAL_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct trine_signal trine_signal;

/* Listens to a signal. *ret_signal is the caller's to close. Errors: -EINVAL (no signal; one that
 * cannot be caught; SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGSYS, after which the code that
 * raised them must not go on; SIGCHLD, which belongs to pidfds), -ENOSPC (64 listeners are open in
 * the process), -EMFILE, -ENFILE, -ENOMEM. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_signal_open(int signal, trine_signal **ret_signal);

/* Lets the listener count another signal too: SIGTERM beside SIGINT. Errors: -EINVAL as above. Does
 * not suspend; the listener's thread. */
TRINE_MUST_USE_ int trine_signal_add(trine_signal *s, int signal);

/* Waits until a signal has come: how many came since the last call, at least 1. Signals that were
 * pending in the kernel together count once, as always. Errors: -EBADF (closed meanwhile).
 * [S] the thread that opened the listener and its coroutines, one at a time. */
TRINE_MUST_USE_ int trine_signal_wait(trine_signal *s);

/* Closes a listener and sets *s to NULL; who waits gets -EBADF. With the last listener of a signal
 * its action is again what it was. NULL is fine. Does not suspend; the listener's thread. */
TRINE_PUBLIC_ void trine_signal_close(trine_signal **s);

#ifdef __cplusplus
}
#endif
#endif
