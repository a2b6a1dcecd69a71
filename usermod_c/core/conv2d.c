// First layer: uint8 pixels (zero point 128), int8 weights.
#include "internal.h"

void BR_HOT br_conv2d(const br_geometry_t *g, const uint8_t *x, const int8_t *weight, const br_affine_t *affine, int8_t *y) {
    uint32_t oh = br_output_side(g->height, g), ow = br_output_side(g->width, g);
    for (uint32_t oy = 0; oy < oh; oy++) {
        int32_t top = (int32_t)(oy * g->stride) - g->padding;
        uint32_t ky0, ky1;
        br_taps(top, g->height, g->kernel, &ky0, &ky1);
        for (uint32_t ox = 0; ox < ow; ox++) {
            int32_t left = (int32_t)(ox * g->stride) - g->padding;
            uint32_t kx0, kx1;
            br_taps(left, g->width, g->kernel, &kx0, &kx1);
            size_t run = kx1 > kx0 ? (kx1 - kx0) * g->cin : 0;
            const int8_t *w = weight;
            for (uint32_t c = 0; c < g->cout; c++) {
                int32_t acc = 0;
                for (uint32_t ky = ky0; ky < ky1; ky++) {
                    const uint8_t *px = x + ((uint32_t)(top + (int32_t)ky) * g->width + (uint32_t)(left + (int32_t)kx0)) * g->cin;
                    const int8_t *pw = w + (ky * g->kernel + kx0) * g->cin;
                    for (size_t i = 0; i < run; i++) {
                        acc += pw[i] * (px[i] - 128);
                    }
                }
                *y++ = br_sat8(br_affine(affine, acc, c));
                w += (size_t)g->kernel * g->kernel * g->cin;
            }
        }
    }
}
