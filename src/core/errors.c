/* errors.c - what is known of tasks that failed: the first 16 errors of a scope and how many there
 * were in all. Memory for the list is taken at the first error; when there is none, the errors are
 * still counted and their codes still reach join. */
#include "base/fault.h"
#include "core/future.h"
#include "core/scope.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERRORS_KEPT = 16 };

struct scope_errors {
    size_t count;
    trine_error kept[ERRORS_KEPT];
    struct failure *failures[ERRORS_KEPT];
};

struct failure *failure_new(int signal, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t length = strlen(text);
    struct failure *f = FAULT(malloc(sizeof(*f) + length + 1), NULL, ENOMEM);
    if (!f)
        return NULL;
    f->signal = signal;
    f->address = 0;
    f->backtrace = NULL;
    memcpy(f->detail, text, length + 1);
    return f;
}

struct failure *failure_add_crash(struct failure *f, uint64_t address, const char *backtrace) {
    if (!f)
        return NULL;
    size_t before = sizeof(*f) + strlen(f->detail) + 1, length = strlen(backtrace) + 1;
    struct failure *larger = FAULT(realloc(f, before + length), NULL, ENOMEM);
    if (!larger)
        return f;
    larger->address = address;
    larger->backtrace = memcpy((char *)larger + before, backtrace, length);
    return larger;
}

void scope_note_error(struct scope *s, struct trine_future *f) {
    if (!s->errors && !(s->errors = FAULT(calloc(1, sizeof(*s->errors)), NULL, ENOMEM)))
        return;
    size_t i = s->errors->count++;
    if (i >= ERRORS_KEPT)
        return;
    s->errors->kept[i] = f->error;
    s->errors->failures[i] = future_failure(f);
    f->listed = true;
}

void scope_errors_free(struct scope *s) {
    if (!s->errors)
        return;
    for (int i = 0; i < ERRORS_KEPT; i++)
        free(s->errors->failures[i]);
    free(s->errors);
    s->errors = NULL;
}

size_t trine_errors(trine_scope *public, trine_error *ret_errors, size_t n) {
    struct scope_errors *e = scope_of(public)->errors;
    if (!e)
        return 0;
    for (size_t i = 0; i < n && i < e->count && i < ERRORS_KEPT; i++)
        ret_errors[i] = e->kept[i];
    return e->count;
}

const trine_error *trine_error_of(const trine_future *f) {
    return f->state == FUTURE_DONE && f->status < 0 ? &f->error : NULL;
}
