/* asyncio_context_manager_example.c - a connection that takes its time to open and to close, and is
 * closed however the block is left: at its end, by an error, by a cancel. Closing has to wait, so
 * it opens a scope that the cancel does not reach, and that has a deadline of its own. With the
 * argument "error" or "cancel" the query fails, or is cut short. */
#include <trine.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct connection {
    const char *name;
};

static int connection_open(struct connection *c, const char *name) {
    printf("Opening connection: %s\n", c->name = name);
    return trine_sleep(TRINE_MS(500));
}

static int connection_query(struct connection *c, const char *query) {
    printf("Executing: %s\n", query);
    int status = trine_sleep(TRINE_MS(100));
    if (status == 0 && strstr(query, "nothing"))
        status = -ENOENT;
    if (status == 0)
        printf("Got: Result from %s\n", c->name);
    return status;
}

static void connection_close(struct connection *c) {
    TRINE_SCOPE(cleanup, .timeout = TRINE_SEC(2), .shield = true);
    if (trine_sleep(TRINE_MS(200)) == 0)
        printf("Closing connection: %s\n", c->name);
}

static int use_connection(const char **how) {
    TRINE_SCOPE(scope, .timeout = strcmp(*how, "cancel") == 0 ? TRINE_MS(550) : 0);
    struct connection db __attribute__((cleanup(connection_close)));
    int status = connection_open(&db, "DB1");
    if (status == 0)
        status = connection_query(&db, strcmp(*how, "error") == 0 ? "SELECT nothing" : "SELECT *");
    return status;
}
TRINE_TASK(use_connection, const char *);

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    return trine_run(use_connection, &how) < 0;
}
