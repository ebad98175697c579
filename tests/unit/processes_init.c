/* processes_init.c - a program that forgot trine_init is told so; the zygote's mark is no way in.
 */
#include "test.h"

#include <trine.h>

TEST(plant_open) {
    if (!getenv("TRINE_TEST_PLANT"))
        return;
    trine_executor *pool = NULL;
    CHECK_OK(trine_processes_open(&pool, NULL));
}

/* Calls trine_init as the zygote would. */
TEST(plant_mark) {
    char *argv[] = {(char *)"test", (char *)"--trine-zygote", (char *)"1", NULL};
    if (getenv("TRINE_TEST_PLANT"))
        trine_init(3, argv);
}

/* Runs a planted case; its messages in ret_text, what waitpid says. */
static int run_planted(const char *name, char *ret_text, size_t size) {
    char command[8192], program[4096] = "";
    CHECK(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
    snprintf(command, sizeof(command), "TRINE_TEST_PLANT=1 exec '%s' --case %s 2>&1", program,
             name);
    FILE *pipe = popen(command, "re");
    CHECK(pipe);
    ret_text[fread(ret_text, 1, size - 1, pipe)] = '\0';
    return pclose(pipe);
}

TEST(open_without_init_aborts_and_says_what_to_do) {
    char text[4096];
    int status = run_planted("plant_open", text, sizeof(text));
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    CHECK(strstr(text, "make trine_init(argc, argv) the first line of main"));
}

TEST(the_mark_by_hand_is_refused) {
    char text[4096];
    int status = run_planted("plant_mark", text, sizeof(text));
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 2);
    CHECK(strstr(text, "only for processes that the library starts itself"));
}
