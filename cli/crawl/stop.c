/* stop.c - Ctrl-C and SIGTERM. The first one starts nothing more and lets what is under way end:
 * fetches get 3 s, parsing 1 s more, then they are cut short; all that was fetched and parsed is
 * committed. The second one cuts at once. A page that was cut short has no row: it is for the next
 * run. */
#include "crawl/crawl.h"

#include <trine/signal.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void cut(trine_scope *scope) {
    if (scope)
        trine_scope_cancel(scope, 0);
}

/* Waits for another signal for that long: true when one came. */
static bool another_signal(trine_signal *s, int64_t ns) {
    TRINE_SCOPE(patience, .timeout = ns);
    return trine_signal_wait(s) > 0;
}

static int watch_signals(struct crawl *c) {
    trine_signal *s;
    int r = trine_signal_open(SIGINT, &s);
    if (r < 0)
        return r;
    r = trine_signal_add(s, SIGTERM);
    if (r == 0)
        r = trine_signal_wait(s);
    if (r > 0) {
        c->stopping = true;
        crawl_notify(c);
        progress_clear();
        fprintf(stderr, "%s: stopping; once more to stop at once\n", c->settings.command);
        bool at_once = r > 1 || another_signal(s, TRINE_SEC(3));
        cut(c->fetching);
        if (!at_once)
            another_signal(s, TRINE_SEC(1));
        cut(c->parsing);
    }
    trine_signal_close(&s);
    return r < 0 ? r : 0;
}
TRINE_TASK(watch_signals, struct crawl);

int stop_watch(struct crawl *c, trine_scope *scope) {
    return trine_spawn(scope, watch_signals, c);
}
