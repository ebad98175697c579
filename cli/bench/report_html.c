/* report_html.c - the report as one page that needs nothing else: style, charting library, figures
 * and the script that draws them are all in it. */
#include "bench/report.h"

extern const unsigned char bench_chart_js[], bench_page_css[], bench_page_html[], bench_page_js[];

static void put(FILE *to, const unsigned char *text) {
    fputs((const char *)text, to);
}

void report_html(FILE *to, const struct report *r) {
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<title>trine bench</title>\n<style>\n",
          to);
    put(to, bench_page_css);
    fputs("</style>\n</head>\n<body>\n", to);
    put(to, bench_page_html);
    fputs("<script>\n", to);
    put(to, bench_chart_js);
    fputs("\n</script>\n<script>\nconst report = ", to);
    report_json(to, r);
    fputs(";\n</script>\n<script>\n", to);
    put(to, bench_page_js);
    fputs("</script>\n</body>\n</html>\n", to);
}
