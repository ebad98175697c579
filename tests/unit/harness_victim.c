/* harness_victim.c - cases that go wrong on purpose; tests/cli/harness.sh runs them and looks at
 * what the harness says. Not registered as a test. */
#define TEST_TIMEOUT 2
#include "test.h"

TEST(passes) {
    CHECK_STR("a", "a");
    CHECK_OK(0);
    CHECK_EQ(2 + 2, 4);
}

TEST(fails) {
    CHECK_EQ(-ECANCELED, 4);
}

TEST(crashes) {
    raise(SIGKILL);
}

TEST(exits) {
    exit(7);
}

TEST(skips) {
    test_skip("not here");
}

TEST(hangs) {
    for (;;) {
        pause();
    }
}
