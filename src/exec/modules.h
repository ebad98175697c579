/* modules.h - names places in the program's code and data in a way that holds in another process of
 * the same build: the build id of the module (program or shared library) and the offset in it. */
#ifndef TRINE_EXEC_MODULES_H
#define TRINE_EXEC_MODULES_H

#include "exec/wire.h"

struct place {
    struct build_id module;
    uint64_t offset;
};

/* Places found before; all zero at first. Owned by one thread. */
struct place_cache {
    unsigned long long unloads; /* of modules, when the entries were made */
    bool fresh;                 /* nothing was unloaded since it was looked; the user clears it */
    struct {
        const void *address;
        struct place place;
    } entries[64];
};

/* The place of an address: 0; -ENOEXEC: its module has no build id (link with -Wl,--build-id);
 * -EFAULT: it is in no module. */
int modules_locate(struct place_cache *cache, const void *address, struct place *ret_place);

/* The path of the file that is mapped at an address: 0, or -ENOENT: none, or it was deleted; or a
 * negative errno of reading /proc/self/maps. */
int modules_path(const void *address, char ret_path[WIRE_PATH_MAX]);

/* Loads the module if it is not here yet; modules_find tells whether that is the build it was. */
void modules_load(const struct build_id *module, const char *path);

/* The address of `size` bytes at that place, NULL when no module of this process has it. */
const void *modules_find(const struct place *place, size_t size);

/* Does the address lie in executable memory of a module? */
bool modules_is_code(const void *address);

/* The build id of the program itself: 0 or -ENOEXEC. */
int modules_program(struct build_id *ret_id);

#endif
