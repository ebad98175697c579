/* addr.c - see addr.h. Names are dns.c's matter; here they become what the kernel takes. */
#include "net/addr.h"

#include <string.h>

static struct addr make(const struct dns_address *from, uint16_t port) {
    struct addr a = {.len = 0};
    if (from->family == AF_INET) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        memcpy(&a.v4.sin_addr, from->bytes, sizeof(a.v4.sin_addr));
        a.len = sizeof(a.v4);
    } else {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
        a.v6.sin6_scope_id = from->scope_id;
        memcpy(&a.v6.sin6_addr, from->bytes, sizeof(a.v6.sin6_addr));
        a.len = sizeof(a.v6);
    }
    return a;
}

int addr_resolve(const char *host, uint16_t port, struct addr_list *ret_list) {
    struct dns_addresses found;
    int status = dns_resolve(host, &found);
    if (status < 0)
        return status;
    ret_list->count = found.count;
    for (unsigned i = 0; i < found.count; i++)
        ret_list->addrs[i] = make(&found.at[i], port);
    return 0;
}

uint16_t addr_port(const struct addr *a) {
    return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}
