// Binary convolution: xor, popcount, and what becomes of the accumulator.
#include "internal.h"

// A convolution being walked: pixel by pixel, and for each pixel output channel by output channel.
typedef struct _br_walk_t {
    const br_geometry_t *g;
    uint32_t tap_words;     // words of one tap of a filter
    uint32_t group_outputs; // output channels of a group
    // Of the present pixel: its window's part inside the image, as rows of runs of words that lie side by side.
    const uint32_t *x, *filter;
    uint32_t rows, runs, run_words, group_left;
    int32_t inputs; // terms in the sum
} br_walk_t;

static inline void br_walk_start(br_walk_t *w, const br_geometry_t *g) {
    w->g = g;
    w->tap_words = br_quotient(g->cin >> 5, g->groups);
    w->group_outputs = br_quotient(g->cout, g->groups);
}

static inline void br_walk_pixel(br_walk_t *w, const uint32_t *x, const uint32_t *weight, uint32_t oy, uint32_t ox) {
    const br_geometry_t *g = w->g;
    int32_t top = (int32_t)(oy * g->stride) - g->padding, left = (int32_t)(ox * g->stride) - g->padding;
    uint32_t ky0, ky1, kx0, kx1;
    br_taps(top, g->height, g->kernel, &ky0, &ky1);
    br_taps(left, g->width, g->kernel, &kx0, &kx1);
    uint32_t columns = kx1 > kx0 ? kx1 - kx0 : 0;
    w->rows = ky1 > ky0 && columns ? ky1 - ky0 : 0;
    // Neighbouring taps touch, unless groups lie between them.
    w->runs = g->groups == 1 ? 1 : columns;
    w->run_words = g->groups == 1 ? columns * w->tap_words : w->tap_words;
    w->inputs = (int32_t)(w->rows * columns * w->tap_words * 32);
    w->x = x;
    w->filter = weight;
    if (w->rows) {
        w->x += ((uint32_t)(top + (int32_t)ky0) * g->width + (uint32_t)(left + (int32_t)kx0)) * (g->cin >> 5);
        w->filter += (ky0 * g->kernel + kx0) * w->tap_words;
    }
    w->group_left = w->group_outputs;
}

// The accumulator of the pixel's next output channel.
static inline int32_t br_walk_channel(br_walk_t *w) {
    const br_geometry_t *g = w->g;
    if (w->group_left == 0) {
        w->group_left = w->group_outputs;
        w->x += w->tap_words;
    }
    w->group_left--;
    uint32_t differing = 0;
    const uint32_t *x_row = w->x, *f_row = w->filter;
    for (uint32_t row = 0; row < w->rows; row++) {
        const uint32_t *x = x_row, *f = f_row;
        for (uint32_t run = 0; run < w->runs; run++) {
            differing += br_distance(x, f, w->run_words);
            x += g->cin >> 5;
            f += w->tap_words;
        }
        x_row += g->width * (size_t)(g->cin >> 5);
        f_row += g->kernel * (size_t)w->tap_words;
    }
    w->filter += g->kernel * (size_t)g->kernel * w->tap_words;
    return w->inputs - 2 * (int32_t)differing;
}

void BR_HOT br_bconv2d(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine, int8_t *y) {
    br_walk_t walk;
    br_walk_start(&walk, g);
    uint32_t oh = br_output_side(g->height, g), ow = br_output_side(g->width, g);
    for (uint32_t oy = 0; oy < oh; oy++) {
        for (uint32_t ox = 0; ox < ow; ox++) {
            br_walk_pixel(&walk, x, weight, oy, ox);
            for (uint32_t c = 0; c < g->cout; c++, y++) {
                *y = br_sat8(br_sat_add(*y, br_affine(affine, br_walk_channel(&walk), c)));
            }
        }
    }
}

void BR_HOT br_bconv2d_sign(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight,
    const int16_t *threshold, const uint32_t *flip, uint32_t *y) {
    br_walk_t walk;
    br_walk_start(&walk, g);
    uint32_t oh = br_output_side(g->height, g), ow = br_output_side(g->width, g);
    for (uint32_t oy = 0; oy < oh; oy++) {
        for (uint32_t ox = 0; ox < ow; ox++) {
            br_walk_pixel(&walk, x, weight, oy, ox);
            uint32_t bits = 0;
            for (uint32_t c = 0; c < g->cout; c++) {
                bits |= (uint32_t)(br_walk_channel(&walk) >= threshold[c]) << (c & 31);
                if ((c & 31) == 31) {
                    *y++ = bits ^ flip[c >> 5];
                    bits = 0;
                }
            }
        }
    }
}
