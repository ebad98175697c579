/* Why a wait ended must be looked at.
 * expect: unused-result */
#include <trine.h>

int naps(void);
int naps(void) {
#ifdef BREACH
    trine_sleep(TRINE_MS(1));
    return 0;
#else
    return trine_sleep(TRINE_MS(1));
#endif
}
