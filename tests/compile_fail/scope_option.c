/* An option that no scope has.
 * expect: deadline */
#include <trine.h>

int opens(void);
int opens(void) {
#ifdef BREACH
    TRINE_SCOPE(s, .deadline = TRINE_SEC(1));
#else
    TRINE_SCOPE(s, .timeout = TRINE_SEC(1));
#endif
    return trine_join(s);
}
