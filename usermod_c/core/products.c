// Products of numbers and signs by tables: the sums of eight numbers with all their signs, looked up by a byte of signs.
#include "products.h"

// Compilers have no use for the order of sums; products_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)
void BR_HOT br_fill_sums(uint32_t *table, const uint32_t *steps) {
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

void BR_HOT br_find_sums(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums,
    const uint32_t *sums_end) {
    for (; sums != sums_end; rows += step) {
        *sums++ = br_found(tables, *rows);
    }
}

void BR_HOT br_add_found_sums(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums,
    const uint32_t *sums_end) {
    for (; sums != sums_end; rows += step) {
        *sums++ += br_found(tables, *rows);
    }
}

uint32_t BR_HOT br_load_counts(const int16_t *const *q, uint32_t mask, uint32_t *start, uint32_t *d) {
    uint32_t total = 0;
    for (size_t i = 0; i < 32; start++) {
        uint32_t below = 0;
        for (size_t end = i + 8; i != end; i++, mask >>= 1) {
            uint32_t numbers = 0;
            for (uint32_t r = 0; (mask & 1) && r < 4; r++) {
                int32_t v = q[r][i] * (1 << 8 * r);
                numbers += (uint32_t)v;
                below -= v < 0 ? (uint32_t)v : 0;
            }
            *d++ = numbers;
            total += numbers;
        }
        *start = below;
        total += 2 * below;
    }
    return total;
}
#endif

void BR_HOT br_build_tables(const uint32_t *d, const uint32_t *start, uint32_t *tables) {
    for (size_t i = 0; i < 4; i++, d += 8, tables += 256) {
        // The first four sums, and what changes to the next four where the lowest bits of their place turn over.
        uint32_t steps[10], low = d[2];
        steps[0] = start[i];
        steps[1] = steps[0] + d[0];
        steps[2] = steps[0] + d[1];
        steps[3] = steps[1] + d[1];
        steps[4] = low;
        for (size_t bit = 3; bit < 8; bit++) {
            steps[2 + bit] = d[bit] - low;
            low += d[bit];
        }
        br_fill_sums(tables, steps);
    }
}

// 32 numbers, those that the mask has; those of next, unless it is NULL, in the upper halves. start [4], d [32]: the
// sums of eight with all signs -, and what a + changes.
static void BR_HOT br_load_numbers(const int16_t *q, const int16_t *next, uint32_t mask, uint32_t *start,
    uint32_t *d) {
    for (size_t byte = 0; byte < 4; byte++) {
        uint32_t sum = 0;
        for (const int16_t *end = q + 8; q != end; q++, mask >>= 1) {
            uint32_t number = (uint32_t)(int32_t)*q;
            if (next) {
                number += (uint32_t)*next++ << 16;
            }
            number = mask & 1 ? number : 0;
            sum += number;
            *d++ = 2 * number;
        }
        *start++ = 0u - sum;
    }
}

void BR_HOT br_find_products(const int16_t *q, const int16_t *next, const uint32_t *mask, size_t words,
    const uint32_t *rows, size_t count, uint32_t *tables, uint32_t *sums) {
    for (size_t w = 0; w < words; w++) {
        uint32_t start[4], d[32];
        br_load_numbers(q + 32 * w, next ? next + 32 * w : NULL, mask ? mask[w] : 0xffffffffu, start, d);
        br_build_tables(d, start, tables);
        if (w == 0) {
            br_find_sums(tables, rows, words, sums, sums + count);
        } else {
            br_add_found_sums(tables, rows + w, words, sums, sums + count);
        }
    }
}

uint32_t BR_HOT br_find_counts(const int16_t *q, size_t rows_of_q, const uint32_t *mask, size_t words,
    const uint32_t *rows, size_t count, uint32_t *tables, uint32_t *sums) {
    uint32_t total = 0;
    for (size_t w = 0; w < words; w++) {
        uint32_t start[4], d[32];
        const int16_t *numbers[4];
        for (uint32_t r = 0; r < 4; r++) { // where there are fewer rows, nobody looks
            numbers[r] = q + 32 * (words * (r < rows_of_q ? r : 0) + w);
        }
        total += br_load_counts(numbers, mask[w], start, d);
        br_build_tables(d, start, tables);
        if (w == 0) {
            br_find_sums(tables, rows, words, sums, sums + count);
        } else {
            br_add_found_sums(tables, rows + w, words, sums, sums + count);
        }
    }
    return total;
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
