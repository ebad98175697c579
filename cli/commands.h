/*
 * The commands of `trine`. Each gets its own arguments, argv[0] being "trine NAME" for messages,
 * and gives the exit status: 0; 1: the run failed; 2: bad usage.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

int cmd_bench(int argc, char **argv);
int cmd_choose(int argc, char **argv);
int cmd_crawl(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_serve(int argc, char **argv);

enum { EXIT_USAGE = 2 };

#endif
