// Binary convolution: xor, popcount, and what becomes of the accumulator.
#include "internal.h"

#define BR_BLOCK (64) // output channels whose distances are found at a time
#define BR_GATHERED (72) // words of the largest window that is copied, so that its taps lie side by side: 3x3x256 bits

// One group's part of a pixel's window, as far as it lies inside the image.
typedef struct _br_window_t {
    br_runs_t runs; // of all rows, or of one
    size_t rows, x_row, filter_row; // how often, and the steps
    size_t filter_start;
    int32_t inputs; // terms in the sum
    uint32_t gathered[BR_GATHERED];
} br_window_t;

// Copies the taps. Rows that are as long as a filter's are one run then.
static void BR_HOT br_gather(br_window_t *window) {
    br_runs_t *runs = &window->runs;
    const uint32_t *row = runs->x;
    uint32_t *to = window->gathered;
    for (size_t r = 0; r < window->rows; r++, row += window->x_row) {
        const uint32_t *from = row;
        for (size_t run = 0; run < runs->runs; run++, from += runs->x_skip) {
            for (size_t i = 0; i < runs->words; i++) {
                *to++ = *from++;
            }
        }
    }
    runs->x = window->gathered;
    runs->words *= runs->runs;
    runs->runs = window->rows;
    runs->x_skip = 0;
    runs->filter_skip = window->filter_row - runs->words;
    if (runs->filter_skip == 0) {
        runs->words *= runs->runs;
        runs->runs = 1;
    }
    window->rows = 1;
}

static void BR_HOT br_find_window(const br_geometry_t *g, const uint32_t *x, size_t tap_words, uint32_t oy, uint32_t ox,
    br_window_t *window) {
    int32_t top = (int32_t)(oy * g->stride) - g->padding, left = (int32_t)(ox * g->stride) - g->padding;
    uint32_t ky0, ky1, kx0, kx1, words = g->cin >> 5;
    br_taps(top, g->height, g->kernel, &ky0, &ky1);
    br_taps(left, g->width, g->kernel, &kx0, &kx1);
    window->rows = ky1 - ky0;
    window->x_row = g->width * words;
    window->filter_row = g->kernel * tap_words;
    window->filter_start = (ky0 * g->kernel + kx0) * tap_words;
    size_t columns = kx1 - kx0, inputs = window->rows * columns * tap_words;
    window->inputs = (int32_t)(inputs * 32);
    br_runs_t *runs = &window->runs;
    runs->x = x + (uint32_t)(top + (int32_t)ky0) * window->x_row + (uint32_t)(left + (int32_t)kx0) * words;
    int touching = words == tap_words;
    runs->words = touching ? columns * tap_words : tap_words;
    runs->runs = touching ? 1 : columns;
    runs->x_skip = words - tap_words;
    runs->filter_skip = 0;
    if (inputs <= BR_GATHERED) {
        br_gather(window);
    }
    size_t used = runs->words * runs->runs + runs->filter_skip * (runs->runs - 1);
    runs->filter_next = g->kernel * window->filter_row - used;
}

static void BR_HOT br_window_distances(const br_window_t *window, const uint32_t *filter, size_t count, uint32_t *distance) {
    br_runs_t runs = window->runs;
    filter += window->filter_start;
    br_distances(&runs, filter, count, distance);
    for (size_t row = 1; row < window->rows; row++) {
        uint32_t more[BR_BLOCK];
        runs.x += window->x_row;
        filter += window->filter_row;
        br_distances(&runs, filter, count, more);
        for (size_t i = 0; i < count; i++) {
            distance[i] += more[i];
        }
    }
}

// Where a pixel's output channels go, from `channel` on.
typedef struct _br_output_t {
    size_t channel;
    int8_t *y; // of br_bconv2d
    const br_affine_t *affine;
    uint32_t *bits, word; // of br_bconv2d_sign: the pixel's words, and what there is of the present one
    const int16_t *threshold;
    const uint32_t *flip;
} br_output_t;

typedef void (*br_write_t)(br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count);

static inline void BR_HOT br_convolve(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, br_output_t *out, br_write_t write) {
    size_t tap_words = br_quotient(g->cin >> 5, g->groups), filter_words = g->kernel * (size_t)g->kernel * tap_words;
    size_t group_outputs = br_quotient(g->cout, g->groups);
    uint32_t oh = br_output_side(g->height, g), ow = br_output_side(g->width, g), distance[BR_BLOCK];
    br_window_t window;
    for (uint32_t oy = 0; oy < oh; oy++) {
        for (uint32_t ox = 0; ox < ow; ox++) {
            const uint32_t *filter = weight;
            out->channel = 0;
            for (size_t group = 0; group < g->groups; group++) {
                br_find_window(g, x + group * tap_words, tap_words, oy, ox, &window);
                for (size_t left = group_outputs, n; left; left -= n, filter += n * filter_words) {
                    n = left < BR_BLOCK ? left : BR_BLOCK;
                    br_window_distances(&window, filter, n, distance);
                    write(out, window.inputs, distance, n);
                    out->channel += n;
                }
            }
            out->y += g->cout;
            out->bits += g->cout >> 5;
        }
    }
}

static void BR_HOT br_write_affine(br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count) {
    const int16_t *slope = out->affine->slope + 2 * out->channel;
    const int32_t *bias = out->affine->bias + out->channel;
    uint32_t shift = out->affine->shift, half = 1u << (shift - 1);
    int8_t *y = out->y + out->channel;
    for (const uint32_t *end = distance + count; distance != end; slope += 2) {
        int32_t acc = inputs - 2 * (int32_t)*distance++;
        // No overflow: the affine's result is shifted right by at least 1.
        int32_t v = (int32_t)((uint32_t)br_mul(acc, slope[acc < 0]) + (uint32_t)*bias++ + half) >> shift;
        *y = br_sat8(*y + v);
        y++;
    }
}

static void BR_HOT br_write_sign(br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count) {
    uint32_t word = out->word;
    for (size_t i = 0, c = out->channel; i < count; i++, c++) {
        word |= (uint32_t)(inputs - 2 * (int32_t)distance[i] >= out->threshold[c]) << (c & 31);
        if ((c & 31) == 31) {
            out->bits[c >> 5] = word ^ out->flip[c >> 5];
            word = 0;
        }
    }
    out->word = word;
}

void BR_HOT br_bconv2d(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine, int8_t *y) {
    br_output_t out = { .y = y, .affine = affine };
    br_convolve(g, x, weight, &out, br_write_affine);
}

void BR_HOT br_bconv2d_sign(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight,
    const int16_t *threshold, const uint32_t *flip, uint32_t *y) {
    br_output_t out = { .bits = y, .threshold = threshold, .flip = flip };
    br_convolve(g, x, weight, &out, br_write_sign);
}
