/* cli_serve.c - the parts of `trine serve` that need no server: paths, requests cut at any byte,
 * and both ways to stay beneath a directory. */
#include "test.h"

#include "serve/files.h"
#include "serve/request.h"

#include <fcntl.h>
#include <sys/stat.h>

/* --- requests --------------------------------------------------------------------------------- */

static const char whole[] = "\r\nGET /a%20b?c#d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST(a_head_is_complete_at_its_last_byte_only) {
    struct request r;
    for (size_t len = 0; len < sizeof(whole) - 1; len++)
        CHECK_EQ(request_parse(whole, len, &r), 0);
    CHECK_EQ(request_parse(whole, sizeof(whole) - 1, &r), sizeof(whole) - 1);
    CHECK_EQ(r.status, 0);
    CHECK(!r.keep_alive && !r.head_only);
    CHECK_STR(r.path, "a b");
    CHECK(r.query_len == 2 && memcmp(r.query, "?c", 2) == 0);
    CHECK(r.target_len == 10 && memcmp(r.target, "/a%20b?c#d", 10) == 0);
}

/* Any bytes at all, from heap memory of exactly their length so that sanitizers see each access. */
TEST(random_bytes_never_reach_outside) {
    static const char alphabet[] = "GET /HD%2e.:\r\n\n\n \tA0123\0\xff?#,P1";
    struct request r;
    unsigned state = 1;
    size_t complete = 0;
    for (int round = 0; round < 20000; round++) {
        size_t len = (state = state * 1103515245 + 12345) >> 16 & 127, used;
        char *bytes = malloc(len ? len : 1);
        size_t fixed = round % 2 && len > 20 ? 18 : 0;
        memcpy(bytes, "GET /%41 HTTP/1.1\n", fixed);
        for (size_t i = fixed; i < len; i++)
            bytes[i] = alphabet[((state = state * 1103515245 + 12345) >> 16) % sizeof(alphabet)];
        used = request_parse(bytes, len, &r);
        CHECK(used <= len);
        if (used) {
            complete++;
            CHECK(r.target_len <= used && r.query_len <= used && strlen(r.path) < sizeof(r.path));
        }
        free(bytes);
    }
    CHECK(complete > 100);
}

TEST(paths_are_decoded_and_encoded) {
    char out[16];
    CHECK(request_decode_path("///a%2Fb%c3", 11, out, sizeof(out)));
    CHECK_STR(out, "a/b\xc3");
    CHECK(request_decode_path("/", 1, out, sizeof(out)));
    CHECK_STR(out, "");
    CHECK(request_decode_path("/123456789012345", 16, out, sizeof(out)));
    CHECK(!request_decode_path("/1234567890123456", 17, out, sizeof(out)));
    CHECK(!request_decode_path("/%0", 3, out, sizeof(out)));
    CHECK(!request_decode_path("/%41", 3, out, sizeof(out))); /* what follows is not its own */
    CHECK(!request_decode_path("/%00", 4, out, sizeof(out)));
    CHECK(request_encode_path("a b\r\n", out, sizeof(out)));
    CHECK_STR(out, "/a%20b%0D%0A");
    CHECK(!request_encode_path("\r\n\r\n\r\n", out, sizeof(out)));
}

/* --- files ------------------------------------------------------------------------------------ */

static char dir[] = "/tmp/trine-serve-XXXXXX";

static void put(const char *name, const char *content) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    CHECK(f);
    fputs(content, f);
    fclose(f);
}

static void put_link(const char *name, const char *target) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_EQ(symlink(target, path), 0);
}

static void put_dir(const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_EQ(mkdir(path, 0700), 0);
}

static void remove_tree(void) {
    char *args[] = {(char *)"rm", (char *)"-rf", dir, NULL};
    pid_t child;
    CHECK_EQ(posix_spawn(&child, "/bin/rm", NULL, NULL, args, environ), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

static int make_root(void) {
    char root[64];
    CHECK(mkdtemp(dir));
    put_dir("root");
    put_dir("root/sub");
    put_dir("root-not");
    put("secret", "secret");
    put("root-not/secret", "secret");
    put("root/file", "file");
    put("root/sub/file", "other");
    put_link("root/leaves", "../secret");
    put_link("root/far", "/etc");
    put_link("root/stays", "sub/file");
    put_link("root/loop", "loop");
    snprintf(root, sizeof(root), "%s/root", dir);
    return files_open_root(root);
}

static void check_ways(int (*open_way)(int, const char *)) {
    static const struct {
        const char *path;
        int expected; /* 0: it can be read */
    } cases[] = {{"file", 0},
                 {"sub/../file", 0},
                 {"stays", 0},
                 {".", 0},
                 {"sub/.", 0},
                 {"../secret", -EXDEV},
                 {"sub/../../secret", -EXDEV},
                 {"../root-not/secret", -EXDEV},
                 {"leaves", -EXDEV},
                 {"far/passwd", -EXDEV},
                 {"/etc/passwd", -EXDEV},
                 {"..", -EXDEV},
                 {"loop", -ELOOP},
                 {"nope", -ENOENT},
                 {"file/", -ENOTDIR}};
    int root = make_root();
    CHECK_OK(root);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = open_way(root, cases[i].path);
        if ((cases[i].expected == 0) != (fd >= 0) || (fd < 0 && fd != cases[i].expected))
            test_fail(__FILE__, __LINE__, "%s: %d instead of %d", cases[i].path, fd,
                      cases[i].expected);
        CHECK(fd < 0 || (fcntl(fd, F_GETFD) & FD_CLOEXEC));
        if (fd >= 0)
            close(fd);
    }
    close(root);
    remove_tree();
}
TEST(openat2_stays_beneath) {
    if (files_open_beneath(AT_FDCWD, ".") == -ENOSYS)
        test_skip("this kernel has no openat2");
    check_ways(files_open_beneath);
}
TEST(the_fallback_stays_beneath) {
    check_ways(files_open_checked);
}

TEST(regular_files_only) {
    int root = make_root();
    struct file f = {.fd = -2};
    CHECK_EQ(files_open(root, "file", &f), 0);
    CHECK_EQ(f.size, 4);
    close(f.fd);
    f.fd = -2;
    CHECK_EQ(files_open(root, "sub", &f), -EISDIR);
    CHECK_EQ(files_open(root, "", &f), -EISDIR);
    CHECK_EQ(mkfifoat(root, "fifo", 0600), 0);
    CHECK_EQ(files_open(root, "fifo", &f), -EACCES); /* and does not wait for a writer */
    CHECK_EQ(f.fd, -2);
    close(root);
    remove_tree();
}

TEST(types) {
    CHECK_STR(files_type("a/b.HTML"), "text/html");
    CHECK_STR(files_type("a.html/b"), "application/octet-stream");
    CHECK_STR(files_type("x.tar.gz"), "application/gzip");
    CHECK_STR(files_type("noext"), "application/octet-stream");
}
