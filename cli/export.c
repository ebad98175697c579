/* export.c - `trine export`: the pages of a store on standard output. */
#include "crawl/export.h"

#include "commands.h"
#include "options.h"

#include <getopt.h>
#include <stdio.h>

int cmd_export(int argc, char **argv) {
    static const struct option options[] = {{"csv", no_argument, NULL, 'c'},
                                            {"jsonl", no_argument, NULL, 'j'},
                                            {0}};
    int format = -1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return usage_hint(argv[0]);
        int asked = o == 'c' ? EXPORT_CSV : EXPORT_JSONL;
        if (format >= 0 && format != asked)
            return usage_error(argv[0], "--csv and --jsonl exclude each other");
        format = asked;
    }
    if (format < 0)
        return usage_error(argv[0], "one of --csv and --jsonl is needed");
    if (argc - optind != 1)
        return usage_error(argv[0], "one FILE.db is expected, not %d", argc - optind);
    char error[512];
    long pages =
        export_pages(argv[optind], (enum export_format)format, stdout, error, sizeof(error));
    if (pages < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], error);
        return 1;
    }
    return 0;
}
