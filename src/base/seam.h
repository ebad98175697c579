/* seam.h - how a library of ours that stands beside libtrine.so (libtrine-http.so) reaches into it.
 * A function that it calls is declared `int f(void) SEAM(f);`: it is then exported, with a prefix
 * that no program's own function has, and with a symbol version that promises nothing to others. */
#ifndef TRINE_BASE_SEAM_H
#define TRINE_BASE_SEAM_H

#define SEAM(name) __asm__("trineseam_" #name) __attribute__((visibility("default")))

#endif
