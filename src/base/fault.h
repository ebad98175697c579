/* fault.h - fault sites: a fallible call is written FAULT(call, errno, ...), with the errnos that
 * it may give. In ordinary builds that is the call and nothing else. With -Dfault_sites=true each
 * site registers itself, and fault_ask() makes one fail, once or for ever. */
#ifndef TRINE_BASE_FAULT_H
#define TRINE_BASE_FAULT_H

#ifdef TRINE_FAULT_SITES
#include "base/seam.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fault_site {
    const char *file;
    int line;
    const char *call;
    const int *errnos; /* ends with 0 */
    struct fault_site *next;
    atomic_int visits;
    atomic_int fail; /* 0: never, 1: the next time, -1: every time */
    atomic_int error;
    atomic_bool known;
};

/* Registers the site at its first visit; true when this visit is to fail, errno is then set. */
bool fault_visit(struct fault_site *site) SEAM(fault_visit);

/* All sites visited so far, newest first. */
struct fault_site *fault_sites(void);

/* A site that is not known yet: "FILE.c:LINE" fails with `error` from its first visit on, `times`
 * as in fault_ask. One at a time; before the first visit to any site. */
void fault_ask_at(const char *file_and_line, int error, int times);

/* Makes one site fail with `error`: `times` 1 for once, -1 for ever, 0 for no more. */
void fault_ask(struct fault_site *site, int error, int times);

/* `result` is what the call would give in failure: -1 or NULL, as its type has it. */
#define FAULT(fallible, result, ...)                                                               \
    ({                                                                                             \
        static const int fault_errnos_[] = {__VA_ARGS__, 0};                                       \
        static struct fault_site fault_site_ = {.file = __FILE__,                                  \
                                                .line = __LINE__,                                  \
                                                .call = #fallible,                                 \
                                                .errnos = fault_errnos_};                          \
        fault_visit(&fault_site_) ? (result) : (fallible);                                         \
    })
#else
#define FAULT(fallible, result, ...) (fallible)
#endif

#endif
