// Distances of one run of words to many filters: what binary convolution spends its time on.
#include "internal.h"

#if !BR_DISTANCES_ASSEMBLER
// Lengths of the shipped model's windows are constants, so that compilers unroll or vectorize them.
static inline uint32_t br_distance(const uint32_t *a, const uint32_t *b, size_t words) {
    switch (words) {
        case 4:
            return br_count_bits(a, b, 4, 0);
        case 18:
            return br_count_bits(a, b, 18, 0);
        case 36:
            return br_count_bits(a, b, 36, 0);
        case 72:
            return br_count_bits(a, b, 72, 0);
        default:
            return br_count_bits(a, b, words, 0);
    }
}

void BR_HOT br_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *distance) {
    for (size_t i = 0; i < count; i++, filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        distance[i] = 0;
        for (size_t run = 0; run < runs->runs; run++) {
            distance[i] += br_distance(x, filter, runs->words);
            x += runs->words + runs->x_skip;
            filter += runs->words + (run + 1 < runs->runs ? runs->filter_skip : 0);
        }
    }
}
#endif
