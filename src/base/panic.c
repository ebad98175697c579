/* panic.c - see panic.h. One write(2), so that messages of several threads and processes do not
 * mix; no stdio stream, since the program may have closed or locked it. */
#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void panic(const char *format, ...) {
    char text[1024];
    int used = snprintf(text, sizeof(text), "trine: ");
    va_list args;
    va_start(args, format);
    int more = vsnprintf(text + used, sizeof(text) - (size_t)used - 1, format, args);
    va_end(args);
    size_t length = (size_t)used + (more < 0 ? 0 : (size_t)more);
    if (length > sizeof(text) - 2)
        length = sizeof(text) - 2;
    text[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written; /* nothing is left to do about it */
    abort();
}
