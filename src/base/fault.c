/* fault.c - the register of fault sites in test builds; empty otherwise. Sites link themselves into
 * one list at their first visit, without a lock: the list only grows. */
#include "base/fault.h"

#ifdef TRINE_FAULT_SITES

static _Atomic(struct fault_site *) sites;

static void enlist(struct fault_site *site) {
    if (atomic_exchange(&site->known, true))
        return;
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
