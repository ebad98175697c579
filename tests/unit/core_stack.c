/* core_stack.c - stacks: guard pages of both kinds, their limit, reuse. TRINE_TEST_GUARD=mprotect
 * runs all other tests on the second kind too. */
#include "core/stack.h"

#include "test.h"
#include "trine.h"

#include <fcntl.h>
#include <sys/mman.h>

/* Whether the kernel can read the byte. */
static bool readable(const void *at) {
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    ssize_t n = write(ends[1], at, 1);
    CHECK(n == 1 || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return n == 1;
}

static void check_guards(void) {
    enum { MANY = 100 }; /* more than one slab */
    struct stacks *cache = stacks_new(64 << 10);
    struct stack *all[MANY];
    for (int i = 0; i < MANY; i++) {
        all[i] = stack_take(cache);
        CHECK(all[i]);
        char *low = all[i]->low;
        CHECK(!readable(low - 1));
        CHECK(readable(low));
        CHECK(readable((char *)all[i] - 1));
        memset(low, 1, all[i]->size); /* all of it is usable, and nobody else's */
    }
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++)
            CHECK((char *)all[i] + sizeof(struct stack) <= (char *)all[k]->low ||
                  (char *)all[k] + sizeof(struct stack) <= (char *)all[i]->low);
    for (int i = 0; i < MANY; i++)
        stack_give(cache, all[i]);
    stacks_free(cache);
}

TEST(what_is_written_below_a_stack_hits_its_guard) {
    check_guards();
}

TEST(what_is_written_below_a_stack_hits_its_guard_of_mprotect) {
    stacks_use_mprotect();
    check_guards();
}

TEST(the_stack_used_last_is_used_next) {
    struct stacks *cache = stacks_new(64 << 10);
    struct stack *a = stack_take(cache), *b = stack_take(cache);
    stack_give(cache, a);
    stack_give(cache, b);
    CHECK_EQ(stack_take(cache), b);
    CHECK_EQ(stack_take(cache), a);
    stack_give(cache, a);
    stack_give(cache, b);
    stacks_free(cache);
}

TEST(a_fresh_stack_is_one_page_and_begins_at_a_line_of_its_own) {
    enum { MANY = 32 };
    struct stacks *cache = stacks_new(64 << 10);
    uint64_t lines[64] = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned different = 0;
    for (int i = 0; i < MANY; i++) {
        struct stack *s = stack_take(cache);
        size_t in_page = (uintptr_t)s % page, line = in_page / 64 % 64;
        CHECK_EQ((uintptr_t)s % 64, 0);
        CHECK(in_page >= 1600); /* room for the first frames */
        different += !lines[line]++;
        stack_give(cache, s);
        CHECK_EQ(stack_take(cache), s); /* it stays ours: the next one is fresh */
    }
    CHECK(different >= MANY - 2);
    stacks_free(cache); /* all at once: they are not looked at again */
}

/* --- very many coroutines --- */

struct crowd {
    int asleep, woken;
};

static int sleep_in_crowd(struct crowd *c) {
    c->asleep++;
    int r = trine_sleep(TRINE_SEC(3600));
    c->woken += r == -ECANCELED;
    return r;
}
TRINE_TASK(sleep_in_crowd, struct crowd);

static int count_up(int *n) {
    ++*n;
    return 0;
}
TRINE_TASK(count_up, int);

/* Sanitizers: TSan of gcc dies above 8,128 fibers, and the others are slow. */
static int crowd_size(void) {
    return getenv("TRINE_TEST_SLOW") ? 3000 : 100000;
}

static int gather(int *ret_started) {
    struct crowd c = {0, 0};
    int n = crowd_size(), started = 0, r = 0;
    trine_error e = {.code = 0};
    {
        TRINE_SCOPE(s);
        while (r == 0 && started < n) {
            r = trine_spawn(s, sleep_in_crowd, &c);
            started += r == 0;
        }
        if (r < 0) { /* the kernel's limit: said by code and detail, and nothing is broken */
            CHECK_EQ(r, -ENOMEM);
            CHECK_EQ(trine_errors(s, &e, 1), 1);
            CHECK_EQ(e.code, -ENOMEM);
            CHECK_STR(e.task, "sleep_in_crowd");
            CHECK(strstr(e.site, "core_stack.c:"));
            CHECK(strstr(e.detail, "max_map_count"));
            CHECK_EQ(trine_join(s), -ENOMEM);
        } else {
            while (c.asleep < n)
                CHECK_OK(trine_yield());
            trine_scope_cancel(s, 0);
            CHECK_EQ(trine_join(s), -ECANCELED);
            CHECK_EQ(c.woken, n);
        }
    }
    int ran = 0;
    TRINE_SCOPE(after);
    CHECK_OK(trine_spawn(after, count_up, &ran));
    CHECK_EQ(trine_join(after), 0);
    CHECK_EQ(ran, 1);
    *ret_started = started;
    return 0;
}
TRINE_TASK(gather, int);

/* Whether this kernel has guards that need no mapping of their own, and they hold. */
static bool light_guards(void) {
    enum { INSTALL = 102 }; /* MADV_GUARD_INSTALL */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool yes = madvise(p, page, INSTALL) == 0 && !readable(p);
    munmap(p, page);
    return yes && !getenv("TRINE_TEST_GUARD");
}

TEST(a_hundred_thousand_coroutines) {
    int started = 0;
    CHECK_EQ(trine_run(gather, &started), 0);
    CHECK(started == crowd_size() || (!light_guards() && started > 30000));
}

TEST(a_hundred_thousand_coroutines_with_mprotect_or_a_clear_error) {
    int started = 0;
    stacks_use_mprotect();
    CHECK_EQ(trine_run(gather, &started), 0);
    CHECK(started == crowd_size() || started > 30000);
}
