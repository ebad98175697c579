/* dump.h - the tree of scopes and tasks of a loop whose thread does not run meanwhile, or is ours.
 */
#ifndef TRINE_CORE_DUMP_H
#define TRINE_CORE_DUMP_H

struct loop;

void loop_dump(struct loop *l, int fd);

#endif
