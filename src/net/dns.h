/* dns.h - host names to addresses, in a lane of threads of our own: an event loop must not call
 * getaddrinfo. One look-up a name at a time for the whole process, with a bounded cache. */
#ifndef TRINE_NET_DNS_H
#define TRINE_NET_DNS_H

#include "base/seam.h"

#include <stdbool.h>
#include <stdint.h>

enum { DNS_ADDRESSES_MAX = 8, DNS_NAME_MAX = 255, DNS_TEXT_MAX = 64 };

struct dns_address {
    uint32_t family; /* AF_INET or AF_INET6 */
    uint32_t scope_id;
    uint8_t bytes[16];
};

struct dns_addresses {
    unsigned count;
    struct dns_address at[DNS_ADDRESSES_MAX]; /* best first */
};

/* Addresses of a host: a name, localhost, or an address written out (IPv6 without brackets).
 * Errors: -EINVAL (empty, or longer than DNS_NAME_MAX), -ENXIO (no such host), -EREMOTEIO (no name
 * server answered), -EBUSY (too many look-ups hang), -ENOMEM. [S] any thread. */
int dns_resolve(const char *host, struct dns_addresses *ret_addresses) SEAM(dns_resolve);

/* The address does not answer: further dns_resolve of the host name it last, while the cache knows
 * the host. Any thread, never waits. */
void dns_demote(const char *host, const struct dns_address *address) SEAM(dns_demote);

/* True when `host` is an address written out; it is then in *ret_address. */
bool dns_is_literal(const char *host, struct dns_address *ret_address) SEAM(dns_is_literal);

/* The address in numbers, as a URL has it: IPv6 in brackets. */
void dns_format(const struct dns_address *address, char ret_text[DNS_TEXT_MAX]) SEAM(dns_format);

/* What looks names up, on a thread where it may block; tests put their own here before the first
 * dns_resolve. Errors as dns_resolve. */
extern int (*dns_lookup)(const char *host, struct dns_addresses *ret_addresses);

#endif
