/* sanitizer.h - what AddressSanitizer, ThreadSanitizer and valgrind must be told when a program
 * leaves one stack for another; nothing in ordinary builds but valgrind's no-op sequences at stack
 * creation. Without these calls, the tools see one stack jump and report nonsense, or miss errors.
 */
#ifndef TRINE_BASE_SANITIZER_H
#define TRINE_BASE_SANITIZER_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SANITIZER_STACK_FACTOR 4
#else
#define SANITIZER_STACK_FACTOR 1
#endif

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#undef SANITIZER_STACK_FACTOR
#define SANITIZER_STACK_FACTOR 4
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

/* Before a switch: `fake` keeps the leaver's fake stack, NULL when it leaves for good. */
static inline void sanitizer_before_switch(void **fake, const void *low, size_t size,
                                           void *to_tsan) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fake, low, size);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(to_tsan, 0);
#endif
    (void)fake, (void)low, (void)size, (void)to_tsan;
}

/* After a switch, on the arriver's stack: the bounds of the stack left, for who wants them. */
static inline void sanitizer_after_switch(void *fake, const void **ret_low, size_t *ret_size) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, ret_low, ret_size);
#endif
    (void)fake, (void)ret_low, (void)ret_size;
}

/* A stack is used anew: no poison of its last life. */
static inline void sanitizer_clean_stack(void *low, size_t size) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(low, size);
#endif
    (void)low, (void)size;
}

static inline void *sanitizer_fiber_new(void) {
#ifdef __SANITIZE_THREAD__
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void *sanitizer_fiber_self(void) {
#ifdef __SANITIZE_THREAD__
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

static inline void sanitizer_fiber_free(void *fiber) {
#ifdef __SANITIZE_THREAD__
    if (fiber)
        __tsan_destroy_fiber(fiber);
#endif
    (void)fiber;
}

#endif
