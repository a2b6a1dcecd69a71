// First layer: uint8 pixels (zero point 128), int8 weights.
#include "internal.h"

#define BR_TAPS (BR_MAX_KERNEL * BR_MAX_KERNEL * BR_MAX_FIRST_CIN)

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

void BR_HOT br_conv2d(const br_geometry_t *g, const uint8_t *x, const int8_t *weight, const br_affine_t *affine,
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
                #pragma GCC unroll 9
                for (size_t i = 0; i < taps; i++) {
                    acc0 += w[i] * pixels[i];
                    acc1 += w1[i] * pixels[i];
                }
                *y++ = br_sat8(br_affine(&to, acc0, c));
                if (both) {
                    *y++ = br_sat8(br_affine(&to, acc1, c + 1));
                }
            }
        }
    }
}
