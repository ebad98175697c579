/* http_dns.c - look-ups: one a name at a time, a cache, and no wait that cannot be ended. The
 * look-up function is the test's own; it blocks on a condition, never on time. */
#include "http_server.h"

#include "net/dns.h"

#include <trine.h>
#include <valgrind/valgrind.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static int lookups, blocked;
static bool released;

static int fake_lookup(const char *host, struct dns_addresses *ret) {
    static const struct dns_addresses two = {.count = 2,
                                             .at = {{.family = AF_INET, .bytes = {192, 0, 2, 1}},
                                                    {.family = AF_INET, .bytes = {192, 0, 2, 2}}}};
    pthread_mutex_lock(&lock);
    lookups++;
    while (strncmp(host, "blocked", 7) == 0 && !released) {
        blocked++;
        pthread_cond_broadcast(&change);
        pthread_cond_wait(&change, &lock);
        blocked--;
    }
    pthread_mutex_unlock(&lock);
    if (strncmp(host, "none", 4) == 0)
        return -ENXIO;
    *ret = two;
    return 0;
}

static void await_blocked(int n) {
    pthread_mutex_lock(&lock);
    while (blocked < n)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void release(void) {
    pthread_mutex_lock(&lock);
    released = true;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static int counted(void) {
    pthread_mutex_lock(&lock);
    int n = lookups;
    pthread_mutex_unlock(&lock);
    return n;
}

static int first_byte(const struct dns_addresses *a) {
    return a->at[0].bytes[3];
}

TEST(addresses_and_localhost_need_no_lookup) {
    struct dns_addresses a;
    char text[DNS_TEXT_MAX];
    dns_lookup = fake_lookup;
    CHECK_OK(dns_resolve("192.0.2.7", &a));
    CHECK_EQ(a.count, 1);
    dns_format(&a.at[0], text);
    CHECK_STR(text, "192.0.2.7");
    CHECK_OK(dns_resolve("2001:db8::1", &a));
    dns_format(&a.at[0], text);
    CHECK_STR(text, "[2001:db8::1]");
    CHECK_OK(dns_resolve("LocalHost", &a));
    CHECK_EQ(a.count, 2);
    dns_format(&a.at[0], text);
    CHECK_STR(text, "127.0.0.1");
    dns_format(&a.at[1], text);
    CHECK_STR(text, "[::1]");
    CHECK_OK(dns_resolve("db.localhost", &a));
    CHECK_EQ(counted(), 0);
    CHECK_OK(dns_resolve("notlocalhost", &a));
    CHECK_EQ(counted(), 1);
}

TEST(names_are_kept_without_case) {
    struct dns_addresses a;
    dns_lookup = fake_lookup;
    CHECK_OK(dns_resolve("name.test", &a));
    CHECK_OK(dns_resolve("NAME.Test", &a));
    CHECK_EQ(counted(), 1);
    CHECK_EQ(a.count, 2);
    CHECK_EQ(dns_resolve("none.test", &a), -ENXIO);
    CHECK_EQ(dns_resolve("none.test", &a), -ENXIO);
    CHECK_EQ(counted(), 2);
}

TEST(bad_names_are_refused) {
    struct dns_addresses a;
    char longest[DNS_NAME_MAX + 2];
    dns_lookup = fake_lookup;
    memset(longest, 'a', sizeof(longest));
    longest[DNS_NAME_MAX + 1] = '\0';
    CHECK_EQ(dns_resolve(longest, &a), -EINVAL);
    CHECK_EQ(dns_resolve("", &a), -EINVAL);
    longest[DNS_NAME_MAX] = '\0';
    CHECK_OK(dns_resolve(longest, &a));
    CHECK_EQ(counted(), 1);
}

TEST(a_demoted_address_comes_last) {
    struct dns_addresses a;
    dns_lookup = fake_lookup;
    CHECK_OK(dns_resolve("name.test", &a));
    CHECK_EQ(first_byte(&a), 1);
    dns_demote("Name.test", &a.at[0]);
    CHECK_OK(dns_resolve("name.test", &a));
    CHECK_EQ(first_byte(&a), 2);
    CHECK_EQ(a.at[1].bytes[3], 1);
    CHECK_EQ(counted(), 1);
}

TEST(the_cache_is_bounded) {
    struct dns_addresses a;
    char name[32];
    dns_lookup = fake_lookup;
    for (int i = 0; i < 4097; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        CHECK_OK(dns_resolve(name, &a));
    }
    CHECK_OK(dns_resolve("n4096.test", &a));
    CHECK_EQ(counted(), 4097);
    CHECK_OK(dns_resolve("n0.test", &a)); /* the oldest had to go */
    CHECK_EQ(counted(), 4098);
}

struct ask {
    const char *name;
    int result;
    struct dns_addresses a;
};

static int ask(struct ask *q) {
    q->result = dns_resolve(q->name, &q->a);
    return 0;
}
TRINE_TASK(ask, struct ask);

static int many_ask(void *unused) {
    (void)unused;
    struct ask asks[50];
    TRINE_SCOPE(s);
    for (int i = 0; i < 50; i++) {
        asks[i] = (struct ask){.name = "blocked.test", .result = 1};
        CHECK_OK(trine_spawn(s, ask, &asks[i]));
    }
    CHECK_OK(trine_yield());
    await_blocked(1);
    release();
    CHECK_OK(trine_join(s));
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(asks[i].result, 0);
        CHECK_EQ(asks[i].a.count, 2);
    }
    return 0;
}
TRINE_TASK(many_ask, void);

TEST(who_asks_for_the_same_name_shares_the_lookup) {
    dns_lookup = fake_lookup;
    CHECK_OK(trine_run(many_ask, NULL));
    CHECK_EQ(counted(), 1);
}

/* Who begins the look-up is cancelled, another one goes on waiting for it; how long the end took.
 */
static int64_t cancel_first(trine_scope *others, struct ask *second, int blocked_before) {
    struct ask first = {.name = second->name};
    TRINE_SCOPE(s);
    CHECK_OK(trine_spawn(s, ask, &first));
    CHECK_OK(trine_yield());
    await_blocked(blocked_before + 1);
    CHECK_OK(trine_spawn(others, ask, second));
    CHECK_OK(trine_yield());
    int64_t before = trine_now();
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_join(s), -ECANCELED);
    int64_t took = trine_now() - before;
    CHECK_EQ(first.result, -ECANCELED);
    CHECK_EQ(second->result, 1);
    return took;
}

static int first_is_cancelled(void *unused) {
    (void)unused;
    static char names[QUICK_TRIES][32];
    static struct ask second[QUICK_TRIES];
    bool quick = false;
    int n = 0;
    TRINE_SCOPE(others);
    for (; n < QUICK_TRIES && !quick; n++) {
        snprintf(names[n], sizeof(names[n]), "blocked%d.test", n);
        second[n] = (struct ask){.name = names[n], .result = 1};
        quick = cancel_first(others, &second[n], n) < slow_ms(10);
    }
    CHECK(quick);
    release();
    CHECK_OK(trine_join(others));
    for (int i = 0; i < n; i++)
        CHECK_EQ(second[i].result, 0);
    CHECK_EQ(counted(), n);
    return 0;
}
TRINE_TASK(first_is_cancelled, void);

TEST(a_lookup_outlives_who_began_it) {
    dns_lookup = fake_lookup;
    CHECK_OK(trine_run(first_is_cancelled, NULL));
}

enum { LANE_THREADS = 16 };

/* All threads of the lane hang, so that a further look-up is in the queue, where nobody works for
 * it; who began it is cancelled, and another that waits for it takes over. */
static int heir_takes_over(void *unused) {
    (void)unused;
    static struct ask hang[LANE_THREADS];
    static char names[LANE_THREADS][32];
    struct ask first = {.name = "queued.test"}, second = {.name = "queued.test", .result = 1};
    TRINE_SCOPE(s);
    for (int i = 0; i < LANE_THREADS; i++) {
        snprintf(names[i], sizeof(names[i]), "blocked%d.test", i);
        hang[i].name = names[i];
        CHECK_OK(trine_spawn(s, ask, &hang[i]));
    }
    CHECK_OK(trine_yield());
    await_blocked(LANE_THREADS);
    {
        TRINE_SCOPE(beginner);
        CHECK_OK(trine_spawn(beginner, ask, &first));
        CHECK_OK(trine_yield());
        CHECK_OK(trine_spawn(s, ask, &second));
        CHECK_OK(trine_yield());
        trine_scope_cancel(beginner, 0);
    }
    CHECK_EQ(first.result, -ECANCELED);
    CHECK_EQ(second.result, 1);
    release();
    CHECK_OK(trine_join(s));
    CHECK_EQ(second.result, 0);
    return 0;
}
TRINE_TASK(heir_takes_over, void);

TEST(a_lookup_that_never_began_is_taken_over) {
    dns_lookup = fake_lookup;
    CHECK_OK(trine_run(heir_takes_over, NULL));
    CHECK_EQ(counted(), LANE_THREADS + 1);
}

static int deadline_passes(void *unused) {
    (void)unused;
    struct dns_addresses a;
    int64_t t = TRINE_MS(5);
    do { /* until a thread has come to it; one to which none has come is taken back */
        TRINE_SCOPE(s, .timeout = t);
        CHECK_EQ(dns_resolve("blocked.test", &a), -ETIMEDOUT);
        t *= 2;
    } while (!counted());
    return 0;
}
TRINE_TASK(deadline_passes, void);

TEST(a_deadline_ends_a_lookup_anywhere) {
    dns_lookup = fake_lookup;
    CHECK_OK(trine_run(deadline_passes, NULL));
    CHECK_OK(deadline_passes(NULL)); /* in the plain thread */
    CHECK_EQ(counted(), 1);          /* the second joined the first one's */
    release();
}

TEST(the_systems_own_lookup_works) {
    struct dns_addresses a;
    char host[256];
    if (RUNNING_ON_VALGRIND)
        test_skip("glibc's resolver state of the look-up's thread counts as lost at exit");
    CHECK_EQ(gethostname(host, sizeof(host)), 0);
    int r = dns_resolve(host, &a);
    CHECK(r == -ENXIO || r == -EREMOTEIO || (r == 0 && a.count > 0));
    CHECK_EQ(dns_resolve("no such host", &a), -ENXIO);
}
