// The gradient of a binary convolution's input: bit planes of the output's gradient, and-ed with transposed signs.
#include "internal.h"

// The gradients at 32 accumulators, from those at their outputs.
static inline void BR_HOT br_through_slopes(const int16_t *g, uint32_t negative, const int16_t *slope, int32_t *out) {
    for (size_t i = 0; i < 32; i++, negative >>= 1, slope += 2) {
        out[i] = g[i] * slope[negative & 1];
    }
}

// One exponent for the sample, which is returned. planes [groups][positions][bits][words].
static uint32_t BR_HOT br_quantize_sample(const br_geometry_t *geometry, const int16_t *g, const uint32_t *negative,
    const int16_t *slope, uint32_t bits, int stochastic, uint32_t *planes, uint32_t *rng) {
    size_t positions = br_output_pixels(geometry), words = br_quotient(geometry->cout >> 5, geometry->groups);
    int32_t block[32];
    uint32_t largest = 0;
    const int16_t *from = g;
    const uint32_t *below = negative;
    for (size_t p = 0; p < positions; p++) {
        for (size_t c = 0; c < geometry->cout; c += 32, from += 32) {
            br_through_slopes(from, *below++, slope + 2 * c, block);
            for (size_t i = 0; i < 32; i++) {
                largest = br_largest(largest, block[i]);
            }
        }
    }
    // -2^15 * -2^15 is clamped.
    uint32_t exponent = br_gradient_exponent(largest < BR_GRADIENT_LIMIT ? largest : BR_GRADIENT_LIMIT, bits);
    for (size_t p = 0; p < positions; p++, planes += bits * words) {
        uint32_t *to = planes;
        const int16_t *local = slope;
        for (size_t group = 0; group < geometry->groups; group++, to += positions * bits * words) {
            for (size_t w = 0; w < words; w++, g += 32, local += 64) {
                br_through_slopes(g, *negative++, local, block);
                br_quantize_block(block, bits, exponent, stochastic, to + w, words, rng);
            }
        }
    }
    return exponent;
}

// Adds one tap's part of one group: planes [positions][bits][words], signs [inputs][words], d from the group on.
static void BR_HOT br_add_tap(const br_geometry_t *geometry, uint32_t ky, uint32_t kx, const uint32_t *planes,
    uint32_t bits, size_t words, const uint32_t *signs, size_t inputs, int32_t *d) {
    uint32_t oh = br_output_height(geometry), ow = br_output_width(geometry);
    int32_t y = (int32_t)ky - geometry->padding_h;
    for (uint32_t oy = 0; oy < oh; oy++, y += geometry->stride_h) {
        int32_t x = (int32_t)kx - geometry->padding_w;
        for (uint32_t ox = 0; ox < ow; ox++, x += geometry->stride_w, planes += bits * words) {
            if (y >= 0 && y < geometry->height && x >= 0 && x < geometry->width) {
                size_t pixel = (size_t)y * geometry->width + (size_t)x;
                br_add_dot_planes(planes, bits, words, signs, inputs, d + pixel * geometry->cin);
            }
        }
    }
}

// The sums become a gradient, in the first half of their memory.
static int32_t BR_HOT br_normalize_sums(int32_t *d, size_t n) {
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = br_largest(largest, d[i]);
    }
    int32_t exponent = br_normal_exponent(largest);
    int16_t *to = (int16_t *)d;
    for (size_t i = 0; i < n; i++) {
        int32_t v = d[i];
        to[i] = br_normalize(v, exponent);
    }
    return exponent;
}

int32_t BR_HOT br_bconv2d_dx(const br_geometry_t *geometry, const int16_t *g, const uint32_t *negative,
    const int16_t *slope, const uint32_t *weight, uint32_t bits, int stochastic, int32_t *scratch, int32_t *d,
    uint32_t *rng) {
    size_t outputs = br_quotient(geometry->cout, geometry->groups), words = outputs >> 5;
    size_t inputs = br_quotient(geometry->cin, geometry->groups), tap_words = inputs >> 5;
    size_t filter_words = br_kernel_taps(geometry) * tap_words;
    size_t group_planes = br_output_pixels(geometry) * bits * words;
    uint32_t *planes = (uint32_t *)scratch, *signs = planes + geometry->groups * group_planes;
    uint32_t exponent = br_quantize_sample(geometry, g, negative, slope, bits, stochastic, planes, rng);
    size_t n = (size_t)geometry->height * geometry->width * geometry->cin;
    for (size_t i = 0; i < n; i++) {
        d[i] = 0;
    }
    for (size_t group = 0; group < geometry->groups; group++, planes += group_planes) {
        const uint32_t *tap = weight + group * outputs * filter_words;
        for (uint32_t ky = 0; ky < geometry->kernel_h; ky++) {
            for (uint32_t kx = 0; kx < geometry->kernel_w; kx++, tap += tap_words) {
                br_transpose_rows(tap, filter_words, outputs, tap_words, signs);
                br_add_tap(geometry, ky, kx, planes, bits, words, signs, inputs, d + group * inputs);
            }
        }
    }
    return (int32_t)exponent + br_normalize_sums(d, n);
}
