/* panic.h - the end of the road for mistakes of the caller and broken invariants: a message that
 * says what happened and what to do, then abort. On in every build. */
#ifndef TRINE_BASE_PANIC_H
#define TRINE_BASE_PANIC_H

#include "base/seam.h"

/* Prints "trine: MESSAGE" to stderr with one write and aborts. */
_Noreturn void panic(const char *format, ...) SEAM(panic)
    __attribute__((format(printf, 1, 2), cold));

/* Aborts unless the condition holds; the message tells the caller what to do instead. */
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            panic(__VA_ARGS__);                                                                    \
    } while (0)

#endif
