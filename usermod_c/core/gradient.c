// What gradients of binary layers share: transposed bits, exponents, the plain product, and the update.
#include "products.h"

// Warren, Hacker's Delight, 7-3.
void BR_HOT br_transpose_block(uint32_t *a) {
    uint32_t mask = 0x0000ffffu;
    for (uint32_t j = 16; j; j >>= 1, mask ^= mask << j) {
        for (uint32_t k = 0; k < 32; k = (k + j + 1) & ~j) {
            uint32_t t = ((a[k] >> j) ^ a[k + j]) & mask;
            a[k] ^= t << j;
            a[k + j] ^= t;
        }
    }
}

void BR_HOT br_transpose_rows(const uint32_t *x, size_t step, size_t rows, size_t words, uint32_t *y) {
    uint32_t block[32];
    size_t row_words = rows >> 5;
    for (size_t r = 0; r < row_words; r++) {
        for (size_t w = 0; w < words; w++) {
            for (size_t i = 0; i < 32; i++) {
                block[i] = x[(r * 32 + i) * step + w];
            }
            br_transpose_block(block);
            for (size_t i = 0; i < 32; i++) {
                y[(w * 32 + i) * row_words + r] = block[i];
            }
        }
    }
}

void br_transpose(const uint32_t *x, size_t rows, size_t words, uint32_t *y) {
    br_transpose_rows(x, words, rows, words, y);
}

uint32_t BR_HOT br_gradient_exponent(uint32_t largest, uint32_t bits) {
    uint32_t limit = (1u << (bits - 1)) - 1, exponent = 0;
    while (largest > limit << exponent) {
        exponent++;
    }
    return exponent;
}

void br_dot_signs(const int16_t *q, size_t n, const uint32_t *x, size_t words, int32_t *out) {
    for (size_t i = 0; i < words * 32; i++) {
        out[i] = 0;
    }
    for (size_t j = 0; j < n; j++) {
        int32_t v = q[j];
        for (size_t w = 0; w < words; w++) {
            uint32_t bits = *x++;
            int32_t *sums = out + w * 32;
            for (uint32_t b = 0; b < 32; b++, bits >>= 1) {
                sums[b] += bits & 1 ? v : -v;
            }
        }
    }
}

// gradient_armv6m.S has these two for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)
uint32_t BR_HOT br_update_rounded(int8_t *weight, const int32_t *dw, int32_t mantissa, uint32_t shift, uint32_t *rng) {
    uint32_t negative = 0, state = *rng;
    for (const int32_t *end = dw + 32; dw != end; dw++, weight++) {
        state = br_xorshift(state);
        int32_t product = br_mul(*dw, mantissa), sum = (int32_t)((uint32_t)product + (state >> (32 - shift)));
        if (sum < product) {
            sum = INT32_MAX;
        }
        int32_t w = br_clamp(*weight - (sum >> shift), -127, 127);
        *weight = (int8_t)w;
        negative = negative >> 1 | ((uint32_t)w & 0x80000000u);
    }
    *rng = state;
    return ~negative;
}

uint32_t BR_HOT br_update_counted(int8_t *weight, const uint32_t *counts, size_t n, const br_steps_t *steps,
    uint32_t *packed, uint32_t *rng) {
    uint32_t squares = 0, state = *rng;
    for (const int8_t *end = weight + n; weight != end;) {
        uint32_t negative = 0;
        for (size_t i = 0; i < 32; i++, weight++) {
            int32_t dw = 2 * (int32_t)(*counts++ >> 8 * steps->lane & 255) - (int32_t)steps->total;
            squares += (uint32_t)(dw * dw);
            state = br_xorshift(state);
            int32_t w = br_clamp(*weight - ((dw * steps->factor + (int32_t)(state >> 8)) >> 24), -127, 127);
            *weight = (int8_t)w;
            negative = negative >> 1 | ((uint32_t)w & 0x80000000u);
        }
        *packed++ = ~negative;
    }
    *rng = state;
    return squares;
}
#endif

// As br_update_rounded, but of whole steps: shift 0..8.
static inline uint32_t br_update_whole(int8_t *weight, const int32_t *dw, int32_t mantissa, uint32_t shift,
    uint32_t *rng) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32; i++) {
        br_draw(rng);
        // -127 - 128 .. 127 + 127: beyond that the weight saturates anyway.
        int32_t delta = br_clamp(br_sat_shl(br_mul(dw[i], mantissa), shift), -255, 255);
        weight[i] = (int8_t)br_clamp(weight[i] - delta, -127, 127);
        bits |= (uint32_t)(weight[i] >= 0) << i;
    }
    return bits;
}

void BR_HOT br_update_weights(int8_t *weight, const int32_t *dw, size_t n, int32_t mantissa, int32_t exponent,
    uint32_t *packed, uint32_t *rng) {
    for (const int8_t *end = weight + n; weight != end; weight += 32, dw += 32) {
        if (exponent < 0) {
            *packed++ = br_update_rounded(weight, dw, mantissa, (uint32_t)-exponent, rng);
        } else {
            *packed++ = br_update_whole(weight, dw, mantissa, (uint32_t)exponent, rng);
        }
    }
}
