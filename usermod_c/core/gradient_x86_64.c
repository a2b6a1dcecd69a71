// The product of bit planes and signs by AVX-512: all planes of a row at once, where their words fit in registers.
#include "internal.h"

#if BR_ASK_PROCESSOR

#include <immintrin.h>

#define BR_VECTORS __attribute__((target("avx512f,avx512dq,avx512vpopcntdq")))
#define BR_QUARTER (4) // words of a row that are compared with four planes in one vector
#define BR_QUARTERS (2) // of a row, at most
#define BR_MOST_BITS (16)

// Words 4 * quarter and so on of four planes from t on; 0 of those that there are not.
static BR_VECTORS __m512i br_four_planes(const uint32_t *planes, uint32_t bits, size_t words, uint32_t t,
    size_t quarter) {
    uint32_t four[4 * BR_QUARTER] = { 0 };
    for (uint32_t i = 0; i < 4 && t + i < bits; i++) {
        for (size_t w = 0; w < BR_QUARTER; w++) {
            four[i * BR_QUARTER + w] = planes[(t + i) * words + quarter * BR_QUARTER + w];
        }
    }
    return _mm512_loadu_si512(four);
}

// What a bit of four planes from t on counts, in both 64-bit halves of its words: twice 2^t, the last plane's negative.
static BR_VECTORS __m512i br_four_factors(uint32_t bits, uint32_t t) {
    int32_t factor[4 * BR_QUARTER] = { 0 };
    for (uint32_t i = 0; i < 4 && t + i < bits; i++) {
        int32_t twice = 2 << (t + i);
        factor[i * BR_QUARTER] = factor[i * BR_QUARTER + 2] = t + i == bits - 1 ? -twice : twice;
    }
    return _mm512_loadu_si512(factor);
}

static BR_VECTORS BR_INLINE void br_add_rows(const uint32_t *planes, uint32_t bits, size_t quarters, uint32_t fours,
    const uint32_t *rows, size_t count, int32_t base, int32_t *out) {
    __m512i plane[BR_QUARTERS * BR_MOST_BITS / 4], factor[BR_MOST_BITS / 4];
    size_t words = quarters * BR_QUARTER;
    for (uint32_t f = 0; f < fours; f++) {
        factor[f] = br_four_factors(bits, 4 * f);
        for (size_t q = 0; q < quarters; q++) {
            plane[q * fours + f] = br_four_planes(planes, bits, words, 4 * f, q);
        }
    }
    for (const int32_t *end = out + count; out != end; rows += words) {
        __m512i sum = _mm512_setzero_si512();
        #pragma GCC unroll 4
        for (uint32_t f = 0; f < fours; f++) {
            __m512i ones = _mm512_setzero_si512();
            #pragma GCC unroll 2
            for (size_t q = 0; q < quarters; q++) {
                __m512i row = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(rows + q * BR_QUARTER)));
                __m512i both = _mm512_and_si512(row, plane[q * fours + f]);
                ones = _mm512_add_epi64(ones, _mm512_popcnt_epi64(both));
            }
            sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(ones, factor[f]));
        }
        *out++ += _mm512_reduce_add_epi32(sum) - base;
    }
}

static BR_VECTORS void br_add_rows_of(const uint32_t *planes, uint32_t bits, size_t quarters, const uint32_t *rows,
    size_t count, int32_t base, int32_t *out) {
    uint32_t fours = (bits + 3) >> 2;
    if (quarters == 1 && fours == 1) {
        br_add_rows(planes, bits, 1, 1, rows, count, base, out);
    } else if (quarters == 1 && fours == 2) {
        br_add_rows(planes, bits, 1, 2, rows, count, base, out);
    } else if (quarters == 2 && fours == 1) {
        br_add_rows(planes, bits, 2, 1, rows, count, base, out);
    } else if (quarters == 2 && fours == 2) {
        br_add_rows(planes, bits, 2, 2, rows, count, base, out);
    } else {
        br_add_rows(planes, bits, quarters, fours, rows, count, base, out);
    }
}

int br_dot_by_processor(const uint32_t *planes, uint32_t bits, size_t words, const uint32_t *rows, size_t count,
    int32_t base, int32_t *out) {
    size_t quarters = words / BR_QUARTER;
    if (words % BR_QUARTER || quarters > BR_QUARTERS || !__builtin_cpu_supports("avx512vpopcntdq")
        || !__builtin_cpu_supports("avx512dq")) {
        return 0;
    }
    br_add_rows_of(planes, bits, quarters, rows, count, base, out);
    return 1;
}

#endif
