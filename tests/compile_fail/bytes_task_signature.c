/* A bytes task takes bytes and a buffer.
 * expect: incompatible[- ](function[- ])?pointer */
#include <trine.h>

#ifdef BREACH
static int echo(trine_buf *in, trine_buf *out) {
    return trine_buf_append(out, in->ptr, in->len);
}
#else
static int echo(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len);
}
#endif
TRINE_BYTES_TASK(echo);
