/* modules.c - see modules.h. By build id and not by path, because a file can be replaced while the
 * program runs; not by symbol, because tasks are static and two may have one name.
 *
 * The cache is thrown away when a module was unloaded since: another one may now be at its place.
 */
#include "exec/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t round_up_4(uint64_t n) {
    return (n + 3) & ~UINT64_C(3);
}

/* Looks through one segment of notes; every length is checked against what is left of it. */
static bool find_note(const char *at, uint64_t left, struct build_id *ret_id) {
    while (left >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof(note));
        uint64_t name = round_up_4(note.n_namesz), contents = round_up_4(note.n_descsz);
        if (name > left - sizeof(note) || contents > left - sizeof(note) - name)
            return false;
        const char *text = at + sizeof(note);
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(text, "GNU", 4) == 0 &&
            note.n_descsz > 0 && note.n_descsz <= BUILD_ID_MAX) {
            memset(ret_id, 0, sizeof(*ret_id));
            ret_id->len = (uint8_t)note.n_descsz;
            memcpy(ret_id->bytes, text + name, note.n_descsz);
            return true;
        }
        at += sizeof(note) + name + contents;
        left -= sizeof(note) + name + contents;
    }
    return false;
}

static bool module_id(const struct dl_phdr_info *m, struct build_id *ret_id) {
    for (int i = 0; i < m->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &m->dlpi_phdr[i];
        if (p->p_type == PT_NOTE &&
            find_note((const char *)(m->dlpi_addr + p->p_vaddr), p->p_memsz, ret_id))
            return true;
    }
    return false;
}

/* Is offset .. offset + size inside one loaded segment that has these flags? */
static bool module_has(const struct dl_phdr_info *m, uint64_t offset, size_t size, unsigned flags) {
    for (int i = 0; i < m->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &m->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & flags) == flags && offset >= p->p_vaddr &&
            offset - p->p_vaddr <= p->p_memsz && size <= p->p_memsz - (offset - p->p_vaddr))
            return true;
    }
    return false;
}

struct search {
    uintptr_t address; /* looked for, or found */
    const struct place *wanted;
    size_t size;
    struct place place;
    int result;
};

static int locate_in(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    struct search *s = arg;
    if (!module_has(m, s->address - m->dlpi_addr, 1, PF_R))
        return 0;
    s->place.offset = s->address - m->dlpi_addr;
    s->result = module_id(m, &s->place.module) ? 0 : -ENOEXEC;
    return 1;
}

static int count_unloads(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    *(unsigned long long *)arg = m->dlpi_subs;
    return 1;
}

static void refresh(struct place_cache *cache) {
    unsigned long long unloads = 0;
    dl_iterate_phdr(count_unloads, &unloads);
    if (unloads != cache->unloads)
        memset(cache, 0, sizeof(*cache));
    cache->unloads = unloads;
    cache->fresh = true;
}

int modules_locate(struct place_cache *cache, const void *address, struct place *ret_place) {
    if (!cache->fresh)
        refresh(cache);
    size_t slot = ((uintptr_t)address >> 4) % (sizeof(cache->entries) / sizeof(cache->entries[0]));
    if (cache->entries[slot].address == address) {
        *ret_place = cache->entries[slot].place;
        return 0;
    }
    struct search s = {.address = (uintptr_t)address, .result = -EFAULT};
    dl_iterate_phdr(locate_in, &s);
    if (s.result < 0)
        return s.result;
    cache->entries[slot].address = address;
    cache->entries[slot].place = s.place;
    *ret_place = s.place;
    return 0;
}

static int find_in(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    struct search *s = arg;
    struct build_id id;
    if (!module_id(m, &id) || memcmp(&id, &s->wanted->module, sizeof(id)) != 0)
        return 0;
    if (module_has(m, s->wanted->offset, s->size, PF_R))
        s->address = m->dlpi_addr + s->wanted->offset;
    return 1;
}

const void *modules_find(const struct place *place, size_t size) {
    struct search s = {.wanted = place, .size = size};
    dl_iterate_phdr(find_in, &s);
    return (const void *)s.address; /* 0 is NULL */
}

/* As the kernel knows it: what the program gave to dlopen may have been relative to a directory
 * that it has left since. */
int modules_path(const void *address, char ret_path[WIRE_PATH_MAX]) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t room = 0;
    int r = maps ? -ENOENT : -errno;
    while (r == -ENOENT && getline(&line, &room, maps) > 0) {
        uintptr_t from, to;
        int at = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &at) < 2 ||
            (uintptr_t)address < from || (uintptr_t)address >= to)
            continue;
        size_t len = strcspn(line + at, "\n");
        if (line[at] != '/' || len >= WIRE_PATH_MAX)
            break;
        memcpy(ret_path, line + at, len);
        ret_path[len] = 0;
        r = 0;
    }
    free(line);
    if (maps)
        fclose(maps);
    return r;
}

static int is_module_in(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    struct build_id id;
    return module_id(m, &id) && memcmp(&id, arg, sizeof(id)) == 0;
}

void modules_load(const struct build_id *module, const char *path) {
    struct build_id wanted = *module;
    if (dl_iterate_phdr(is_module_in, &wanted) == 0 && !dlopen(path, RTLD_NOW | RTLD_LOCAL))
        (void)dlerror(); /* the task is refused, which says as much */
}

static int is_code_in(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    return module_has(m, *(uintptr_t *)arg - m->dlpi_addr, 1, PF_X);
}

bool modules_is_code(const void *address) {
    uintptr_t at = (uintptr_t)address;
    return dl_iterate_phdr(is_code_in, &at) == 1;
}

static int program_in(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    return module_id(m, arg) ? 1 : -1; /* the program is the first */
}

int modules_program(struct build_id *ret_id) {
    return dl_iterate_phdr(program_in, ret_id) == 1 ? 0 : -ENOEXEC;
}
