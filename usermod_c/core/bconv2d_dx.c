// The gradient of a binary convolution's input: products of the output's gradient, as numbers of few bits, and
// transposed signs.
#include "products.h"

// The gradients at 32 accumulators, from those at their outputs.
static inline void BR_HOT br_through_slopes(const int16_t *g, uint32_t negative, const int16_t *slope, int32_t *out) {
    for (size_t i = 0; i < 32; i++, negative >>= 1, slope += 2) {
        out[i] = g[i] * slope[negative & 1];
    }
}

static uint32_t BR_HOT br_largest_through_slopes(const int16_t *g, const uint32_t *negative, const int16_t *slope,
    size_t positions, size_t cout) {
    int32_t block[32];
    uint32_t largest = 0;
    for (; positions; positions--) {
        for (size_t c = 0; c < cout; c += 32, g += 32) {
            br_through_slopes(g, *negative++, slope + 2 * c, block);
            for (size_t i = 0; i < 32; i++) {
                largest = br_largest(largest, block[i]);
            }
        }
    }
    // -2^15 * -2^15 is clamped.
    return largest < BR_GRADIENT_LIMIT ? largest : BR_GRADIENT_LIMIT;
}

// What there is of a layer while its input's gradient is summed up.
typedef struct _br_passing_t {
    const br_geometry_t *geometry;
    uint32_t bits;
    void *numbers; // [positions][cout], int8_t or, of more than 8 bits, int16_t
    uint32_t *signs, *sums; // [inputs]
    uint32_t *tables;
    size_t inputs; // of a group
} br_passing_t;

// One exponent for the sample, which is returned.
static uint32_t BR_HOT br_quantize_sample(const br_passing_t *at, const int16_t *g, const uint32_t *negative,
    const int16_t *slope, int stochastic, uint32_t *rng) {
    size_t positions = br_output_pixels(at->geometry), cout = at->geometry->cout;
    uint32_t largest = br_largest_through_slopes(g, negative, slope, positions, cout);
    uint32_t exponent = br_gradient_exponent(largest, at->bits), mask = (1u << exponent) - 1, state = *rng;
    int32_t half = (int32_t)((mask + 1) >> 1), block[32];
    int8_t *bytes = at->numbers;
    int16_t *halfwords = at->numbers;
    for (; positions; positions--) {
        for (size_t c = 0; c < cout; c += 32, g += 32) {
            br_through_slopes(g, *negative++, slope + 2 * c, block);
            for (size_t i = 0; i < 32; i++) {
                int32_t noise = half;
                if (stochastic && exponent) {
                    state = br_xorshift(state);
                    noise = (int32_t)(state & mask);
                }
                int32_t q = (br_clamp(block[i], -BR_GRADIENT_LIMIT, BR_GRADIENT_LIMIT) + noise) >> exponent;
                if (at->bits <= 8) {
                    *bytes++ = (int8_t)q;
                } else {
                    *halfwords++ = (int16_t)q;
                }
            }
        }
    }
    *rng = state;
    return exponent;
}

static inline void BR_HOT br_load_block(const br_passing_t *at, size_t first, int16_t *q) {
    for (size_t i = 0; i < 32; i++) {
        q[i] = at->bits <= 8 ? ((const int8_t *)at->numbers)[first + i] : ((const int16_t *)at->numbers)[first + i];
    }
}

// An output position, and the input pixel that a tap reads there.
typedef struct _br_meeting_t {
    size_t output, pixel;
} br_meeting_t;

// Adds to d, from the group on, what 32 output channels, from `first` on, bring it at one position, or at `other` too.
static void BR_HOT br_add_meetings(const br_passing_t *at, const br_meeting_t *one, const br_meeting_t *other,
    size_t first, int32_t *d) {
    int16_t q[32], next_q[32];
    size_t cin = at->geometry->cin, cout = at->geometry->cout;
    br_load_block(at, one->output * cout + first, q);
    if (other) {
        br_load_block(at, other->output * cout + first, next_q);
    }
    br_find_products(q, other ? next_q : NULL, NULL, 1, at->signs, at->inputs, at->tables, at->sums);
    int32_t *to = d + one->pixel * cin;
    if (!other) {
        for (size_t i = 0; i < at->inputs; i++) {
            to[i] += (int32_t)at->sums[i];
        }
        return;
    }
    int32_t *next = d + other->pixel * cin;
    for (size_t i = 0; i < at->inputs; i++) {
        uint32_t sum = at->sums[i];
        int32_t low = (int16_t)sum;
        to[i] += low;
        next[i] += (int32_t)(sum - (uint32_t)low) >> 16;
    }
}

// Adds one tap's part of 32 output channels, whose signs are there. Where sums are small, two positions share a word.
static void BR_HOT br_add_tap(const br_passing_t *at, uint32_t ky, uint32_t kx, size_t first, int32_t *d) {
    const br_geometry_t *g = at->geometry;
    uint32_t oh = br_output_height(g), ow = br_output_width(g);
    size_t most = 32 * ((1u << (at->bits - 1)) - 1) <= BR_LANE ? 2 : 1, count = 0, output = 0;
    br_meeting_t met[2];
    int32_t y = (int32_t)ky - g->padding_h;
    for (uint32_t oy = 0; oy < oh; oy++, y += g->stride_h) {
        int32_t x = (int32_t)kx - g->padding_w;
        for (uint32_t ox = 0; ox < ow; ox++, x += g->stride_w, output++) {
            if (y >= 0 && y < g->height && x >= 0 && x < g->width) {
                met[count].output = output;
                met[count].pixel = (size_t)y * g->width + (size_t)x;
                if (++count == most) {
                    br_add_meetings(at, met, count > 1 ? met + 1 : NULL, first, d);
                    count = 0;
                }
            }
        }
    }
    if (count) {
        br_add_meetings(at, met, NULL, first, d);
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

void BR_HOT br_bconv2d_dx(const br_geometry_t *geometry, const int16_t *g, const uint32_t *negative,
    const int16_t *slope, uint32_t shift, const uint32_t *weight, uint32_t bits, int stochastic, int32_t *scratch,
    int32_t *d, uint32_t *rng, int16_t *exponents) {
    size_t outputs = br_quotient(geometry->cout, geometry->groups),
           inputs = br_quotient(geometry->cin, geometry->groups);
    size_t tap_words = inputs >> 5, filter_words = br_kernel_taps(geometry) * tap_words;
    br_passing_t at = { .geometry = geometry, .bits = bits, .numbers = scratch, .inputs = inputs };
    at.tables = (uint32_t *)scratch + br_bconv2d_dx_scratch(geometry, bits) - BR_TABLE_WORDS;
    at.sums = at.tables - inputs;
    at.signs = at.sums - inputs;
    uint32_t exponent = br_quantize_sample(&at, g, negative, slope, stochastic, rng);
    size_t n = (size_t)geometry->height * geometry->width * geometry->cin;
    for (size_t i = 0; i < n; i++) {
        d[i] = 0;
    }
    for (size_t first = 0, end = outputs; first < geometry->cout; first += 32, weight += 32 * filter_words) {
        if (first == end) {
            end += outputs;
            d += inputs;
        }
        const uint32_t *tap = weight;
        for (uint32_t ky = 0; ky < geometry->kernel_h; ky++) {
            for (uint32_t kx = 0; kx < geometry->kernel_w; kx++, tap += tap_words) {
                br_transpose_rows(tap, filter_words, 32, tap_words, at.signs);
                br_add_tap(&at, ky, kx, first, d);
            }
        }
    }
    int32_t normal = br_normalize_sums(d - inputs * (geometry->groups - 1u), n);
    exponents[1] = (int16_t)(exponents[0] - (int32_t)shift + (int32_t)exponent + normal);
}
