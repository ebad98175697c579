/*
 * For tests: pages that misbehave in a worker. Only with TRINE_TEST_POISON set in the environment,
 * a body that contains "trine-poison: segfault", "loop" or "memory" does that to its worker.
 */
#ifndef CRAWL_POISON_H
#define CRAWL_POISON_H

#include <stddef.h>

void poison_take_effect(const char *body, size_t len);

#endif
