/* options.c - see options.h. strtol alone takes "", "12x", " 5" and "-1" for numbers: rejected. */
#include "options.h"

#include "commands.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool option_number(const char *command, const char *option, const char *text, int64_t min,
                   int64_t max, int64_t *ret_value) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool is_number = isdigit((unsigned char)text[text[0] == '-']) && !*end;
    if (!is_number || errno || value < min || value > max) {
        usage_error(command, "%s %s: a whole number from %" PRId64 " to %" PRId64 " is expected",
                    option, text, min, max);
        return false;
    }
    *ret_value = value;
    return true;
}

bool option_seconds(const char *command, const char *option, const char *text, double max,
                    int64_t *ret_ns) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    bool is_number = (isdigit((unsigned char)text[0]) || text[0] == '.') && end > text && !*end;
    if (!is_number || errno || !(value >= 0 && value <= max)) {
        usage_error(command, "%s %s: seconds from 0 to %.0f are expected, such as 0.5", option,
                    text, max);
        return false;
    }
    *ret_ns = (int64_t)(value * 1e9);
    return true;
}

int usage_hint(const char *command) {
    const char *name = strchr(command, ' ');
    fprintf(stderr, "`trine help%s` says how it is used\n", name ? name : "");
    return EXIT_USAGE;
}

int usage_error(const char *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return usage_hint(command);
}
