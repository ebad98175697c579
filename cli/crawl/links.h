/*
 * The links of one page: resolved, each once, in order of first appearance, one a line.
 */
#ifndef CRAWL_LINKS_H
#define CRAWL_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "crawl/buffer.h"
#include "crawl/url.h"

struct link_slot;

struct links {
    struct url_base base; /* what references are resolved against; the caller sets it */
    struct buffer lines;
    uint32_t count;
    bool dropped; /* there were more than the bounds of page.h allow */
    bool failed;  /* no memory */
    struct link_slot *slots;
    uint32_t slot_count; /* a power of two */
    uint32_t page;       /* number of the page: slots of others are free */
    uint64_t seed;
};

/* Starts over for the next page; the memory stays. Zeroed memory has no links. */
void links_reset(struct links *links);
void links_add(struct links *links, const char *href, size_t len);
void links_done(struct links *links);

#endif
