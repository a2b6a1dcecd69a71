// Products of numbers and signs by tables: the sums of eight numbers with all their signs, looked up by a byte of signs.
#include "internal.h"

// Compilers have no use for the order of sums; products_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)
void BR_HOT br_fill_table(uint32_t *table, const uint32_t *steps) {
    uint32_t a = steps[0], b = steps[1], c = steps[2], d = steps[3];
    for (uint32_t block = 1;; block++) {
        *table++ = a;
        *table++ = b;
        *table++ = c;
        *table++ = d;
        if (block == 64) {
            return;
        }
        uint32_t step = 4;
        for (uint32_t rest = block; !(rest & 1); rest >>= 1) {
            step++;
        }
        a += steps[step];
        b += steps[step];
        c += steps[step];
        d += steps[step];
    }
}

static inline uint32_t br_found(const uint32_t *tables, uint32_t row) {
    return tables[row & 255] + tables[256 + (row >> 8 & 255)] + tables[512 + (row >> 16 & 255)]
        + tables[768 + (row >> 24)];
}

void BR_HOT br_look_up(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums,
    const uint32_t *sums_end) {
    for (; sums != sums_end; rows += step) {
        *sums++ = br_found(tables, *rows);
    }
}

void BR_HOT br_add_lookups(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums,
    const uint32_t *sums_end) {
    for (; sums != sums_end; rows += step) {
        *sums++ += br_found(tables, *rows);
    }
}
#endif

void BR_HOT br_build_tables(const uint32_t *v, uint32_t *tables) {
    for (size_t i = 0; i < 4; i++, v += 8, tables += 256) {
        // The first four sums, and what changes to the next four where the lowest bits of their place turn over.
        uint32_t steps[10], low = 2 * v[2];
        steps[0] = 0u - (v[0] + v[1] + v[2] + v[3] + v[4] + v[5] + v[6] + v[7]);
        steps[1] = steps[0] + 2 * v[0];
        steps[2] = steps[0] + 2 * v[1];
        steps[3] = steps[1] + 2 * v[1];
        steps[4] = low;
        for (size_t bit = 3; bit < 8; bit++) {
            steps[2 + bit] = 2 * v[bit] - low;
            low += 2 * v[bit];
        }
        br_fill_table(tables, steps);
    }
}

// 32 numbers, those that the mask has; those of next, unless it is NULL, in the upper halves.
static void BR_HOT br_load_numbers(const int16_t *q, const int16_t *next, uint32_t mask, uint32_t *v) {
    for (size_t i = 0; i < 32; i++, mask >>= 1) {
        uint32_t number = (uint32_t)(int32_t)q[i] + (next ? (uint32_t)next[i] << 16 : 0);
        v[i] = mask & 1 ? number : 0;
    }
}

void BR_HOT br_find_products(const int16_t *q, const int16_t *next, const uint32_t *mask, size_t words,
    const uint32_t *rows, size_t count, uint32_t *tables, uint32_t *sums) {
    for (size_t w = 0; w < words; w++) {
        uint32_t v[32];
        br_load_numbers(q + 32 * w, next ? next + 32 * w : NULL, mask ? mask[w] : 0xffffffffu, v);
        br_build_tables(v, tables);
        if (w == 0) {
            br_look_up(tables, rows, words, sums, sums + count);
        } else {
            br_add_lookups(tables, rows + w, words, sums, sums + count);
        }
    }
}

void BR_HOT br_split_sums(uint32_t *sums, size_t n, int32_t *first) {
    for (size_t i = 0; i < n; i++) {
        int32_t low = (int16_t)sums[i];
        first[i] = low;
        sums[i] = (uint32_t)((int32_t)(sums[i] - (uint32_t)low) >> 16);
    }
}

void br_dot_tables(const int16_t *q, size_t words, const uint32_t *rows, size_t count, int32_t *scratch,
    int32_t *out) {
    uint32_t largest = 0, *tables = (uint32_t *)scratch, *sums = (uint32_t *)out;
    for (size_t i = 0; i < 64 * words; i++) {
        largest = br_largest(largest, q[i]);
    }
    const int16_t *next = q + 32 * words;
    if (32 * words * largest <= BR_LANE) {
        br_find_products(q, next, NULL, words, rows, count, tables, sums + count);
        br_split_sums(sums + count, count, out);
    } else {
        br_find_products(q, NULL, NULL, words, rows, count, tables, sums);
        br_find_products(next, NULL, NULL, words, rows, count, tables, sums + count);
    }
}
