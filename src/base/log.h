/* log.h - what the library has to say while all goes on: a line each, to standard error or to the
 * program's own function. What ends the program is said by panic.h. */
#ifndef TRINE_BASE_LOG_H
#define TRINE_BASE_LOG_H

#include <stddef.h>

typedef void log_fn(void *arg, const char *line, size_t length);

/* A line without its end, from any thread; not in signal handlers. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where lines go from now on; NULL: to standard error. */
void log_to(log_fn *fn, void *arg);

#endif
