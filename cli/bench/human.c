/* human.c - numbers for people. */
#include "bench/report.h"

#include <inttypes.h>
#include <string.h>

static const char *scaled(double value, const char *const *units, int n, double step, char *text) {
    int unit = 0;
    double size = value < 0 ? -value : value;
    while (unit < n - 1 && size >= 999.5) {
        value /= step;
        size /= step;
        unit++;
    }
    int digits = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
    snprintf(text, HUMAN, "%.*f %s", digits, value, units[unit]);
    return text;
}

const char *human_seconds(double seconds, char text[HUMAN]) {
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    return scaled(seconds * 1e9, units, 4, 1000, text);
}

const char *human_bytes(double bytes, char text[HUMAN]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    return scaled(bytes, units, 4, 1024, text);
}

const char *human_count(int64_t n, char text[HUMAN]) {
    char plain[HUMAN];
    int len = snprintf(plain, sizeof(plain), "%" PRId64, n), used = 0;
    for (int i = 0; i < len && used < HUMAN - 2; i++) {
        text[used++] = plain[i];
        if ((len - i) % 3 == 1 && i < len - 1 && plain[i] != '-')
            text[used++] = ',';
    }
    text[used] = '\0';
    return text;
}

const char *human(double value, const char *unit, char text[HUMAN]) {
    if (strcmp(unit, "s") == 0)
        return human_seconds(value, text);
    if (strcmp(unit, "bytes") == 0)
        return human_bytes(value, text);
    snprintf(text, HUMAN, "%.4g%s%s", value, *unit ? " " : "", unit);
    return text;
}
