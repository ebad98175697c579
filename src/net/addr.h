/* addr.h - socket addresses of hosts. */
#ifndef TRINE_NET_ADDR_H
#define TRINE_NET_ADDR_H

#include "net/dns.h"

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

struct addr_list {
    unsigned count; /* at least 1 */
    struct addr addrs[DNS_ADDRESSES_MAX];
};

/* The addresses of a host and port, best first. Errors as dns_resolve. [S] */
int addr_resolve(const char *host, uint16_t port, struct addr_list *ret_list);

/* The port of an IPv4 or IPv6 address. */
uint16_t addr_port(const struct addr *a);

#endif
