// The gradient of a binary convolution's weights, and their update. There is never more of it than one tap of one
// output channel; the planes of a channel's gradient take the place of the gradient.
#include "internal.h"

#define BR_PLANE_STEP (16) // words of 32 gradients: their planes come one after the other

// The samples that a channel's gradients are of.
typedef struct _br_positions_t {
    const uint8_t *shift; // of the sample
    size_t left, area; // positions of it, and of each
    size_t used; // positions that are any sample's, from here on
} br_positions_t;

// 32 gradients with their samples' exponents made equal.
static inline void BR_HOT br_align_block(const int16_t *g, br_positions_t *at, int32_t *out) {
    for (size_t i = 0; i < 32; i++) {
        if (at->used == 0) {
            out[i] = 0;
            continue;
        }
        if (at->left == 0) {
            at->left = at->area;
            at->shift++;
        }
        out[i] = g[i] * (1 << 14) >> *at->shift;
        at->left--;
        at->used--;
    }
}

// A channel's gradients become planes, in place: [words][16], of which `bits` are written. Returns the exponent.
static uint32_t BR_HOT br_quantize_row(int16_t *g, size_t words, const br_positions_t *start, uint32_t bits,
    int stochastic, uint32_t *rng) {
    int32_t block[32];
    uint32_t largest = 0;
    br_positions_t at = *start;
    for (size_t w = 0; w < words; w++) {
        br_align_block(g + 32 * w, &at, block);
        for (size_t i = 0; i < 32; i++) {
            largest = br_largest(largest, block[i]);
        }
    }
    uint32_t exponent = br_gradient_exponent(largest, bits), *planes = (uint32_t *)g;
    at = *start;
    for (size_t w = 0; w < words; w++) {
        br_align_block(g + 32 * w, &at, block);
        br_quantize_block(block, bits, exponent, stochastic, planes + BR_PLANE_STEP * w, 1, rng);
    }
    return exponent;
}

// Steps through output positions, of all samples, and finds what a tap sees there.
typedef struct _br_tap_t {
    const uint32_t *image;
    size_t used; // positions from here on
    uint32_t ox, oy;
    int32_t x, y;
} br_tap_t;

// The pixel, or NULL outside the image and where there is no position.
static inline const uint32_t *br_next_input(const br_geometry_t *g, int32_t left, int32_t top, br_tap_t *at) {
    if (at->used == 0) {
        return NULL;
    }
    size_t words = g->cin >> 5;
    int inside = at->x >= 0 && at->x < g->width && at->y >= 0 && at->y < g->height;
    const uint32_t *pixel = inside ? at->image + ((size_t)at->y * g->width + (size_t)at->x) * words : NULL;
    at->used--;
    at->x += g->stride_w;
    if (--at->ox == 0) {
        at->ox = br_output_width(g);
        at->x = left;
        at->y += g->stride_h;
        if (--at->oy == 0) {
            at->oy = br_output_height(g);
            at->y = top;
            at->image += (size_t)g->height * g->width * words;
        }
    }
    return pixel;
}

// What a tap sees, transposed: xt [cin][plane_words], inside [plane_words].
static void BR_HOT br_gather_tap(const br_geometry_t *g, size_t samples, const uint32_t *x, int32_t left, int32_t top,
    size_t plane_words, uint32_t *xt, uint32_t *inside) {
    br_tap_t at = { .image = x, .used = samples * br_output_pixels(g), .x = left, .y = top };
    at.ox = br_output_width(g);
    at.oy = br_output_height(g);
    const uint32_t *pixels[32];
    uint32_t block[32];
    for (size_t j = 0; j < plane_words; j++) {
        uint32_t seen = 0;
        for (uint32_t i = 0; i < 32; i++) {
            pixels[i] = br_next_input(g, left, top, &at);
            seen |= (uint32_t)(pixels[i] != NULL) << i;
        }
        inside[j] = seen;
        uint32_t *to = xt + j;
        for (size_t w = 0; w < (size_t)g->cin >> 5; w++) {
            for (size_t i = 0; i < 32; i++) {
                block[i] = pixels[i] ? pixels[i][w] : 0;
            }
            br_transpose_block(block);
            for (size_t i = 0; i < 32; i++, to += plane_words) {
                *to = block[i];
            }
        }
    }
}

// A sum of squares, as mantissa * 2^exponent; the mantissa is below 2^30.
typedef struct _br_square_t {
    uint32_t mantissa;
    int32_t exponent;
} br_square_t;

static inline uint32_t br_shift_down(uint32_t v, int32_t shift) {
    return v >> (shift > 31 ? 31 : shift);
}

// Adds the squares of a row, times 2^(2 * exponent): of the upper 8 bits of each.
static void BR_HOT br_add_squares(br_square_t *total, const int32_t *dw, size_t n, int32_t exponent) {
    uint32_t largest = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        largest = br_largest(largest, dw[i]);
    }
    uint32_t length = br_bit_length(largest), shift = length > 8 ? length - 8 : 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = br_abs(dw[i]) >> shift;
        sum += magnitude * magnitude;
    }
    if (sum == 0) {
        return;
    }
    int32_t at = 2 * ((int32_t)shift + exponent);
    if (total->mantissa == 0) {
        total->exponent = at;
    }
    int32_t higher = at > total->exponent ? at : total->exponent;
    total->mantissa = br_shift_down(total->mantissa, higher - total->exponent) + br_shift_down(sum, higher - at);
    total->exponent = higher;
    for (; total->mantissa >= 1u << 30; total->mantissa >>= 1) {
        total->exponent++;
    }
}

// Of a channel's planes, the positions whose tap is inside the image: planes [plane_words][16] to out
// [bits][plane_words].
static void BR_HOT br_mask_planes(const uint32_t *planes, uint32_t bits, const uint32_t *inside, size_t plane_words,
    uint32_t *out) {
    for (size_t w = 0; w < plane_words; w++, planes += BR_PLANE_STEP) {
        for (uint32_t b = 0; b < bits; b++) {
            out[b * plane_words + w] = planes[b] & inside[w];
        }
    }
}

// One tap of all trained channels: their weights and packed start at it.
static void BR_HOT br_train_tap(const br_geometry_t *g, size_t plane_words, const int16_t *gradient,
    const br_trained_t *trained, uint32_t *packed, const br_dw_hyper_t *hyper, const br_dw_scratch_t *at,
    int32_t *scratch, uint32_t *rng, br_square_t *square) {
    size_t inputs = br_quotient(g->cin, g->groups), outputs = br_quotient(g->cout, g->groups), end = outputs;
    size_t taps = br_kernel_taps(g);
    uint32_t bits = (uint32_t)hyper->bits;
    const uint32_t *xt = (uint32_t *)scratch, *inside = xt + at->inside;
    uint32_t *planes = (uint32_t *)scratch + at->planes;
    int32_t *dw = scratch + at->dw, *exponents = scratch + at->exponents;
    int8_t *weight = trained->weight;
    for (size_t t = 0; t < trained->count; t++, weight += taps * inputs, gradient += 32 * plane_words) {
        size_t o = trained->channels[t];
        for (; o >= end; end += outputs) {
            xt += inputs * plane_words;
        }
        br_mask_planes((const uint32_t *)gradient, bits, inside, plane_words, planes);
        br_dot_planes(planes, bits, plane_words, xt, inputs, dw);
        br_add_squares(square, dw, inputs, exponents[t]);
        if (hyper->update) {
            int32_t exponent = br_clamp(hyper->exponent + exponents[t], -31, 8);
            br_update_weights(weight, dw, inputs, hyper->mantissa, exponent, packed + o * taps * (inputs >> 5), rng);
        }
    }
}

void BR_HOT br_bconv2d_dw(const br_geometry_t *g, size_t samples, const uint32_t *x, int16_t *gradient,
    const uint8_t *shifts, const int16_t *slope, const br_trained_t *trained, uint32_t *packed,
    const br_dw_hyper_t *hyper, int32_t *scratch, uint32_t *rng, int32_t *square) {
    size_t area = br_output_pixels(g), plane_words = br_padded_positions(g, samples) >> 5;
    br_dw_scratch_t at = br_bconv2d_dw_scratch(g, samples, (size_t)hyper->bits, trained->count);
    br_positions_t start = { .shift = shifts, .left = area, .area = area, .used = samples * area };
    for (size_t t = 0; t < trained->count; t++) {
        uint32_t exponent = br_quantize_row(gradient + 32 * plane_words * t, plane_words, &start,
            (uint32_t)hyper->bits, hyper->stochastic, rng);
        scratch[at.exponents + t] = (int32_t)(exponent + br_slope_shift(slope + 2 * trained->channels[t]));
    }
    br_square_t sum = { 0, 0 };
    br_trained_t tap = *trained;
    size_t inputs = br_quotient(g->cin, g->groups);
    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
        for (int32_t kx = 0; kx < g->kernel_w; kx++) {
            br_gather_tap(g, samples, x, kx - g->padding_w, ky - g->padding_h, plane_words, (uint32_t *)scratch,
                (uint32_t *)scratch + at.inside);
            br_train_tap(g, plane_words, gradient, &tap, packed, hyper, &at, scratch, rng, &sum);
            tap.weight += inputs;
            packed += inputs >> 5;
        }
    }
    square[0] = (int32_t)sum.mantissa;
    square[1] = sum.exponent;
}
