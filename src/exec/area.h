/* area.h - where large bodies lie, and batches: memory that the program and one worker map, besides
 * the streams. The program copies an argument into a free area and sends its frame alone; the task
 * runs on it in place and leaves its result there, which the program copies out. So two copies are
 * made instead of four, and no body waits for room in a stream. */
#ifndef TRINE_EXEC_AREA_H
#define TRINE_EXEC_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One for the task that runs, the others for those ahead. */
enum { AREAS = 4, AREA_BYTES = 16 << 20, AREA_LEAST = 32 << 10 };

/* Does a body of this size go into an area? */
static inline bool area_suits(uint64_t size) {
    return size >= AREA_LEAST && size <= AREA_BYTES;
}

/* Area 1 to AREAS of the memory that begins at `areas`. */
static inline uint8_t *area_at(uint8_t *areas, unsigned area) {
    return areas + (size_t)(area - 1) * AREA_BYTES;
}

/* Which of them are taken; all zero: none. The program's. */
struct areas_taken {
    bool is[AREAS];
};

/* The lowest free one, whose pages were used last; 0: none. */
unsigned area_find(const struct areas_taken *t);

/* `used` bytes of it were in use: most of many are given back to the system. */
void area_drop(struct areas_taken *t, uint8_t *areas, unsigned area, uint64_t used);

#endif
