// First layer: uint8 pixels (zero point 128), int8 weights.
#include "internal.h"

// Four windows at a time are faster where assembly multiplies them; in C they are there to be tested.
#ifndef BR_FOUR_WINDOWS
#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)
#define BR_FOUR_WINDOWS (1)
#else
#define BR_FOUR_WINDOWS (0)
#endif
#endif

#define BR_TAPS (BR_MAX_KERNEL * BR_MAX_KERNEL * BR_MAX_FIRST_CIN)
#define BR_FEW_TAPS (BR_TAPS / 8) // of which four windows take the memory that one takes of all

// The window's pixels less 128. What lies outside the image is 0 and adds nothing.
static void BR_HOT br_pixels(const br_geometry_t *g, const uint8_t *x, uint32_t oy, uint32_t ox, int8_t *pixels) {
    int32_t top = (int32_t)(oy * g->stride_h) - g->padding_h, left = (int32_t)(ox * g->stride_w) - g->padding_w;
    for (int32_t row = top; row < top + g->kernel_h; row++) {
        for (int32_t column = left; column < left + g->kernel_w; column++) {
            int inside = row >= 0 && row < g->height && column >= 0 && column < g->width;
            uint32_t pixel = ((uint32_t)row * g->width + (uint32_t)column) * g->cin;
            for (uint32_t c = 0; c < g->cin; c++) {
                *pixels++ = inside ? (int8_t)(x[pixel + c] - 128) : 0;
            }
        }
    }
}

#if BR_FOUR_WINDOWS

// As br_pixels, the pixels times 2^shift, added to what `keep` leaves of every second word.
static void BR_HOT br_add_pixels(const br_geometry_t *g, const uint8_t *x, uint32_t oy, uint32_t ox, uint32_t keep,
    uint32_t shift, uint32_t *pixels) {
    int32_t top = (int32_t)(oy * g->stride_h) - g->padding_h, left = (int32_t)(ox * g->stride_w) - g->padding_w;
    for (int32_t row = top; row < top + g->kernel_h; row++) {
        for (int32_t column = left; column < left + g->kernel_w; column++) {
            int inside = row >= 0 && row < g->height && column >= 0 && column < g->width;
            uint32_t pixel = ((uint32_t)row * g->width + (uint32_t)column) * g->cin;
            for (uint32_t c = 0; c < g->cin; c++, pixels += 2) {
                *pixels = (*pixels & keep) + ((inside ? x[pixel + c] - 128u : 0) << shift);
            }
        }
    }
}

// conv2d_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

#define BR_LANES (0x7fff7fffu)

// A weight is multiplied by the pixels of two windows at once. Both halves of two products' sum, which are from
// -2 * 128 * 127 to 2 * 128 * 128, are made positive, so that none borrows from the other.
void BR_HOT br_dot_four(const int8_t *w, const uint32_t *pixels, size_t taps, int32_t *sums, const int32_t *sums_end) {
    for (; sums != sums_end; sums += 4) {
        sums[0] = sums[1] = sums[2] = sums[3] = -(int32_t)((taps + 1) >> 1) * (int32_t)(BR_LANES & 0xffff);
        const uint32_t *at = pixels;
        for (const int8_t *end = w + taps; w != end;) {
            uint32_t lanes[2] = { BR_LANES, BR_LANES };
            // Of an odd number of weights the first is alone.
            for (int two = 2 - ((end - w) & 1); two--; w++, at += 2) {
                lanes[0] += (uint32_t)*w * at[0];
                lanes[1] += (uint32_t)*w * at[1];
            }
            for (int i = 0; i < 4; i++) {
                sums[i] += (int32_t)(lanes[i >> 1] >> 16 * (i & 1) & 0xffff);
            }
        }
    }
}

#endif

#define BR_FILTERS (8) // whose sums are kept until their affine

// Four outputs share the loads of weights.
static void BR_HOT br_conv2d_four(const br_geometry_t *g, const uint8_t *x, const int8_t *weight,
    const br_affine_t *affine, int8_t *y) {
    uint32_t oy = 0, ox = 0, ow = br_output_width(g), cout = g->cout, pixels[2 * BR_FEW_TAPS];
    int32_t sums[4 * BR_FILTERS];
    size_t taps = br_kernel_taps(g) * g->cin;
    uint32_t shift = affine->shift;
    for (size_t left = br_output_pixels(g), n; left; left -= n, y += (n - 1) * cout) {
        n = left < 4 ? left : 4;
        for (uint32_t i = 0; i < 4; i++) { // behind the last output there is anything, or nothing
            br_add_pixels(g, x, oy, ox, 0 - (i & 1), 16 * (i & 1), pixels + (i >> 1));
            if (++ox == ow) {
                ox = 0;
                oy++;
            }
        }
        for (uint32_t c = 0; c < cout; c += BR_FILTERS) {
            const int32_t *sum = sums, *end = sums + 4 * (cout - c < BR_FILTERS ? cout - c : BR_FILTERS);
            br_dot_four(weight + c * taps, pixels, taps, sums, end);
            const int16_t *slope = affine->slope + 2 * c;
            const int32_t *biases = affine->bias + c;
            for (; sum != end; sum += 4, slope += 2, y++) {
                int32_t bias = *biases++;
                int8_t *at = y;
                for (size_t i = 0; i < n; i++, at += cout) {
                    *at = br_sat8(br_channel_affine(sum[i], slope, bias, shift));
                }
            }
        }
    }
}

#endif

// The products of two filters and a window, added to their sums.
#if BR_DSP
static BR_INLINE void br_dot_two(const int8_t *w0, const int8_t *w1, const int8_t *pixels, size_t taps, int32_t *acc0,
    int32_t *acc1) {
    int32_t sum0 = 0, sum1 = 0;
    for (const int8_t *end = pixels + (taps & ~(size_t)3); pixels != end; pixels += 4, w0 += 4, w1 += 4) {
        uint32_t p = br_load_bytes(pixels), a = br_load_bytes(w0), b = br_load_bytes(w1);
        int16x2_t even = __sxtb16(p), odd = br_odd_bytes(p);
        sum0 = __smlad(odd, br_odd_bytes(a), __smlad(even, __sxtb16(a), sum0));
        sum1 = __smlad(odd, br_odd_bytes(b), __smlad(even, __sxtb16(b), sum1));
    }
    for (size_t rest = taps & 3; rest; rest--) {
        int32_t pixel = *pixels++;
        sum0 += *w0++ * pixel;
        sum1 += *w1++ * pixel;
    }
    *acc0 += sum0;
    *acc1 += sum1;
}
#else
static BR_INLINE void br_dot_two(const int8_t *w0, const int8_t *w1, const int8_t *pixels, size_t taps, int32_t *acc0,
    int32_t *acc1) {
    #if BR_FOUR_WINDOWS // less code, where only large windows come here
    #pragma GCC unroll 2
    #else
    #pragma GCC unroll 9
    #endif
    for (size_t i = 0; i < taps; i++) {
        *acc0 += w0[i] * pixels[i];
        *acc1 += w1[i] * pixels[i];
    }
}
#endif

static void br_conv2d_one(const br_geometry_t *g, const uint8_t *x, const int8_t *weight, const br_affine_t *affine,
    int8_t *y) {
    uint32_t oh = br_output_height(g), ow = br_output_width(g);
    size_t taps = br_kernel_taps(g) * g->cin;
    br_affine_t to = *affine; // a copy, since y may point at anything
    int8_t pixels[BR_TAPS];
    for (uint32_t oy = 0; oy < oh; oy++) {
        for (uint32_t ox = 0; ox < ow; ox++) {
            br_pixels(g, x, oy, ox, pixels);
            // Two output channels share the loads of pixels; of an odd number, the last is its own companion.
            const int8_t *w = weight;
            for (uint32_t c = 0; c < g->cout; c += 2, w += 2 * taps) {
                int both = c + 1 < g->cout;
                const int8_t *w1 = both ? w + taps : w;
                int32_t acc0 = 0, acc1 = 0;
                br_dot_two(w, w1, pixels, taps, &acc0, &acc1);
                *y++ = br_sat8(br_affine(&to, acc0, c));
                if (both) {
                    *y++ = br_sat8(br_affine(&to, acc1, c + 1));
                }
            }
        }
    }
}

void BR_HOT br_conv2d(const br_geometry_t *g, const uint8_t *x, const int8_t *weight, const br_affine_t *affine,
    int8_t *y) {
    #if BR_FOUR_WINDOWS
    if (br_kernel_taps(g) * g->cin <= BR_FEW_TAPS) {
        br_conv2d_four(g, x, weight, affine, y);
        return;
    }
    #endif
    br_conv2d_one(g, x, weight, affine, y);
}
