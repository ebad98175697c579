/* factorial.h - the work of the two programs that compute: factorials by GMP. */
#ifndef EXAMPLES_FACTORIAL_H
#define EXAMPLES_FACTORIAL_H

#include <gmp.h>
#include <trine.h>

struct factorial {
    unsigned long of;
    size_t digits; /* the result */
};

static int compute_factorial(struct factorial *f) {
    mpz_t product;
    mpz_init(product);
    mpz_fac_ui(product, f->of);
    f->digits = mpz_sizeinbase(product, 10);
    mpz_clear(product);
    return 0;
}
TRINE_TASK_IO(compute_factorial, struct factorial, digits);

#endif
