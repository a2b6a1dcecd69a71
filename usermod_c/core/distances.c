// One run of words against many filters: what binary layers spend their time on.
#include "internal.h"

// distances_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

// Lengths that the shipped model has are constants, so that compilers unroll or vectorize them.
static inline uint32_t br_count_run(const uint32_t *a, const uint32_t *b, size_t words, int both) {
    switch (words) {
        case 4:
            return br_count_bits(a, b, 4, both);
        case 18:
            return br_count_bits(a, b, 18, both);
        case 36:
            return br_count_bits(a, b, 36, both);
        case 72:
            return br_count_bits(a, b, 72, both);
        default:
            return br_count_bits(a, b, words, both);
    }
}

static inline void br_count_runs(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out, int both) {
    for (size_t i = 0; i < count; i++, filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        uint32_t sum = 0;
        for (size_t left = runs->runs; left; left--) {
            sum += br_count_run(x, filter, runs->words, both);
            x += runs->words + runs->x_skip;
            filter += runs->words + (left > 1 ? runs->filter_skip : 0);
        }
        out[i] = sum;
    }
}

void BR_HOT br_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, 0);
}

void BR_HOT br_overlaps(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, 1);
}
#endif
