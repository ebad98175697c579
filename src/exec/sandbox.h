/* sandbox.h - what a worker that computes on hostile input may still ask of the kernel. */
#ifndef TRINE_EXEC_SANDBOX_H
#define TRINE_EXEC_SANDBOX_H

/* Can this machine do it? 0, or -ENOTSUP. */
int sandbox_check(void);

/* Closes the calling process in, for good: 0, or a negative errno. It must have one thread, on
 * which all that it will start is started. */
int sandbox_enter(void);

#endif
