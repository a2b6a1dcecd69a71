// The gradient of a binary convolution's weights, and their update. There is never more of it than one tap of two
// output channels, or four; the numbers of few bits of a channel's gradient take the place of the gradient. Only loops that
// take time are in fast memory.
#include "products.h"

// A channel's gradients, of samples that have exponents of their own.
typedef struct _br_row_t {
    const uint8_t *shifts; // by which a sample's gradients are shifted right
    size_t samples, area; // positions of each
    size_t width; // of all, and what fills up the last word
} br_row_t;

static BR_OUTLINE uint32_t BR_HOT br_largest_of_row(const int16_t *g, const br_row_t *row) {
    uint32_t largest = 0;
    const uint8_t *shifts = row->shifts;
    size_t area = row->area;
    for (const int16_t *end = g + row->samples * area; g != end;) {
        int32_t low = 0, high = 0;
        for (const int16_t *sample_end = g + area; g != sample_end; g++) {
            low = *g < low ? *g : low;
            high = *g > high ? *g : high;
        }
        uint32_t shift = *shifts++;
        largest = br_largest(largest, br_aligned(low, shift));
        largest = br_largest(largest, br_aligned(high, shift));
    }
    return largest;
}

// Each gradient, and half or noise below the mask, becomes the part above the exponent.
static BR_OUTLINE void BR_HOT br_round_row(int16_t *g, const br_row_t *row, uint32_t exponent, int32_t half,
    uint32_t mask, uint32_t *rng) {
    uint32_t state = *rng;
    const uint8_t *shifts = row->shifts;
    size_t area = row->area;
    for (const int16_t *end = g + row->samples * area; g != end;) {
        uint32_t shift = *shifts++;
        for (const int16_t *sample_end = g + area; g != sample_end; g++) {
            int32_t v = br_aligned(*g, shift) + half;
            if (mask) {
                state = br_xorshift(state);
                v += (int32_t)(state & mask);
            }
            *g = (int16_t)(v >> exponent);
        }
    }
    *rng = state;
}

// A channel's gradients become numbers of so many bits, in place. Returns the exponent. As it is that of the largest
// gradient, below BR_GRADIENT_LIMIT, no number needs to be clamped.
static uint32_t br_quantize_row(int16_t *g, const br_row_t *row, uint32_t bits, int stochastic, uint32_t *rng) {
    uint32_t exponent = br_gradient_exponent(br_largest_of_row(g, row), bits);
    uint32_t mask = stochastic ? (1u << exponent) - 1 : 0;
    br_round_row(g, row, exponent, stochastic || exponent == 0 ? 0 : 1 << (exponent - 1), mask, rng);
    for (size_t i = row->samples * row->area; i < row->width; i++) {
        g[i] = 0;
        if (mask) {
            br_draw(rng);
        }
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

// What a tap sees, transposed: xt [cin][words], inside [words].
static void br_gather_tap(const br_geometry_t *g, size_t samples, const uint32_t *x, int32_t left, int32_t top,
    size_t words, uint32_t *xt, uint32_t *inside) {
    br_tap_t at = { .image = x, .used = samples * br_output_pixels(g), .x = left, .y = top };
    at.ox = br_output_width(g);
    at.oy = br_output_height(g);
    const uint32_t *pixels[32];
    uint32_t block[32];
    for (size_t j = 0; j < words; j++) {
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
            for (size_t i = 0; i < 32; i++, to += words) {
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

// Adds sum * 2^at.
static void br_add_square(br_square_t *total, uint32_t sum, int32_t at) {
    if (sum == 0) {
        return;
    }
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

// Adds the squares of a row, times 2^(2 * exponent): of the upper 8 bits of each. bound: that no magnitude is above.
static BR_OUTLINE void BR_HOT br_add_squares(br_square_t *total, const int32_t *dw, size_t n, int32_t exponent,
    uint32_t bound) {
    uint32_t largest = 0, sum = 0;
    for (size_t i = 0; i < n && bound > 255; i++) {
        largest = br_largest(largest, dw[i]);
    }
    uint32_t length = br_bit_length(largest), shift = length > 8 ? length - 8 : 0;
    if (shift == 0) {
        for (size_t i = 0; i < n; i++) {
            sum += (uint32_t)br_mul(dw[i], dw[i]);
        }
    }
    for (size_t i = 0; i < n && shift; i++) {
        uint32_t magnitude = br_abs(dw[i]) >> shift;
        sum += magnitude * magnitude;
    }
    br_add_square(total, sum, 2 * ((int32_t)shift + exponent));
}

// What there is of a layer while a tap of it is trained.
typedef struct _br_training_t {
    const br_geometry_t *geometry;
    const br_trained_t *trained;
    const br_dw_hyper_t *hyper;
    size_t words; // of a channel's positions
    uint32_t bound; // on the magnitude of dW
    const int32_t *exponents;
    uint32_t *rng;
    br_square_t square;
} br_training_t;

// The t-th trained channel's row of dW at a tap.
static void br_train_row(br_training_t *at, size_t t, size_t inputs, const int32_t *dw, int8_t *weight,
    uint32_t *packed) {
    br_add_squares(&at->square, dw, inputs, at->exponents[t], at->bound);
    if (at->hyper->update) {
        int32_t exponent = br_clamp(at->hyper->exponent + at->exponents[t], -31, 8);
        br_update_weights(weight, dw, inputs, at->hyper->mantissa, exponent, packed, at->rng);
    }
}

// As br_train_row, of the sums in the lane-th bytes of counts, for whose total see br_find_counts.
static void br_train_counts(br_training_t *at, size_t t, size_t inputs, const uint32_t *counts, uint32_t lane,
    uint32_t total, int32_t *dw, int8_t *weight, uint32_t *packed) {
    uint32_t mantissa = (uint32_t)at->hyper->mantissa, shift = (uint32_t)-(at->hyper->exponent + at->exponents[t]);
    total &= 255;
    int small = shift - 1 < 24 && total * mantissa < 31u << shift;
    if (at->hyper->update && small && ((uintptr_t)weight & 3) == 0) {
        br_steps_t steps = { total, (int32_t)(mantissa << (24 - shift)), lane };
        br_add_square(&at->square, br_update_counted(weight, counts, inputs, &steps, packed, at->rng),
            2 * at->exponents[t]);
        return;
    }
    for (size_t i = 0; i < inputs; i++) {
        dw[i] = 2 * (int32_t)(counts[i] >> 8 * lane & 255) - (int32_t)total;
    }
    br_train_row(at, t, inputs, dw, weight, packed);
}

// One tap of all trained channels: weight and packed start at it. Where sums are small, two channels share a word, and
// four where they are smaller.
static void br_train_tap(br_training_t *at, const int16_t *q, int8_t *weight, uint32_t *packed,
    const br_dw_scratch_t *places, int32_t *scratch) {
    const br_geometry_t *g = at->geometry;
    const uint16_t *channels = at->trained->channels;
    size_t inputs = br_quotient(g->cin, g->groups), outputs = br_quotient(g->cout, g->groups), end = outputs;
    size_t fan_in = br_kernel_taps(g) * inputs, words = at->words;
    const uint32_t *xt = (uint32_t *)scratch, *inside = xt + places->inside;
    uint32_t *tables = (uint32_t *)scratch + places->tables, *sums = (uint32_t *)scratch + places->sums;
    int32_t *dw = scratch + places->dw;
    for (size_t t = 0; t < at->trained->count; t++, weight += fan_in, q += 32 * words) {
        for (; channels[t] >= end; end += outputs) {
            xt += inputs * words;
        }
        if (at->bound <= 255) {
            size_t lanes = 1;
            while (lanes < 4 && t + lanes < at->trained->count && channels[t + lanes] < end) {
                lanes++;
            }
            uint32_t total = br_find_counts(q, lanes, inside, words, xt, inputs, tables, sums);
            for (uint32_t lane = 0; lane < lanes; lane++, total >>= 8) {
                br_train_counts(at, t + lane, inputs, sums, lane, total, dw, weight + lane * fan_in,
                    packed + channels[t + lane] * (fan_in >> 5));
            }
            t += lanes - 1;
            weight += (lanes - 1) * fan_in;
            q += 32 * words * (lanes - 1);
            continue;
        }
        int two = at->bound <= BR_LANE && t + 1 < at->trained->count && channels[t + 1] < end;
        br_find_products(q, two ? q + 32 * words : NULL, inside, words, xt, inputs, tables, sums);
        if (two) {
            br_split_sums(sums, inputs, dw);
            br_train_row(at, t, inputs, dw, weight, packed + channels[t] * (fan_in >> 5));
            t++;
            weight += fan_in;
            q += 32 * words;
        }
        br_train_row(at, t, inputs, (int32_t *)sums, weight, packed + channels[t] * (fan_in >> 5));
    }
}

void br_bconv2d_dw(const br_geometry_t *g, size_t samples, const uint32_t *x, int16_t *gradient, const uint8_t *shifts,
    const int16_t *slope, const br_trained_t *trained, uint32_t *packed, const br_dw_hyper_t *hyper, int32_t *scratch,
    uint32_t *rng, int32_t *square) {
    size_t width = br_padded_positions(g, samples), words = width >> 5, inputs = br_quotient(g->cin, g->groups);
    uint32_t bits = (uint32_t)hyper->bits;
    br_dw_scratch_t places = br_bconv2d_dw_scratch(g, samples, trained->count);
    br_row_t row = { shifts, samples, br_output_pixels(g), width };
    for (size_t t = 0; t < trained->count; t++) {
        uint32_t exponent = br_quantize_row(gradient + width * t, &row, bits, hyper->stochastic, rng);
        scratch[places.exponents + t] = (int32_t)(exponent + br_slope_shift(slope + 2 * trained->channels[t]));
    }
    uint32_t bound = (uint32_t)width * ((1u << (bits - 1)) - 1);
    br_training_t at = { g, trained, hyper, words, bound, scratch + places.exponents, rng, { 0, 0 } };
    int8_t *weight = trained->weight;
    for (int32_t ky = 0; ky < g->kernel_h; ky++) {
        for (int32_t kx = 0; kx < g->kernel_w; kx++, weight += inputs, packed += inputs >> 5) {
            br_gather_tap(g, samples, x, kx - g->padding_w, ky - g->padding_h, words, (uint32_t *)scratch,
                (uint32_t *)scratch + places.inside);
            br_train_tap(&at, gradient, weight, packed, &places, scratch);
        }
    }
    square[0] = (int32_t)at.square.mantissa;
    square[1] = at.square.exponent;
}
