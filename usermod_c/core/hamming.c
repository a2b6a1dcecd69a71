// Hamming distances of one run of words and many filters: what binary layers spend their time on.
#include <string.h>

#include "internal.h"

// hamming_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

// Where one instruction counts the bits of a word, of what the compiler is told to compile for.
#if defined(__riscv_zbb) || defined(__wasm__)
#define BR_POPCOUNT (1)
#else
#define BR_POPCOUNT (0)
#endif

// Carry-save adders take a third less instructions than a loop over words (`bitreplay bench --board instructions`),
// but where compilers have vectors they make that loop the faster one.
#ifndef BR_CARRY_SAVE
#if BR_POPCOUNT || defined(__SSE2__) || defined(__ARM_NEON)
#define BR_CARRY_SAVE (0)
#else
#define BR_CARRY_SAVE (1)
#endif
#endif

#if BR_CARRY_SAVE || !BR_POPCOUNT
// How many bits of each four are 1, and of each byte.
static inline uint32_t br_count_nibbles(uint32_t v) {
    v = v - ((v >> 1) & 0x55555555u);
    return (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
}

static inline uint32_t br_count_bytes(uint32_t v) {
    v = br_count_nibbles(v);
    return (v + (v >> 4)) & 0x0f0f0f0fu;
}

static inline uint32_t br_sum_bytes(uint32_t v) {
    #if BR_DSP
    return __usad8(v, 0);
    #else
    v = (v & 0x00ff00ffu) + ((v >> 8) & 0x00ff00ffu);
    return (v & 0xffffu) + (v >> 16);
    #endif
}
#endif

#define BR_CHUNK (124) // words that are counted at most before the total is taken

#if BR_CARRY_SAVE
// How many of the words have a 1 is kept for each position in two bits, ones and twos. What these carry are fours,
// which are counted by bytes: one for every four words, up to 31 * 8 = 248.
typedef struct _br_count_t {
    uint32_t ones, twos, fours;
} br_count_t;

// Adds a and b to the sum, bit by bit. Returns what is carried.
static inline uint32_t br_carry(uint32_t *sum, uint32_t a, uint32_t b) {
    uint32_t differ = *sum ^ a, carry = (*sum & a) | (differ & b);
    *sum = differ ^ b;
    return carry;
}

static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words) {
    uint32_t ones = count->ones, twos = count->twos, fours = count->fours;
    const uint32_t *end = a + words;
    if (words & 1) {
        uint32_t first = br_carry(&ones, *a++ ^ *b++, 0);
        fours += br_count_bytes(br_carry(&twos, first, 0));
    }
    if (words & 2) {
        uint32_t first = br_carry(&ones, a[0] ^ b[0], a[1] ^ b[1]);
        fours += br_count_bytes(br_carry(&twos, first, 0));
        a += 2;
        b += 2;
    }
    for (; a != end; a += 4, b += 4) {
        uint32_t first = br_carry(&ones, a[0] ^ b[0], a[1] ^ b[1]);
        uint32_t second = br_carry(&ones, a[2] ^ b[2], a[3] ^ b[3]);
        fours += br_count_bytes(br_carry(&twos, first, second));
    }
    count->ones = ones;
    count->twos = twos;
    count->fours = fours;
}

static BR_INLINE uint32_t br_count_total(const br_count_t *count) {
    uint32_t rest = br_count_nibbles(count->ones) + 2 * br_count_nibbles(count->twos);
    return 4 * br_sum_bytes(count->fours) + br_sum_bytes((rest & 0x0f0f0f0fu) + ((rest >> 4) & 0x0f0f0f0fu));
}
#else
typedef struct _br_count_t {
    uint32_t total;
} br_count_t;

#if defined(__wasm__)
// One instruction counts two words.
static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words) {
    uint64_t v, w;
    for (; words >= 2; words -= 2, a += 2, b += 2) {
        memcpy(&v, a, sizeof(v));
        memcpy(&w, b, sizeof(w));
        count->total += (uint32_t)__builtin_popcountll(v ^ w);
    }
    if (words) {
        count->total += (uint32_t)__builtin_popcount(*a ^ *b);
    }
}
#elif BR_POPCOUNT
static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words) {
    #pragma GCC unroll 4
    for (size_t i = 0; i < words; i++) {
        count->total += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
    }
}
#else
// Bytes are summed up before they reach 256 (31 * 8 = 248).
static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words) {
    for (size_t n; words; words -= n, a += n, b += n) {
        n = words < 31 ? words : 31;
        uint32_t bytes = 0;
        for (size_t i = 0; i < n; i++) {
            bytes += br_count_bytes(a[i] ^ b[i]);
        }
        count->total += br_sum_bytes(bytes);
    }
}
#endif

static BR_INLINE uint32_t br_count_total(const br_count_t *count) {
    return count->total;
}
#endif

// How many bits of a ^ b are 1.
static inline uint32_t BR_HOT br_count_bits(const uint32_t *a, const uint32_t *b, size_t words) {
    uint32_t total = 0;
    for (size_t n; words; words -= n, a += n, b += n) {
        br_count_t count = { 0 };
        n = words < BR_CHUNK ? words : BR_CHUNK;
        br_add_words(&count, a, b, n);
        total += br_count_total(&count);
    }
    return total;
}

// Of runs that have no more than a chunk's words in all.
static BR_INLINE void br_count_few(const br_runs_t *runs, size_t many, size_t words, const uint32_t *filter,
    size_t count, uint32_t *out) {
    for (const uint32_t *end = out + count; out != end; filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        br_count_t bits = { 0 };
        for (size_t left = many;;) {
            br_add_words(&bits, x, filter, words);
            filter += words;
            if (--left == 0) {
                break;
            }
            x += words + runs->x_skip;
            filter += runs->filter_skip;
        }
        *out++ = br_count_total(&bits);
    }
}

static BR_INLINE void br_count_many(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    size_t words = runs->words;
    for (size_t i = 0; i < count; i++, filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        uint32_t sum = 0;
        for (size_t left = runs->runs; left; left--) {
            sum += br_count_bits(x, filter, words);
            x += words + runs->x_skip;
            filter += words + (left > 1 ? runs->filter_skip : 0);
        }
        out[i] = sum;
    }
}

void BR_HOT br_hamming_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    #if BR_ASK_PROCESSOR
    if (br_count_by_processor(runs, filter, count, out)) {
        return;
    }
    #endif
    // One run is what most windows are. Of four words, as where layers are trained, it is unrolled.
    size_t words = runs->words, many = runs->runs;
    if (words * many > BR_CHUNK) {
        br_count_many(runs, filter, count, out);
    } else if (many > 1) {
        br_count_few(runs, many, words, filter, count, out);
    } else if (words == 4) {
        br_count_few(runs, 1, 4, filter, count, out);
    } else {
        br_count_few(runs, 1, words, filter, count, out);
    }
}
#endif
