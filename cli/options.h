/*
 * What the commands' options have in common: values that are checked, and messages that name the
 * option, what was wrong with it, and what is expected.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Each takes the command ("trine serve"), the option ("--port") and its text; false: a message was
 * printed on stderr and *ret_value is untouched.
 */

/* A whole number from min to max. */
bool option_number(const char *command, const char *option, const char *text, int64_t min,
                   int64_t max, int64_t *ret_value);

/* Seconds, with fractions, from 0 to max, as nanoseconds. */
bool option_seconds(const char *command, const char *option, const char *text, double max,
                    int64_t *ret_ns);

/* Prints "COMMAND: MESSAGE" and where help is to be found; gives EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line about help alone, after getopt_long has printed what was wrong; gives EXIT_USAGE. */
int usage_hint(const char *command);

#endif
