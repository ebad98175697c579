/* area.c - see area.h. Rejected: a memory descriptor a body, handed over by a socket (a map, an
 * unmap and the first touch of each page, 12 us, a task); a ring of bodies (each would touch other
 * pages than the last). */
#include "exec/area.h"

#include "base/panic.h"

#include <sys/mman.h>
#include <unistd.h>

/* Pages that an area keeps, to be used again without a fault. */
enum { AREA_KEPT = 2 << 20 };

unsigned area_find(const struct areas_taken *t) {
    for (unsigned i = 0; i < AREAS; i++)
        if (!t->is[i])
            return i + 1;
    return 0;
}

void area_drop(struct areas_taken *t, uint8_t *areas, unsigned area, uint64_t used) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    t->is[area - 1] = false;
    REQUIRE(used <= AREA_BYTES, "an area had %llu bytes", (unsigned long long)used);
    if (used > AREA_KEPT)
        madvise(area_at(areas, area) + AREA_KEPT,
                ((size_t)used - AREA_KEPT + page - 1) / page * page, MADV_REMOVE);
}
