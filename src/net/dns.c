/* dns.c - look-ups run by getaddrinfo on LANE_DNS, at most one a name at a time: who wants a name
 * that is being looked up waits in its entry. Results are kept for a minute, failures for 5 s.
 *
 * The look-up itself publishes its result in the entry, so it serves all waiters even when the one
 * that began it is cancelled. A look-up that was dropped before a thread took it publishes nothing:
 * who began it then hands the task on to another waiter of the entry.
 *
 * Invariants: an entry is DONE, and then nobody waits in it, or some strand has called
 * blocking_call for it and either is still in that call or the look-up is RUNNING. Entries are in
 * one bucket; those that are DONE are in `by_age` as well, and only they are ever freed.
 *
 * Lock order: `lock` alone; nothing is called under it that waits or takes another.
 * Rejected: a resolver of our own over UDP (nsswitch, /etc/hosts, mDNS and search lists are the C
 * library's to know); libcurl's (a thread a look-up, and removing the transfer joins that thread).
 */
#include "net/dns.h"

#include "base/list.h"
#include "core/executor.h"
#include "core/waitq.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_RESULT TRINE_SEC(60)
#define KEEP_FAILURE TRINE_SEC(5)
enum { BUCKETS = 1024, ENTRIES_MAX = 4096, TAKE_OVER = 1 };

enum entry_state { QUEUED, RUNNING, DONE };

struct entry {
    struct list node, age;
    struct list waiters;
    enum entry_state state;
    int error;
    int64_t expires;
    struct dns_addresses addresses;
    char name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list buckets[BUCKETS];
static struct list by_age = {&by_age, &by_age}; /* oldest first */
static unsigned entries;

/* --- the look-up --- */

static bool add_address(struct dns_addresses *to, const struct sockaddr *from) {
    struct dns_address a = {.family = from->sa_family};
    if (from->sa_family == AF_INET) {
        memcpy(a.bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        memcpy(a.bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
        a.scope_id = ((const struct sockaddr_in6 *)from)->sin6_scope_id;
    } else {
        return true;
    }
    to->at[to->count++] = a;
    return to->count < DNS_ADDRESSES_MAX;
}

static int look_up(const char *host, struct dns_addresses *ret) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int r = getaddrinfo(host, NULL, &hints, &found);
    if (r == EAI_MEMORY)
        return -ENOMEM;
    if (r == EAI_AGAIN || r == EAI_SYSTEM)
        return -EREMOTEIO;
    if (r != 0)
        return -ENXIO;
    ret->count = 0;
    for (struct addrinfo *i = found; i && add_address(ret, i->ai_addr); i = i->ai_next)
        ;
    freeaddrinfo(found);
    return ret->count ? 0 : -ENXIO;
}

int (*dns_lookup)(const char *host, struct dns_addresses *ret_addresses) = look_up;

/* --- addresses that need no look-up --- */

bool dns_is_literal(const char *host, struct dns_address *ret) {
    struct dns_address a = {.family = AF_INET};
    if (inet_pton(AF_INET, host, a.bytes) == 1) {
        *ret = a;
        return true;
    }
    const char *zone = strchr(host, '%');
    size_t n = zone ? (size_t)(zone - host) : strlen(host);
    char text[INET6_ADDRSTRLEN];
    if (n >= sizeof(text))
        return false;
    memcpy(text, host, n);
    text[n] = '\0';
    a.family = AF_INET6;
    if (inet_pton(AF_INET6, text, a.bytes) != 1)
        return false;
    a.scope_id = zone ? if_nametoindex(zone + 1) : 0;
    *ret = a;
    return true;
}

/* localhost and all below it are loopback by RFC 6761, 6.3, whatever a name server says. IPv4
 * first: local servers that have only one have that. */
static bool is_localhost(const char *host) {
    static const char tail[] = "localhost";
    size_t n = strlen(host), t = sizeof(tail) - 1;
    return n >= t && strcasecmp(host + n - t, tail) == 0 && (n == t || host[n - t - 1] == '.');
}

static bool is_known(const char *host, struct dns_addresses *ret) {
    static const struct dns_addresses loopback = {
        .count = 2,
        .at = {{.family = AF_INET, .bytes = {127, 0, 0, 1}},
               {.family = AF_INET6, .bytes = {[15] = 1}}}};
    if (is_localhost(host)) {
        *ret = loopback;
        return true;
    }
    struct dns_address literal;
    if (!dns_is_literal(host, &literal))
        return false;
    ret->at[0] = literal;
    ret->count = 1;
    return true;
}

void dns_format(const struct dns_address *a, char ret_text[DNS_TEXT_MAX]) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop((int)a->family, a->bytes, text, sizeof(text));
    if (a->family == AF_INET)
        snprintf(ret_text, DNS_TEXT_MAX, "%s", text);
    else if (a->scope_id)
        snprintf(ret_text, DNS_TEXT_MAX, "[%s%%25%u]", text, a->scope_id);
    else
        snprintf(ret_text, DNS_TEXT_MAX, "[%s]", text);
}

/* --- the cache, all under the lock --- */

static struct list *bucket_of(const char *name) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    struct list *bucket = &buckets[hash % BUCKETS];
    if (!bucket->next)
        list_init(bucket);
    return bucket;
}

static struct entry *find(const char *name) {
    struct list *bucket = bucket_of(name);
    LIST_EACH(node, bucket) {
        struct entry *e = container_of(node, struct entry, node);
        if (strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}

static void discard(struct entry *e) {
    list_remove(&e->node);
    list_remove(&e->age);
    free(e);
    entries--;
}

static struct entry *add(const char *name) {
    if (entries >= ENTRIES_MAX && !list_empty(&by_age))
        discard(container_of(by_age.next, struct entry, age));
    size_t n = strlen(name) + 1;
    struct entry *e = malloc(sizeof(*e) + n);
    if (!e)
        return NULL;
    *e = (struct entry){.state = QUEUED};
    memcpy(e->name, name, n);
    list_init(&e->age);
    list_init(&e->waiters);
    list_push(bucket_of(name), &e->node);
    entries++;
    return e;
}

/* The outcome of a look-up, or why there will be none, for all who wait and for who comes later. */
static void publish(struct entry *e, int error, const struct dns_addresses *addresses) {
    e->state = DONE;
    e->error = error;
    if (error == 0)
        e->addresses = *addresses;
    e->expires = trine_now() + (error ? KEEP_FAILURE : KEEP_RESULT);
    list_remove(&e->age);
    list_push(&by_age, &e->age);
    for (struct waiter *w; (w = waitq_pop(&e->waiters));) {
        if (error == 0)
            *(struct dns_addresses *)w->item = *addresses;
        waitq_wake(w, error);
    }
    if (error && error != -ENXIO && error != -EREMOTEIO)
        discard(e); /* short of memory or threads: says nothing about the name */
}

/* --- the call --- */

struct question {
    char name[DNS_NAME_MAX + 1];
    bool answered;
    struct dns_addresses addresses;
};

static int ask(struct question *q) {
    pthread_mutex_lock(&lock);
    struct entry *e = find(q->name);
    if (e && e->state == QUEUED)
        e->state = RUNNING;
    pthread_mutex_unlock(&lock);
    int r = dns_lookup(q->name, &q->addresses);
    q->answered = true;
    pthread_mutex_lock(&lock);
    e = find(q->name);
    if (e && e->state != DONE)
        publish(e, r, &q->addresses);
    pthread_mutex_unlock(&lock);
    return r;
}
TRINE_TASK(ask, struct question);

/* The look-up gave no answer: the caller's scope ended, or the lane would not take it. Others who
 * wait for the name must not be left with a look-up that no thread has begun. */
static void give_up(const char *name, int error) {
    struct waiter *heir = NULL;
    pthread_mutex_lock(&lock);
    struct entry *e = find(name);
    if (e && e->state == QUEUED) {
        if (error == -ECANCELED || error == -ETIMEDOUT)
            heir = waitq_pop(&e->waiters);
        if (!heir)
            publish(e, error, &(struct dns_addresses){0});
    }
    pthread_mutex_unlock(&lock);
    if (heir)
        waitq_wake(heir, TAKE_OVER);
}

static int begin(const char *name, struct dns_addresses *ret) {
    struct question q = {0};
    memcpy(q.name, name, strlen(name));
    int r = blocking_call(LANE_DNS, &ask_task, &q);
    if (!q.answered)
        give_up(name, r);
    else if (r == 0)
        *ret = q.addresses;
    return r;
}

static int resolve_name(struct strand *self, const char *name, struct dns_addresses *ret) {
    pthread_mutex_lock(&lock);
    struct entry *e = find(name);
    if (e && e->state == DONE && e->expires > trine_now()) {
        int r = e->error;
        if (r == 0)
            *ret = e->addresses;
        pthread_mutex_unlock(&lock);
        return r;
    }
    if (e && e->state == DONE) {
        discard(e);
        e = NULL;
    }
    if (!e) {
        e = add(name);
        pthread_mutex_unlock(&lock);
        return e ? begin(name, ret) : -ENOMEM;
    }
    struct waiter w = {.item = ret};
    waitq_add(&e->waiters, &w, self, &lock);
    pthread_mutex_unlock(&lock);
    int r = waitq_park(&w, "name look-up");
    return r == TAKE_OVER ? begin(name, ret) : r;
}

/* In lower case, as the cache has it; false when no name can be so short or so long. */
static bool normalise(const char *host, char ret_name[DNS_NAME_MAX + 1]) {
    size_t n = strlen(host);
    if (n == 0 || n > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i <= n; i++)
        ret_name[i] = (char)tolower((unsigned char)host[i]);
    return true;
}

int dns_resolve(const char *host, struct dns_addresses *ret) {
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0)
        return r;
    if (is_known(host, ret))
        return 0;
    char name[DNS_NAME_MAX + 1] = "";
    return normalise(host, name) ? resolve_name(self, name, ret) : -EINVAL;
}

static void move_last(struct dns_addresses *list, const struct dns_address *address) {
    unsigned last = list->count - 1;
    for (unsigned i = 0; i < last; i++) {
        if (memcmp(&list->at[i], address, sizeof(*address)) == 0) {
            struct dns_address moved = list->at[i];
            memmove(&list->at[i], &list->at[i + 1], (last - i) * sizeof(moved));
            list->at[last] = moved;
            return;
        }
    }
}

void dns_demote(const char *host, const struct dns_address *address) {
    char name[DNS_NAME_MAX + 1] = "";
    if (!normalise(host, name))
        return;
    pthread_mutex_lock(&lock);
    struct entry *e = find(name);
    if (e && e->state == DONE && e->error == 0)
        move_last(&e->addresses, address);
    pthread_mutex_unlock(&lock);
}
