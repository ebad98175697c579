/*
 * The set of a page's links.
 *
 * A link is resolved right behind the last line of the buffer; when the table has it already, it is
 * simply not kept. The table holds offsets, hashes and the number of the page they are of, so
 * that starting over costs nothing, however large one page made it. The hash is seeded, or a page
 * could be written whose links all collide.
 */
#include "crawl/links.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "crawl/page.h"

struct link_slot {
    uint32_t page, hash, offset, len;
};

enum { SLOTS_FIRST = 1024 };

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_of(uint64_t seed, const char *at, size_t len) {
    uint64_t hash = seed ^ len, word;
    for (; len >= 8; at += 8, len -= 8) {
        memcpy(&word, at, 8);
        hash = mix(hash ^ word, 0x9E3779B97F4A7C15) + seed;
    }
    word = 0;
    memcpy(&word, at, len);
    return (uint32_t)mix(hash ^ word, 0xD6E8FEB86659FD93 ^ seed);
}

void links_reset(struct links *links) {
    if (!links->seed && getrandom(&links->seed, sizeof(links->seed), GRND_NONBLOCK) < 0) {
        links->seed = (uintptr_t)links; /* too early in boot: still differs from run to run */
    }
    if (++links->page == 0) {
        free(links->slots);
        links->slots = NULL;
        links->slot_count = 0;
        links->page = 1;
    }
    links->lines.len = 0;
    links->count = 0;
    links->dropped = links->failed = false;
}

/* The slot of these bytes, or the free one where they belong. */
static struct link_slot *find_slot(struct links *links, uint32_t hash, const char *at, size_t len) {
    uint32_t mask = links->slot_count - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct link_slot *slot = &links->slots[i];
        if (slot->page != links->page || (slot->hash == hash && slot->len == len &&
                                          memcmp(links->lines.at + slot->offset, at, len) == 0)) {
            return slot;
        }
    }
}

/* Keeps the table at most half full. */
static bool grow(struct links *links) {
    if (2 * links->count < links->slot_count) {
        return true;
    }
    struct link_slot *old = links->slots;
    uint32_t old_count = links->slot_count, page = links->page;
    links->slot_count = old_count ? 2 * old_count : SLOTS_FIRST;
    links->slots = calloc(links->slot_count, sizeof(*links->slots));
    if (!links->slots) {
        links->slots = old;
        links->slot_count = old_count;
        return false;
    }
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i].page == page) {
            *find_slot(links, old[i].hash, links->lines.at + old[i].offset, old[i].len) = old[i];
        }
    }
    free(old);
    return true;
}

void links_add(struct links *links, const char *href, size_t len) {
    struct buffer *lines = &links->lines;
    size_t link_len;
    if (!buffer_reserve(lines, URL_MAX) || !grow(links)) {
        links->failed = true;
        return;
    }
    char *link = lines->at + lines->len;
    if (links->dropped || url_resolve(&links->base, href, len, link, &link_len) < 0) {
        return;
    }
    uint32_t hash = hash_of(links->seed, link, link_len);
    struct link_slot *slot = find_slot(links, hash, link, link_len);
    if (slot->page == links->page) {
        return;
    }
    if (links->count == PAGE_LINKS_MAX || lines->len + link_len + 1 > PAGE_LINKS_BYTES_MAX) {
        links->dropped = true;
        return;
    }
    *slot = (struct link_slot){links->page, hash, (uint32_t)lines->len, (uint32_t)link_len};
    link[link_len] = '\n';
    lines->len += link_len + 1;
    links->count++;
}

void links_done(struct links *links) {
    free(links->slots);
    buffer_done(&links->lines);
    *links = (struct links){0};
}
