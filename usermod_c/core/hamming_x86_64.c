// Hamming distances by the instructions of a PC that count bits. Which it has is asked where the program runs.
#include "internal.h"

#if BR_ASK_PROCESSOR

#include <immintrin.h>

#define BR_POPCNT __attribute__((target("popcnt")))
#define BR_VECTORS __attribute__((target("avx512f,avx512vpopcntdq")))
#define BR_VECTOR_WORDS (16)

// Two words, wherever they lie.
typedef uint64_t __attribute__((may_alias, aligned(4))) br_two_words_t;

static BR_POPCNT BR_INLINE uint32_t br_count_words(const uint32_t *a, const uint32_t *b, size_t words) {
    uint32_t count = 0;
    if (words & 1) {
        count = (uint32_t)__builtin_popcount(*a++ ^ *b++);
    }
    for (size_t twos = words >> 1; twos; twos--, a += 2, b += 2) {
        uint64_t one = *(const br_two_words_t *)a, other = *(const br_two_words_t *)b;
        count += (uint32_t)__builtin_popcountll(one ^ other);
    }
    return count;
}

// A function for each kind of processor, as none is compiled for more than one.
static BR_POPCNT void br_count_by_words(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    size_t words = runs->words;
    for (const uint32_t *end = out + count; out != end; filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        uint32_t sum = br_count_words(x, filter, words);
        filter += words;
        for (size_t left = runs->runs; --left; filter += words) {
            x += words + runs->x_skip;
            filter += runs->filter_skip;
            sum += br_count_words(x, filter, words);
        }
        *out++ = sum;
    }
}

static BR_VECTORS BR_INLINE __m512i br_count_vector(__m512i a, __m512i b) {
    return _mm512_popcnt_epi32(_mm512_xor_si512(a, b));
}

// Of one run, as most windows are.
static BR_VECTORS void br_count_by_vectors(const br_runs_t *runs, const uint32_t *filter, size_t count,
    uint32_t *out) {
    const uint32_t *x = runs->x;
    size_t words = runs->words, rest = words & (BR_VECTOR_WORDS - 1), whole = words - rest;
    __mmask16 mask = (__mmask16)((1u << rest) - 1);
    __m512i last = _mm512_maskz_loadu_epi32(mask, x + whole);
    for (const uint32_t *end = out + count; out != end; filter += words + runs->filter_next) {
        __m512i sums = br_count_vector(last, _mm512_maskz_loadu_epi32(mask, filter + whole));
        for (size_t i = 0; i < whole; i += BR_VECTOR_WORDS) {
            __m512i bits = br_count_vector(_mm512_loadu_si512(x + i), _mm512_loadu_si512(filter + i));
            sums = _mm512_add_epi32(sums, bits);
        }
        *out++ = (uint32_t)_mm512_reduce_add_epi32(sums);
    }
}

int br_count_by_processor(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    if (runs->runs == 1 && __builtin_cpu_supports("avx512vpopcntdq")) {
        br_count_by_vectors(runs, filter, count, out);
    } else if (__builtin_cpu_supports("popcnt")) {
        br_count_by_words(runs, filter, count, out);
    } else {
        return 0;
    }
    return 1;
}

#endif
