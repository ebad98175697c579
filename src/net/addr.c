/* addr.c - see addr.h. An address in text never waits and never meets the resolver; a name is
 * looked up by getaddrinfo on a thread of the look-ups' own lane, so that hung look-ups stop
 * nothing else. A resolver of our own was rejected: it would have to follow nsswitch.conf, mDNS and
 * what else the machine is set up with, to the letter. */
#include "net/addr.h"

#include "core/executor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

/* Flat: a look-up that its scope gave up goes on alone with a copy. */
struct lookup {
    char host[NI_MAXHOST];
    struct addr_list list;
};

static int errno_of(int gai_error) {
    switch (gai_error) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return -errno;
    default:
        return -EHOSTUNREACH;
    }
}

static int look_up(struct lookup *l) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
    int error = getaddrinfo(l->host, NULL, &hints, &found);
    if (error)
        return errno_of(error);
    l->list.count = 0;
    for (struct addrinfo *i = found; i && l->list.count < ADDR_MAX; i = i->ai_next) {
        struct addr *a = &l->list.addrs[l->list.count];
        if (i->ai_addrlen > sizeof(a->v6))
            continue; /* neither IPv4 nor IPv6 */
        memcpy(&a->any, i->ai_addr, i->ai_addrlen);
        a->len = i->ai_addrlen;
        l->list.count++;
    }
    freeaddrinfo(found);
    return l->list.count ? 0 : -ENOENT;
}
TRINE_TASK(look_up, struct lookup);

static void set_port(struct addr *a, uint16_t port) {
    if (a->any.sa_family == AF_INET)
        a->v4.sin_port = htons(port);
    else
        a->v6.sin6_port = htons(port);
}

uint16_t addr_port(const struct addr *a) {
    return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

static bool from_text(const char *host, struct addr *ret_addr) {
    memset(ret_addr, 0, sizeof(*ret_addr));
    if (inet_pton(AF_INET, host, &ret_addr->v4.sin_addr) == 1) {
        ret_addr->any.sa_family = AF_INET;
        ret_addr->len = sizeof(ret_addr->v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &ret_addr->v6.sin6_addr) == 1) {
        ret_addr->any.sa_family = AF_INET6;
        ret_addr->len = sizeof(ret_addr->v6);
        return true;
    }
    return false;
}

int addr_resolve(const char *host, uint16_t port, struct addr_list *ret_list) {
    if (from_text(host, &ret_list->addrs[0])) {
        ret_list->count = 1;
    } else {
        struct lookup l = {.host = ""};
        size_t len = strlen(host);
        if (len >= sizeof(l.host))
            return -ENAMETOOLONG;
        memcpy(l.host, host, len);
        int status = blocking_call(LANE_DNS, &look_up_task, &l);
        if (status < 0)
            return status;
        *ret_list = l.list;
    }
    for (unsigned i = 0; i < ret_list->count; i++)
        set_port(&ret_list->addrs[i], port);
    return 0;
}
