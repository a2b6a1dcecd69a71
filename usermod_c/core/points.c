// Binary convolutions of one tap, as a trained layer at the top is, four pixels at a time: of eight inputs of a filter
// there are 256 patterns, and a table has how many of the inputs of each pixel equal such a pattern, in a byte.
#include "products.h"

#define BR_ONES (0x01010101u)

// Of a word of each of up to four pixels, `step` apart: start [4] and d [32] of br_build_tables.
static void br_spread_pixels(const uint32_t *x, size_t step, size_t pixels, uint32_t *start, uint32_t *d) {
    uint32_t word[4] = { 0 };
    for (size_t p = 0; p < pixels; p++) {
        word[p] = x[p * step];
    }
    uint32_t a = word[0], b = word[1], c = word[2], e = word[3];
    for (size_t byte = 0; byte < 4; byte++) {
        uint32_t zeros = 8 * BR_ONES;
        for (size_t i = 0; i < 8; i++, a >>= 1, b >>= 1, c >>= 1, e >>= 1) {
            uint32_t ones = (a & 1) | (b & 1) << 8 | (c & 1) << 16 | (e & 1) << 24;
            zeros -= ones;
            *d++ = 2 * ones - BR_ONES;
        }
        *start++ = zeros;
    }
}

// points_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)
void br_write_points(const uint32_t *equal, uint32_t lane, const br_affine_t *affine, int8_t *y, int32_t inputs,
    uint32_t *passes, uint32_t *negative) {
    const int16_t *slope = affine->slope;
    const int32_t *bias = affine->bias;
    uint32_t passing = 0, below = 0, right = affine->shift;
    for (const uint32_t *end = equal + 32; equal != end; slope += 2, y++) {
        int32_t acc = 2 * (int32_t)(*equal++ >> 8 * lane & 255) - inputs;
        int32_t total = *y + br_channel_affine(acc, slope, *bias++, right);
        int8_t stored = br_sat8(total);
        *y = stored;
        passing = passing >> 1 | (uint32_t)(total == stored) << 31;
        below = below >> 1 | ((uint32_t)acc & 0x80000000u);
    }
    *passes = passing;
    *negative = below;
}
#endif

int br_convolve_points(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    int8_t *y, uint32_t *passes, uint32_t *negative, uint32_t *scratch, size_t words) {
    size_t x_words = g->cin >> 5, tap_words = br_quotient(x_words, g->groups), pixels = (size_t)g->height * g->width;
    size_t outputs = br_quotient(g->cout, g->groups), y_words = g->cout >> 5;
    int one_tap = g->kernel_h == 1 && g->kernel_w == 1 && g->stride_h == 1 && g->stride_w == 1;
    // 8 words, 256 inputs, could be more than a byte holds.
    if (!one_tap || tap_words >= 8 || outputs & 31 || words < BR_TABLE_WORDS + outputs) {
        return 0;
    }
    uint32_t *equal = scratch + BR_TABLE_WORDS, start[4], d[32];
    for (size_t group = 0; group < g->groups; group++, x += tap_words, weight += outputs * tap_words) {
        for (size_t first = 0, n; first < pixels; first += n) {
            n = pixels - first < 4 ? pixels - first : 4;
            for (size_t w = 0; w < tap_words; w++) {
                br_spread_pixels(x + first * x_words + w, x_words, n, start, d);
                br_build_tables(d, start, scratch);
                if (w == 0) {
                    br_find_sums(scratch, weight, tap_words, equal, equal + outputs);
                } else {
                    br_add_found_sums(scratch, weight + w, tap_words, equal, equal + outputs);
                }
            }
            for (size_t p = 0; p < n; p++) {
                for (size_t c = 0; c < outputs; c += 32) {
                    size_t channel = group * outputs + c, word = (first + p) * y_words + (channel >> 5);
                    br_affine_t from = { affine->slope + 2 * channel, affine->bias + channel, affine->shift };
                    br_write_points(equal + c, (uint32_t)p, &from, y + 32 * word, (int32_t)(32 * tap_words),
                        passes + word, negative + word);
                }
            }
        }
    }
    return 1;
}
