// Products of gradients and bits, and steps of weights, that kernels share.
#ifndef BITREPLAY_PRODUCTS_H
#define BITREPLAY_PRODUCTS_H

#include "internal.h"

#define BR_GRADIENT_LIMIT ((1 << 30) - 1)

// The exponent of gradients with that largest magnitude, up to BR_GRADIENT_LIMIT, that become numbers of so many bits.
uint32_t br_gradient_exponent(uint32_t largest, uint32_t bits);

// The next 32 latent weights, with steps that are rounded: shift 1..31. Returns their signs.
uint32_t br_update_rounded(int8_t *weight, const int32_t *dw, int32_t mantissa, uint32_t shift, uint32_t *rng);

// Steps of weights by what br_find_counts finds. Offsets of gradient_armv6m.S follow this order.
typedef struct _br_steps_t {
    uint32_t total; // of the row
    int32_t factor; // mantissa * 2^(24 - shift)
    uint32_t lane; // which byte
} br_steps_t;

// As br_update_weights, of so many weights, aligned to 4, whose steps are -31..31: shift 1..24, and no product is
// 31 * 2^shift or more. Returns the sum of the squares of what the steps come from.
uint32_t br_update_counted(int8_t *weight, const uint32_t *counts, size_t n, const br_steps_t *steps, uint32_t *packed,
    uint32_t *rng);

#define BR_LANE (32767) // the largest sum that leaves room for another one in its word

// table[256], all sums of eight numbers: steps [10], the first four, and what is added from four to four.
void br_fill_sums(uint32_t *table, const uint32_t *steps);
// What the rows, `step` words apart, find in tables [4][256], a byte in each, is the sums, or is added to them.
void br_find_sums(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums, const uint32_t *sums_end);
void br_add_found_sums(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums,
    const uint32_t *sums_end);
// 32 numbers of each of four rows, those that the mask has, in bytes: start [4], d [32], as br_build_tables takes them,
// so that a sum counts what adds to it, of either sign. Returns the sums of magnitudes.
uint32_t br_load_counts(const int16_t *const *q, uint32_t mask, uint32_t *start, uint32_t *d);
// tables [4][256] of the sums that begin with start [4], to which each bit that is 1 adds its d [32].
void br_build_tables(const uint32_t *d, const uint32_t *start, uint32_t *tables);
// sums [count] of the products of q [32 * words], where mask [words] is 1, and the signs of rows [count][words]; and in
// the upper halves those of next. mask, next may be NULL: all, none.
void br_find_products(const int16_t *q, const int16_t *next, const uint32_t *mask, size_t words, const uint32_t *rows,
    size_t count, uint32_t *tables, uint32_t *sums);
// As br_find_products, of up to four rows of numbers q, whose magnitudes add up to 255 at most: each has a byte of sums.
// Returns these totals, in bytes: a product is twice the sum, less the total.
uint32_t br_find_counts(const int16_t *q, size_t rows_of_q, const uint32_t *mask, size_t words, const uint32_t *rows,
    size_t count, uint32_t *tables, uint32_t *sums);
// Takes apart what is in the halves of sums [n]: first [n] the lower ones; what stays is the upper ones.
void br_split_sums(uint32_t *sums, size_t n, int32_t *first);

#endif // BITREPLAY_PRODUCTS_H
