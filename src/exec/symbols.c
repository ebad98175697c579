/* symbols.c - see symbols.h. The file may be another one by now than was loaded, so every offset in
 * it is checked against its size; a wrong name is the worst that can come of it. */
#include "exec/symbols.h"

#include "base/fault.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the module's file --- */

struct wanted {
    const char *module;
    char path[4096];
};

static int match(struct dl_phdr_info *m, size_t size, void *arg) {
    (void)size;
    struct wanted *w = arg;
    const char *slash = strrchr(m->dlpi_name, '/'), *name = slash ? slash + 1 : m->dlpi_name;
    if (strcmp(name, w->module) != 0)
        return 0;
    const char *path = m->dlpi_name[0] ? m->dlpi_name : "/proc/self/exe";
    size_t length = strlen(path) + 1;
    if (length <= sizeof(w->path))
        memcpy(w->path, path, length);
    return 1;
}

struct file {
    const char *bytes;
    size_t size;
};

static bool file_map(const char *path, struct file *ret_file) {
    struct stat status;
    int fd = FAULT(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), -1, EMFILE, ENOENT);
    if (fd < 0)
        return false;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        (size_t)status.st_size > sizeof(ElfW(Ehdr)))
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    *ret_file = (struct file){bytes, (size_t)status.st_size};
    return bytes != MAP_FAILED;
}

/* `count` things of `size` bytes at `at`, or NULL. */
static const void *part(const struct file *f, uint64_t at, uint64_t count, size_t size) {
    if (at % 8 != 0 || at > f->size || count > (f->size - at) / size)
        return NULL;
    return f->bytes + at;
}

/* --- its symbols --- */

struct found {
    const char *name;
    uint64_t within;
};

static void look_in_table(const struct file *f, const ElfW(Shdr) * table, const ElfW(Shdr) * names,
                          uint64_t offset, struct found *found) {
    const ElfW(Sym) *symbols = part(f, table->sh_offset, table->sh_size, 1);
    if (!symbols || names->sh_offset > f->size || names->sh_size > f->size - names->sh_offset)
        return;
    const char *text = f->bytes + names->sh_offset;
    for (size_t i = 0; i < table->sh_size / sizeof(*symbols); i++) {
        const ElfW(Sym) *s = &symbols[i];
        if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || offset < s->st_value ||
            offset - s->st_value >= (s->st_size ? s->st_size : 1) || s->st_name >= names->sh_size ||
            !memchr(text + s->st_name, 0, names->sh_size - s->st_name))
            continue;
        *found = (struct found){text + s->st_name, offset - s->st_value};
        return;
    }
}

static struct found look_in(const struct file *f, uint64_t offset) {
    struct found found = {.name = NULL};
    const ElfW(Ehdr) *header = (const void *)f->bytes;
    const unsigned char mine[] = {0x7f, 'E', 'L', 'F',
                                  sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32};
    if (memcmp(header->e_ident, mine, sizeof(mine)) != 0)
        return found;
    const ElfW(Shdr) *sections = part(f, header->e_shoff, header->e_shnum, sizeof(*sections));
    for (unsigned i = 0; sections && i < header->e_shnum && !found.name; i++) {
        const ElfW(Shdr) *s = &sections[i];
        if ((s->sh_type == SHT_SYMTAB || s->sh_type == SHT_DYNSYM) && s->sh_link < header->e_shnum)
            look_in_table(f, s, &sections[s->sh_link], offset, &found);
    }
    return found;
}

bool symbol_find(const char *module, uint64_t offset, char *ret_name, size_t size,
                 uint64_t *ret_within) {
    struct wanted w = {.module = module};
    struct file file;
    dl_iterate_phdr(match, &w);
    if (!w.path[0] || !file_map(w.path, &file))
        return false;
    struct found found = look_in(&file, offset);
    if (found.name) {
        size_t length = strnlen(found.name, size - 1);
        memcpy(ret_name, found.name, length);
        ret_name[length] = 0;
        *ret_within = found.within;
    }
    munmap((void *)file.bytes, file.size);
    return found.name != NULL;
}
