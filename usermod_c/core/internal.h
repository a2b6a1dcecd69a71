// Helpers shared by the kernels.
#ifndef BITREPLAY_INTERNAL_H
#define BITREPLAY_INTERNAL_H

#include "bitreplay.h"

// For functions that are to be compiled for the constants that they are called with.
#define BR_INLINE inline __attribute__((always_inline))

// Where one instruction counts the bits of a word, of what the compiler is told to compile for.
#ifdef __riscv_zbb
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

// 1 in programs for PCs, which use the compiler's library: processors are asked for instructions that not all have.
#if !defined(BR_ASK_PROCESSOR) || !defined(__x86_64__)
#undef BR_ASK_PROCESSOR
#define BR_ASK_PROCESSOR (0)
#endif

// The instructions of Cortex-M4, M7 and M33 for four bytes, or two halfwords, at once.
#ifdef __ARM_FEATURE_SIMD32
#include <arm_acle.h>
#define BR_DSP (1)

// Four bytes, wherever they lie: these processors load words from any address.
typedef uint32_t __attribute__((may_alias, aligned(1))) br_four_bytes_t;

static inline uint32_t br_load_bytes(const int8_t *x) {
    return *(const br_four_bytes_t *)x;
}

static inline int16x2_t br_odd_bytes(uint32_t bytes) {
    int16x2_t odd;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
    return odd;
}
#else
#define BR_DSP (0)
#endif

static inline int32_t br_clamp(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : v > high ? high : v;
}

static inline int8_t br_sat8(int32_t v) {
    return v == (int8_t)v ? (int8_t)v : v < 0 ? -128 : 127;
}

static inline int16_t br_sat16(int32_t v) {
    return (int16_t)br_clamp(v, -32768, 32767);
}

// a + b, saturated.
static inline int32_t br_sat_add(int32_t a, int32_t b) {
    int32_t sum = (int32_t)((uint32_t)a + (uint32_t)b);
    // Overflow is when both operands differ in sign from the sum.
    if (((a ^ sum) & (b ^ sum)) < 0) {
        return a < 0 ? INT32_MIN : INT32_MAX;
    }
    return sum;
}

// a - b, saturated.
static inline int32_t br_sat_sub(int32_t a, int32_t b) {
    int32_t difference = (int32_t)((uint32_t)a - (uint32_t)b);
    if (((a ^ b) & (a ^ difference)) < 0) {
        return a < 0 ? INT32_MIN : INT32_MAX;
    }
    return difference;
}

// v * 2^shift, saturated, shift <= 15.
static inline int32_t br_sat_shl(int32_t v, uint32_t shift) {
    int32_t shifted = (int32_t)((uint32_t)v << shift);
    if (shifted >> shift != v) {
        return v < 0 ? INT32_MIN : INT32_MAX;
    }
    return shifted;
}

// a * b modulo 2^32.
static inline int32_t br_mul(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a * (uint32_t)b);
}

static inline uint32_t br_abs(int32_t v) {
    return v < 0 ? 0u - (uint32_t)v : (uint32_t)v;
}

static inline uint32_t br_bit_length(uint32_t v) {
    uint32_t length = 0;
    for (; v > 15; v >>= 4) {
        length += 4;
    }
    for (; v; v >>= 1) {
        length++;
    }
    return length;
}

// The larger one of a magnitude and that of v.
static inline uint32_t br_largest(uint32_t largest, int32_t v) {
    uint32_t magnitude = br_abs(v);
    return magnitude > largest ? magnitude : largest;
}

// The exponent by which values with that largest magnitude, below 2^31 - 2^16, become a gradient of 16 bits.
static inline int32_t br_normal_exponent(uint32_t largest) {
    return (int32_t)br_bit_length(largest) - 15;
}

static inline int16_t br_normalize(int32_t v, int32_t exponent) {
    return exponent > 0 ? br_sat16((v + (1 << (exponent - 1))) >> exponent) : (int16_t)((uint32_t)v << -exponent);
}

// By how much the product of a gradient and an output channel's slope [2] is shifted right, so that 16 bits hold it.
static inline uint32_t br_slope_shift(const int16_t *slope) {
    return br_bit_length(br_largest(br_abs(slope[0]), slope[1]));
}

// The generator's next state, which is what it draws.
static inline uint32_t br_xorshift(uint32_t s) {
    s ^= s << 13;
    s ^= s >> 17;
    return s ^ s << 5;
}

// How two words are compared: bits that differ, or that both have.
typedef enum _br_operation_t { BR_XOR, BR_AND } br_operation_t;

static BR_INLINE uint32_t br_combine(uint32_t a, uint32_t b, br_operation_t operation) {
    return operation == BR_AND ? a & b : a ^ b;
}

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

static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words,
    br_operation_t operation) {
    uint32_t ones = count->ones, twos = count->twos, fours = count->fours;
    const uint32_t *end = a + words;
    if (words & 1) {
        uint32_t first = br_carry(&ones, br_combine(*a++, *b++, operation), 0);
        fours += br_count_bytes(br_carry(&twos, first, 0));
    }
    if (words & 2) {
        uint32_t first = br_carry(&ones, br_combine(a[0], b[0], operation), br_combine(a[1], b[1], operation));
        fours += br_count_bytes(br_carry(&twos, first, 0));
        a += 2;
        b += 2;
    }
    for (; a != end; a += 4, b += 4) {
        uint32_t first = br_carry(&ones, br_combine(a[0], b[0], operation), br_combine(a[1], b[1], operation));
        uint32_t second = br_carry(&ones, br_combine(a[2], b[2], operation), br_combine(a[3], b[3], operation));
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

#if BR_POPCOUNT
static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words,
    br_operation_t operation) {
    #pragma GCC unroll 4
    for (size_t i = 0; i < words; i++) {
        count->total += (uint32_t)__builtin_popcount(br_combine(a[i], b[i], operation));
    }
}
#else
// Bytes are summed up before they reach 256 (31 * 8 = 248).
static BR_INLINE void br_add_words(br_count_t *count, const uint32_t *a, const uint32_t *b, size_t words,
    br_operation_t operation) {
    for (size_t n; words; words -= n, a += n, b += n) {
        n = words < 31 ? words : 31;
        uint32_t bytes = 0;
        for (size_t i = 0; i < n; i++) {
            bytes += br_count_bytes(br_combine(a[i], b[i], operation));
        }
        count->total += br_sum_bytes(bytes);
    }
}
#endif

static BR_INLINE uint32_t br_count_total(const br_count_t *count) {
    return count->total;
}
#endif

// How many bits of a ^ b, or of a & b, are 1.
static inline uint32_t BR_HOT br_count_bits(const uint32_t *a, const uint32_t *b, size_t words,
    br_operation_t operation) {
    uint32_t total = 0;
    for (size_t n; words; words -= n, a += n, b += n) {
        br_count_t count = { 0 };
        n = words < BR_CHUNK ? words : BR_CHUNK;
        br_add_words(&count, a, b, n, operation);
        total += br_count_total(&count);
    }
    return total;
}

// Words to be compared with filters: runs that lie side by side. Offsets of hamming_armv6m.S follow this order.
typedef struct _br_runs_t {
    const uint32_t *x;
    size_t words, runs; // of a run; how many
    size_t x_skip, filter_skip; // words from a run's end to the next run
    size_t filter_next; // words from the last run's end to the next filter's first run
} br_runs_t;

// out[i] = bits in which x and the i-th filter differ (the Hamming distance), or that both have, for count > 0
// filters; runs->words > 0.
void br_hamming_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out);
void br_overlaps(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out);
#if BR_ASK_PROCESSOR
// The same, of which operation is told; returns 0, and does nothing, on a processor that cannot count bits.
int br_count_by_processor(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out,
    br_operation_t operation);
#endif

// The products of filters and four windows, four sums for each filter, taps > 0. A word of pixels [taps][2] is a pixel
// of one window and 2^16 times that of the next one.
void br_dot_four(const int8_t *w, const uint32_t *pixels, size_t taps, int32_t *sums, const int32_t *sums_end);

// As br_bconv2d_masks, where a layer has one tap, by tables in scratch [words]. Returns 1; or 0 where a layer has another
// shape or the scratch no room, and nothing was done.
int br_convolve_points(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    int8_t *y, uint32_t *passes, uint32_t *negative, uint32_t *scratch, size_t words);

// The output of a binary convolution: where the channels of a pixel go, from `channel` on.
typedef struct _br_output_t {
    size_t channel;
    void *pixel; // int8_t channels of br_bconv2d, uint32_t words of br_bconv2d_sign
    size_t pixel_bytes;
    const br_affine_t *affine; // of br_bconv2d
    const int8_t *start; // of y, and masks of its elements, of br_bconv2d_masks
    uint32_t *passes, *negative;
    const int16_t *threshold; // of br_bconv2d_sign
    const uint32_t *flip;
} br_output_t;

// Tables are faster where assembly looks up in them; in C they are there to be tested.
#ifndef BR_TABLES
#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)
#define BR_TABLES (1)
#else
#define BR_TABLES (0)
#endif
#endif

// One of eight output pixels of a binary convolution by tables: where it is, and how many terms its sums have.
typedef struct _br_lane_t {
    void *pixel;
    int32_t inputs;
} br_lane_t;

// Where a lane comes among eight, whose distances [count][4] are halves of words, the lower one first.
static inline uint32_t br_place(uint32_t lane) {
    return (lane & 3) << 1 | lane >> 2;
}

typedef void (*br_write_lanes_t)(const br_output_t *out, const br_lane_t *lanes, const uint32_t *distances,
    size_t count);

// Hands the distances of all outputs to `write`, and returns 1; or 0 where tables have no room in the scratch, or are
// not worth their time.
int br_convolve_by_tables(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, uint32_t *scratch,
    size_t words, br_output_t *out, br_write_lanes_t write);

// A table of the counts of eight lanes, in nibbles. start [10]: the first four entries; and what is added to four for the
// next four, by how many of the low bits of their number are 1.
void br_fill_table(uint32_t *table, const uint32_t *start);
// Looks up two words of each filter, which are `step` words apart, in eight tables. sums [2] of a filter: the even
// nibbles of entries, summed up in bytes; and their sum >> 4.
void br_look_up(const uint32_t *filter, uint32_t *sums, const uint32_t *sums_end, const uint32_t *tables, size_t step);
// Adds sums to distances [4], and makes them 0.
void br_add_sums(uint32_t *sums, const uint32_t *sums_end, uint32_t *distances);
// As br_bconv2d, of so many channels from a lane's pixel on; the lanes are in the order of br_place().
void br_write_lanes(const uint32_t *distances, const br_lane_t *lanes, const br_affine_t *affine, size_t count);

// The affine of one channel: slope [2]. The result is shifted right by at least 1, so that a byte can be added to it.
static BR_INLINE int32_t br_channel_affine(int32_t acc, const int16_t *slope, int32_t bias, uint32_t shift) {
    return (int32_t)((uint32_t)br_mul(acc, slope[acc < 0]) + (uint32_t)bias + (1u << (shift - 1))) >> shift;
}

static inline int32_t br_affine(const br_affine_t *affine, int32_t acc, size_t channel) {
    return br_channel_affine(acc, affine->slope + 2 * channel, affine->bias[channel], affine->shift);
}

// Four of the stream's values.
typedef uint32_t __attribute__((may_alias)) br_bytes_t;

// br_binarize of a pixel, whose values and thresholds are aligned to 4.
void br_binarize_words(const br_bytes_t *x, const br_bytes_t *threshold, const uint32_t *flip, uint32_t *y,
    const uint32_t *y_end);

// x [rows][step], of which `words` are read; y [32 * words][rows/32].
void br_transpose_rows(const uint32_t *x, size_t step, size_t rows, size_t words, uint32_t *y);
// In place, bit 0 first.
void br_transpose_block(uint32_t *a);

#define BR_GRADIENT_LIMIT ((1 << 30) - 1)

// The exponent of gradients with that largest magnitude, up to BR_GRADIENT_LIMIT, that become numbers of so many bits.
uint32_t br_gradient_exponent(uint32_t largest, uint32_t bits);

// The next 32 latent weights, with steps that are rounded: shift 1..31. Returns their signs.
uint32_t br_update_rounded(int8_t *weight, const int32_t *dw, int32_t mantissa, uint32_t shift, uint32_t *rng);

#define BR_LANE (32767) // the largest sum that leaves room for another one in its word

// table[256], all sums of eight numbers: steps [10], the first four, and what is added from four to four.
void br_fill_sums(uint32_t *table, const uint32_t *steps);
// What the rows, `step` words apart, find in tables [4][256], a byte in each, is the sums, or is added to them.
void br_find_sums(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums, const uint32_t *sums_end);
void br_add_found_sums(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums,
    const uint32_t *sums_end);
// tables [4][256] of the sums that begin with start [4], to which each bit that is 1 adds its d [32].
void br_build_tables(const uint32_t *d, const uint32_t *start, uint32_t *tables);
// sums [count] of the products of q [32 * words], where mask [words] is 1, and the signs of rows [count][words]; and in
// the upper halves those of next. mask, next may be NULL: all, none.
void br_find_products(const int16_t *q, const int16_t *next, const uint32_t *mask, size_t words, const uint32_t *rows,
    size_t count, uint32_t *tables, uint32_t *sums);
// Takes apart what is in the halves of sums [n]: first [n] the lower ones; what stays is the upper ones.
void br_split_sums(uint32_t *sums, size_t n, int32_t *first);

// The part of a kernel's side that lies inside the image: taps [first, last) for the window at `start` (may be
// negative).
static inline void br_taps(int32_t start, uint32_t side, uint32_t kernel, uint32_t *first, uint32_t *last) {
    int32_t end = (int32_t)side - start;
    *first = start < 0 ? (uint32_t)-start : 0;
    *last = end < (int32_t)kernel ? (uint32_t)(end < 0 ? 0 : end) : kernel;
}

#endif // BITREPLAY_INTERNAL_H
