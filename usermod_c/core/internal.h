// Helpers shared by the kernels.
#ifndef BITREPLAY_INTERNAL_H
#define BITREPLAY_INTERNAL_H

#include "bitreplay.h"

// For functions that are to be compiled for the constants that they are called with.
#define BR_INLINE inline __attribute__((always_inline))

// For loops that need all registers.
#define BR_OUTLINE __attribute__((noinline))

#define BR_CACHED (2400) // words of filters that stay in an RP2040's 16 KB cache in front of the flash

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

// A gradient times 2^14, shifted right.
static BR_INLINE int32_t br_aligned(int32_t g, uint32_t shift) {
    return g * (1 << 14) >> shift;
}

// By how much the product of a gradient and an output channel's slope [2] is shifted right, so that 16 bits hold it.
static inline uint32_t br_slope_shift(const int16_t *slope) {
    uint32_t length = 16;
    for (uint32_t top = br_largest(br_abs(slope[0]), slope[1]) << 16; length && !(top >> 31); top <<= 1) {
        length--; // few times, as slopes are large
    }
    return length;
}

// The generator's next state, which is what it draws.
static inline uint32_t br_xorshift(uint32_t s) {
    s ^= s << 13;
    s ^= s >> 17;
    return s ^ s << 5;
}

// Words to be compared with filters: runs that lie side by side. Offsets of hamming_armv6m.S follow this order.
typedef struct _br_runs_t {
    const uint32_t *x;
    size_t words, runs; // of a run; how many
    size_t x_skip, filter_skip; // words from a run's end to the next run
    size_t filter_next; // words from the last run's end to the next filter's first run
} br_runs_t;

// out[i] = bits in which x and the i-th filter differ (the Hamming distance), for count > 0 filters; runs->words > 0.
void br_hamming_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out);
#if BR_ASK_PROCESSOR
// The same; returns 0, and does nothing, on a processor that cannot count bits.
int br_count_by_processor(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out);
#endif

// The products of filters and four windows, four sums for each filter, taps > 0. A word of pixels [taps][2] is a pixel
// of one window and 2^16 times that of the next one.
void br_dot_four(const int8_t *w, const uint32_t *pixels, size_t taps, int32_t *sums, const int32_t *sums_end);

// As br_bconv2d_masks, where a layer has one tap, by tables in scratch [words]. Returns 1; or 0 where a layer has another
// shape or the scratch no room, and nothing was done.
int br_convolve_points(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    int8_t *y, uint32_t *passes, uint32_t *negative, uint32_t *scratch, size_t words);

// 32 channels of a pixel, with the affine from the first one on: equal [32] has how many inputs equal those of the filter, in
// its lane-th byte.
void br_write_points(const uint32_t *equal, uint32_t lane, const br_affine_t *affine, int8_t *y, int32_t inputs,
    uint32_t *passes, uint32_t *negative);

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

// The part of a kernel's side that lies inside the image: taps [first, last) for the window at `start` (may be
// negative).
static inline void br_taps(int32_t start, uint32_t side, uint32_t kernel, uint32_t *first, uint32_t *last) {
    int32_t end = (int32_t)side - start;
    *first = start < 0 ? (uint32_t)-start : 0;
    *last = end < (int32_t)kernel ? (uint32_t)(end < 0 ? 0 : end) : kernel;
}

#endif // BITREPLAY_INTERNAL_H
