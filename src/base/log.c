/* log.c - see log.h. The function is called under the lock: a line is whole, and once log_to has
 * returned, the former function is called no more. Lock order: `lock` is the innermost of all but
 * those that the program's function takes. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_fn *hook;
static void *hook_arg;

static void to_stderr(char *line, size_t length) {
    line[length] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length + 1);
    (void)written; /* nothing is left to do about it */
}

void log_line(const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(line) - 1 ? (size_t)n : sizeof(line) - 2;
    pthread_mutex_lock(&lock);
    if (hook)
        hook(hook_arg, line, length);
    else
        to_stderr(line, length);
    pthread_mutex_unlock(&lock);
}

void log_to(log_fn *fn, void *arg) {
    pthread_mutex_lock(&lock);
    hook = fn;
    hook_arg = arg;
    pthread_mutex_unlock(&lock);
}
