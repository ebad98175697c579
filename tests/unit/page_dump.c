/*
 * page_dump DIR [BASE]: parses every .html file under DIR as the page BASE/path (default
 * http://localhost/) and prints one JSON object a line, for tests/cli/reference.py.
 */
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crawl/page.h"

static char *read_file(const char *path, size_t *ret_len) {
    FILE *file = fopen(path, "re");
    char *bytes = NULL;
    size_t len = 0, got;
    if (!file) {
        return NULL;
    }
    do {
        bytes = realloc(bytes, len + 65536);
        got = fread(bytes + len, 1, 65536, file);
        len += got;
    } while (got);
    fclose(file);
    *ret_len = len;
    return bytes;
}

static void print_string(const char *text, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            putchar('\\');
        }
        putchar(text[i]);
    }
    putchar('"');
}

static void print_page(const char *path, const struct page *page) {
    const char *url;
    size_t cursor = 0, len;
    printf("{\"path\":");
    print_string(path, strlen(path));
    printf(",\"title\":");
    print_string(page->title, page->title_len);
    printf(",\"lang\":");
    print_string(page->lang, page->lang_len);
    printf(",\"words\":%llu,\"sha256\":\"%s\",\"links\":[", (unsigned long long)page->words,
           page->sha256);
    for (const char *comma = ""; page_next_link(page, &cursor, &url, &len); comma = ",") {
        printf("%s", comma);
        print_string(url, len);
    }
    printf("]}\n");
}

static int dump(struct page_parser *parser, const char *path, const char *name, const char *base) {
    char url[8192];
    struct page page;
    const void *bytes;
    struct page_input input = {.url = url};
    char *body = read_file(path, &input.len);
    size_t len;
    input.body = body;
    snprintf(url, sizeof(url), "%s%s", base, name);
    int status = body ? page_parse(parser, &input, &bytes, &len) : -1;
    status = status < 0 ? status : page_decode(bytes, len, &page);
    if (status < 0) {
        fprintf(stderr, "page_dump: %s: %s\n", path, strerror(-status));
    } else {
        print_page(name, &page);
    }
    free(body);
    return status;
}

int main(int argc, char **argv) {
    struct page_parser *parser;
    if (argc < 2 || page_parser_new(&parser) < 0) {
        fprintf(stderr, "usage: page_dump DIR [BASE]\n");
        return 2;
    }
    char *roots[] = {argv[1], NULL};
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    int status = tree ? 0 : 1;
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        const char *dot = strrchr(entry->fts_name, '.');
        if (entry->fts_info == FTS_F && dot && strcmp(dot, ".html") == 0) {
            const char *name = entry->fts_path + strlen(argv[1]);
            name += strspn(name, "/");
            if (dump(parser, entry->fts_path, name, argc > 2 ? argv[2] : "http://localhost/") < 0) {
                status = 1;
            }
        }
    }
    fts_close(tree);
    page_parser_free(parser);
    return status;
}
