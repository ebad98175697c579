/* fault.c - the register of fault sites in test builds; empty otherwise. Sites link themselves into
 * one list at their first visit, without a lock: the list only grows. */
#include "base/fault.h"

#ifdef TRINE_FAULT_SITES

#include <stdio.h>
#include <string.h>

static _Atomic(struct fault_site *) sites;

static struct {
    char place[128];
    int error, times;
} asked;

void fault_ask_at(const char *file_and_line, int error, int times) {
    snprintf(asked.place, sizeof(asked.place), "%s", file_and_line);
    asked.error = error;
    asked.times = times;
}

static bool is_asked(const struct fault_site *site) {
    char place[128];
    const char *name = strrchr(site->file, '/');
    snprintf(place, sizeof(place), "%s:%d", name ? name + 1 : site->file, site->line);
    return strcmp(place, asked.place) == 0;
}

static void enlist(struct fault_site *site) {
    if (atomic_exchange(&site->known, true))
        return;
    if (is_asked(site))
        fault_ask(site, asked.error, asked.times);
    struct fault_site *head = atomic_load(&sites);
    do
        site->next = head;
    while (!atomic_compare_exchange_weak(&sites, &head, site));
}

bool fault_visit(struct fault_site *site) {
    enlist(site);
    atomic_fetch_add(&site->visits, 1);
    int once = 1;
    bool fails =
        atomic_load(&site->fail) == -1 || atomic_compare_exchange_strong(&site->fail, &once, 0);
    if (fails)
        errno = atomic_load(&site->error);
    return fails;
}

struct fault_site *fault_sites(void) {
    return atomic_load(&sites);
}

void fault_ask(struct fault_site *site, int error, int times) {
    atomic_store(&site->error, error);
    atomic_store(&site->fail, times);
}

#else
typedef int fault_sites_are_off; /* C wants a declaration in every file */
#endif
