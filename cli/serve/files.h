/*
 * The files that are served: found beneath one directory and never outside of it.
 */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

#include <stdint.h>

/* Opens the directory. A descriptor, or a negative errno. */
int files_open_root(const char *dir);

struct file {
    int fd;
    int64_t size;
};

/*
 * Opens a regular file by its path, relative to the root, for reading. ret_file->fd is the caller's
 * to close. Blocks as a disk does. Errors: -EISDIR; -EXDEV: the path leaves the root, by ".." or by
 * a symbolic link; -EACCES, also for what is neither file nor directory; -ENOENT and what else
 * open(2) gives.
 */
int files_open(int root, const char *path, struct file *ret_file);

/*
 * The two ways in which files_open goes, for tests: openat2, which resolves beneath the root in the
 * kernel, and, where the kernel or a sandbox refuses that (-ENOSYS, -EPERM), a look at where the
 * opened file really is. A descriptor, or a negative errno.
 */
int files_open_beneath(int root, const char *path);
int files_open_checked(int root, const char *path);

/* The media type by the name's extension; "application/octet-stream" when it says nothing. */
const char *files_type(const char *path);

#endif
