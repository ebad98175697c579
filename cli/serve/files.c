/*
 * files.c - see files.h.
 *
 * Rejected: taking ".." out of the path ourselves. Symbolic links must be followed as well, and
 * what is checked on a path may be another file by the time it is opened; so the kernel resolves,
 * or the file that was opened is asked where it is.
 */
#include "serve/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, BENEATH_TRIES = 8 };

int files_open_root(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int files_open_beneath(int root, const char *path) {
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    /* EAGAIN: a directory was renamed meanwhile, and the kernel could not tell. */
    for (int i = 0; i < BENEATH_TRIES; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd < 0 ? -errno : (int)fd;
}

/* Where an open file is; false when that cannot be told. */
static bool place_of(int fd, char out[PATH_MAX]) {
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, PATH_MAX - 1);
    if (len < 0)
        return false;
    out[len] = '\0';
    return true;
}

static bool is_beneath(const char *place, const char *root) {
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(place, root, len) == 0 && (place[len] == '/' || place[len] == '\0');
}

int files_open_checked(int root, const char *path) {
    char root_place[PATH_MAX], place[PATH_MAX], link[32];
    if (path[0] == '/')
        return -EXDEV;
    int found = openat(root, path, O_PATH | O_CLOEXEC); /* opens nothing of what it found yet */
    if (found < 0)
        return -errno;
    int fd = -EXDEV;
    if (place_of(root, root_place) && place_of(found, place) && is_beneath(place, root_place)) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
        fd = open(link, OPEN_FLAGS);
        fd = fd < 0 ? -errno : fd;
    }
    close(found);
    return fd;
}

static int open_any(int root, const char *path) {
    static bool refused; /* the kernel or a sandbox does so for good */
    int fd = refused ? -ENOSYS : files_open_beneath(root, path);
    if (fd != -ENOSYS && fd != -EPERM)
        return fd;
    refused = refused || fd == -ENOSYS;
    return files_open_checked(root, path);
}

int files_open(int root, const char *path, struct file *ret_file) {
    int fd = open_any(root, path[0] ? path : ".");
    if (fd < 0)
        return fd;
    struct stat st;
    int status = fstat(fd, &st) < 0    ? -errno
                 : S_ISDIR(st.st_mode) ? -EISDIR
                 : S_ISREG(st.st_mode) ? 0
                                       : -EACCES;
    if (status < 0) {
        close(fd);
        return status;
    }
    *ret_file = (struct file){.fd = fd, .size = st.st_size};
    return 0;
}

/* Without charset: the bytes say it, or nobody knows. */
static const struct {
    const char *extension, *type;
} types[] = {
    {"html", "text/html"},
    {"htm", "text/html"},
    {"css", "text/css"},
    {"js", "text/javascript"},
    {"mjs", "text/javascript"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/vnd.microsoft.icon"},
    {"txt", "text/plain"},
    {"text", "text/plain"},
    {"md", "text/markdown"},
    {"csv", "text/csv"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"json", "application/json"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"wasm", "application/wasm"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"mp3", "audio/mpeg"},
    {"ogg", "audio/ogg"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
};

const char *files_type(const char *path) {
    const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
    if (dot)
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
            if (strcasecmp(dot + 1, types[i].extension) == 0)
                return types[i].type;
    return "application/octet-stream";
}
