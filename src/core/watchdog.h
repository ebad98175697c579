/* watchdog.h - says when a loop is held up, see trine/debug.h. */
#ifndef TRINE_CORE_WATCHDOG_H
#define TRINE_CORE_WATCHDOG_H

/* Starts it if the environment asks for it; at the start of each loop. Aborts when what it asks for
 * is no time. */
void watchdog_from_environment(void);

/* Threads that belong to it. */
unsigned watchdog_threads(void);

#endif
