/* addr.h - addresses of the internet, from text or looked up by name. */
#ifndef TRINE_NET_ADDR_H
#define TRINE_NET_ADDR_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len;
};

enum { ADDR_MAX = 8 }; /* of one name; further ones are not tried */

struct addr_list {
    unsigned count; /* at least 1 */
    struct addr addrs[ADDR_MAX];
};

/* Finds the addresses of a host: at once when it is an address in text, else by the system's
 * resolver, on a thread. Errors: -ENOENT (there is no such name), -EHOSTUNREACH (the resolver gave
 * no answer), -ENAMETOOLONG, -ENOMEM. [S] */
int addr_resolve(const char *host, uint16_t port, struct addr_list *ret_list);

/* The port of an IPv4 or IPv6 address. */
uint16_t addr_port(const struct addr *a);

#endif
