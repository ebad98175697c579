/* plugin.c - a module that processes_modules.c loads while it runs. Each build of it has a static
 * task of the same name. */
#include <trine.h>

#include <errno.h>

struct number {
    int value;
};

static int scale(struct number *n) {
    n->value *= PLUGIN * 10;
    return 0;
}
TRINE_TASK(scale, struct number);

__attribute__((visibility("default"))) const trine_task *plugin_task(void);
const trine_task *plugin_task(void) {
    return &scale_task;
}
