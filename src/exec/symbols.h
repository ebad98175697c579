/* symbols.h - names of functions, also of static ones, from the files of the program's modules. */
#ifndef TRINE_EXEC_SYMBOLS_H
#define TRINE_EXEC_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The function that has `offset` in it, of the loaded module whose file is called `module` (empty:
 * the program itself), and how far in. False: there is no such module, or its file has no symbols,
 * or none there. */
bool symbol_find(const char *module, uint64_t offset, char *ret_name, size_t size,
                 uint64_t *ret_within);

#endif
