/* crash.c - see crash.h. The handler does nothing that is not safe in one: the unwinder of gcc 12
 * with glibc 2.35 and later finds frames without a lock, and so does _dl_find_object find modules.
 * It is installed for one shot: when it returns, the fault comes again, and the process dies of it
 * as if nobody had looked, so the report of its end is true, and a core file shows the fault.
 *
 * Addresses differ from process to process: frames are kept as module and offset. The program names
 * the functions by the symbol table of the module's file, of its own modules only: a worker cannot
 * make it open a file.
 *
 * Rejected: libdw or addr2line (a library of its own for the core, or processes started by the
 * supervisor; what a function's offset leaves open, addr2line tells who asks). */
#include "exec/crash.h"

#include "base/fault.h"
#include "exec/symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { SIGNAL_STACK = 64 << 10, SKIPPED = 2 /* the handler, the kernel's way back */ };

/* --- in the worker --- */

static struct crash *left;

static void copy_name(char to[CRASH_MODULE], const char *path) {
    const char *name = path;
    for (const char *at = path; *at; at++)
        name = *at == '/' ? at + 1 : name;
    size_t i = 0;
    for (; name[i] && i < CRASH_MODULE - 1; i++)
        to[i] = name[i];
    to[i] = 0;
}

static bool find_module(void *pc, const struct link_map **ret_map) {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    struct dl_find_object found;
    if (_dl_find_object(pc, &found) != 0)
        return false;
    *ret_map = found.dlfo_link_map;
    return true;
#else
    Dl_info info;
    return dladdr1(pc, &info, (void **)ret_map, RTLD_DL_LINKMAP) != 0;
#endif
}

static void note_frame(void *pc) {
    const struct link_map *map;
    if (left->count == CRASH_FRAMES || !find_module(pc, &map))
        return;
    struct crash_frame *f = &left->frames[left->count++];
    f->offset = (uint64_t)(uintptr_t)pc - map->l_addr;
    copy_name(f->module, map->l_name);
}

/* Where it was. */
static void *place_of(const ucontext_t *context) {
#if defined(__x86_64__)
    return (void *)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)context->uc_mcontext.pc;
#else
    (void)context;
    return NULL;
#endif
}

static void handler(int signal, siginfo_t *info, void *context) {
    void *calls[CRASH_FRAMES + SKIPPED];
    int n = backtrace(calls, CRASH_FRAMES + SKIPPED);
    for (int i = SKIPPED; i < n; i++) /* where a call returns to may be another function already */
        note_frame((char *)calls[i] - (i > SKIPPED));
    if (n <= SKIPPED) /* a system without libgcc_s.so.1 has no unwinder */
        note_frame(place_of(context));
    left->signal = signal;
    left->address = info->si_code > 0 && (signal == SIGSEGV || signal == SIGBUS)
                        ? (uint64_t)(uintptr_t)info->si_addr
                        : 0;
    atomic_store(&left->written, 1);
    if (info->si_code <= 0) /* it does not come again by itself */
        raise(signal);
}

void crash_watch(struct crash *c) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    void *memory = FAULT(mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
                         MAP_FAILED, ENOMEM);
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK};
    if (memory == MAP_FAILED || sigaltstack(&stack, NULL) < 0)
        return;
    void *once[1];
    backtrace(once, 1); /* loads the unwinder, which a handler must not */
    left = c;
    struct sigaction ours = {.sa_sigaction = handler,
                             .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND)};
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        sigaction(crashes[i], &ours, NULL);
}

/* --- in the program --- */

enum { LINE_MOST = 256 };

/* One frame, copied out of what the worker can write. */
static void describe_frame(int number, const struct crash_frame *f, char line[LINE_MOST]) {
    char name[128];
    uint64_t within;
    const char *module = f->module[0] ? f->module : "program";
    if (symbol_find(f->module, f->offset, name, sizeof(name), &within))
        snprintf(line, LINE_MOST, "#%d %s+0x%llx (%s+0x%llx)\n", number, name,
                 (unsigned long long)within, module, (unsigned long long)f->offset);
    else
        snprintf(line, LINE_MOST, "#%d (%s+0x%llx)\n", number, module,
                 (unsigned long long)f->offset);
}

char *crash_describe(const struct crash *c, int signal, uint64_t *ret_address) {
    struct crash copy = {.count = 0};
    if (atomic_load(&c->written) != 1)
        return NULL;
    memcpy(&copy, c, sizeof(copy));
    if (copy.signal != signal || copy.count == 0 || copy.count > CRASH_FRAMES)
        return NULL;
    char *text = FAULT(malloc((size_t)copy.count * LINE_MOST + 1), NULL, ENOMEM);
    if (!text)
        return NULL;
    text[0] = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < copy.count; i++) {
        copy.frames[i].module[CRASH_MODULE - 1] = 0;
        for (char *at = copy.frames[i].module; *at; at++)
            *at = *at > ' ' && *at < 127 ? *at : '?';
        describe_frame((int)i, &copy.frames[i], text + used);
        used += strlen(text + used);
    }
    *ret_address = copy.address;
    return text;
}
