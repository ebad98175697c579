/* sandbox.h - what a worker that computes on hostile input may still ask of the kernel. */
#ifndef TRINE_EXEC_SANDBOX_H
#define TRINE_EXEC_SANDBOX_H

/* Can this machine do it? 0, or -ENOTSUP. */
int sandbox_check(void);

/* Closes the calling process in, for good: 0, or a negative errno. It must have one thread, on
 * which all that it will start is started. */
int sandbox_enter(void);

/* Of this the wall of Landlock alone, for a test: forbids all that the kernel's Landlock knows of,
 * 0 also where it has none, or a negative errno. It wants no_new_privs or CAP_SYS_ADMIN. */
int sandbox_forbid_files(void);

#endif
