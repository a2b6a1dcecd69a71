// Binary convolution: xor, popcount, and what becomes of the accumulator.
#include "internal.h"

#define BR_BLOCK (64) // output channels whose Hamming distances are found at a time
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
static void br_gather(br_window_t *window) {
    br_runs_t *runs = &window->runs;
    const uint32_t *row = runs->x;
    uint32_t *to = window->gathered;
    for (size_t r = 0; r < window->rows; r++, row += window->x_row) {
        const uint32_t *from = row;
        for (size_t run = 0; run < runs->runs; run++, from += runs->x_skip) {
            size_t i = runs->words;
            for (; i >= 2; i -= 2, to += 2, from += 2) {
                uint32_t a = from[0], b = from[1];
                to[0] = a;
                to[1] = b;
            }
            if (i) {
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

static void br_find_window(const br_geometry_t *g, const uint32_t *x, size_t tap_words, uint32_t oy, uint32_t ox,
    br_window_t *window) {
    int32_t top = (int32_t)(oy * g->stride_h) - g->padding_h, left = (int32_t)(ox * g->stride_w) - g->padding_w;
    uint32_t ky0, ky1, kx0, kx1, words = g->cin >> 5;
    br_taps(top, g->height, g->kernel_h, &ky0, &ky1);
    br_taps(left, g->width, g->kernel_w, &kx0, &kx1);
    window->rows = ky1 - ky0;
    window->x_row = g->width * words;
    window->filter_row = g->kernel_w * tap_words;
    window->filter_start = (ky0 * g->kernel_w + kx0) * tap_words;
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
    runs->filter_next = g->kernel_h * window->filter_row - used;
}

static void BR_HOT br_window_distances(const br_window_t *window, const uint32_t *filter, size_t count,
    uint32_t *distance) {
    br_runs_t runs = window->runs;
    filter += window->filter_start;
    br_hamming_distances(&runs, filter, count, distance);
    for (size_t row = 1; row < window->rows; row++) {
        uint32_t more[BR_BLOCK];
        runs.x += window->x_row;
        filter += window->filter_row;
        br_hamming_distances(&runs, filter, count, more);
        for (size_t i = 0; i < count; i++) {
            distance[i] += more[i];
        }
    }
}

typedef void (*br_write_t)(const br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count);

// Not in fast memory, as what takes time are the distances. Block by block of filters, all pixels: weights in flash are
// read once then, as a block fits in a small cache.
static void br_convolve(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, br_output_t *first,
    br_write_t write) {
    size_t tap_words = br_quotient(g->cin >> 5, g->groups), filter_words = br_kernel_taps(g) * tap_words;
    size_t group_outputs = br_quotient(g->cout, g->groups), block = BR_BLOCK;
    while (block > 1 && block * filter_words > BR_CACHED) {
        block >>= 1;
    }
    uint32_t oh = br_output_height(g), ow = br_output_width(g), distance[BR_BLOCK];
    br_window_t window;
    for (size_t group = 0; group < g->groups; group++, x += tap_words) {
        for (size_t left = group_outputs, n; left; left -= n, weight += n * filter_words, first->channel += n) {
            n = left < block ? left : block;
            br_output_t out = *first;
            for (uint32_t oy = 0; oy < oh; oy++) {
                for (uint32_t ox = 0; ox < ow; ox++) {
                    br_find_window(g, x, tap_words, oy, ox, &window);
                    br_window_distances(&window, weight, n, distance);
                    write(&out, window.inputs, distance, n);
                    out.pixel = (uint8_t *)out.pixel + out.pixel_bytes;
                }
            }
        }
    }
}

static void br_write_affine(const br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count) {
    const int16_t *slope = out->affine->slope + 2 * out->channel;
    const int32_t *bias = out->affine->bias + out->channel;
    uint32_t shift = out->affine->shift;
    int8_t *y = (int8_t *)out->pixel + out->channel;
    for (const uint32_t *end = distance + count; distance != end; slope += 2) {
        int32_t acc = inputs - 2 * (int32_t)*distance++;
        *y = br_sat8(*y + br_channel_affine(acc, slope, *bias++, shift));
        y++;
    }
}

static void br_write_masks(const br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count) {
    const int16_t *slope = out->affine->slope + 2 * out->channel;
    const int32_t *bias = out->affine->bias + out->channel;
    int8_t *y = (int8_t *)out->pixel + out->channel;
    size_t element = (size_t)(y - out->start);
    uint32_t *passes = out->passes + (element >> 5), *negative = out->negative + (element >> 5);
    // A block may start and end within a word.
    uint32_t bit = 1u << (element & 31), passing = bit == 1 ? 0 : *passes, below = bit == 1 ? 0 : *negative;
    for (size_t i = 0; i < count; i++, y++, slope += 2) {
        int32_t acc = inputs - 2 * (int32_t)distance[i];
        int32_t total = *y + br_channel_affine(acc, slope, bias[i], out->affine->shift);
        *y = br_sat8(total);
        passing |= total == *y ? bit : 0;
        below |= acc < 0 ? bit : 0;
        bit <<= 1;
        if (bit == 0) {
            *passes++ = passing;
            *negative++ = below;
            passing = below = 0;
            bit = 1;
        }
    }
    if (bit != 1) {
        *passes = passing;
        *negative = below;
    }
}

static void br_write_sign(const br_output_t *out, int32_t inputs, const uint32_t *distance, size_t count) {
    for (size_t i = 0, c = out->channel; i < count; i++, c++) {
        uint32_t *word = (uint32_t *)out->pixel + (c >> 5), bit = 1u << (c & 31);
        uint32_t others = bit == 1 ? 0 : *word; // channels come in order
        int above = inputs - 2 * (int32_t)distance[i] >= out->threshold[c];
        *word = above != ((out->flip[c >> 5] & bit) != 0) ? others | bit : others;
    }
}

#if BR_TABLES

static void br_write_lanes_affine(const br_output_t *out, const br_lane_t *lanes, const uint32_t *distances,
    size_t count) {
    br_affine_t affine = *out->affine;
    br_lane_t from[8];
    affine.slope += 2 * out->channel;
    affine.bias += out->channel;
    for (uint32_t i = 0; i < 8; i++) {
        from[i].pixel = (int8_t *)lanes[i].pixel + out->channel;
        from[i].inputs = lanes[i].inputs;
    }
    br_write_lanes(distances, from, &affine, count);
}

#endif

void br_bconv2d(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    uint32_t *scratch, size_t words, int8_t *y) {
    br_output_t out = { .pixel = y, .pixel_bytes = g->cout, .affine = affine };
    #if BR_TABLES
    if (br_convolve_by_tables(g, x, weight, scratch, words, &out, br_write_lanes_affine)) {
        return;
    }
    #else
    (void)scratch;
    (void)words;
    #endif
    br_convolve(g, x, weight, &out, br_write_affine);
}

void br_bconv2d_masks(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    uint32_t *scratch, size_t words, int8_t *y, uint32_t *passes, uint32_t *negative) {
    if (br_convolve_points(g, x, weight, affine, y, passes, negative, scratch, words)) {
        return;
    }
    br_output_t out = { .pixel = y, .pixel_bytes = g->cout, .affine = affine, .start = y };
    out.passes = passes;
    out.negative = negative;
    br_convolve(g, x, weight, &out, br_write_masks);
}

#if BR_TABLES

static void br_write_lanes_sign(const br_output_t *out, const br_lane_t *lanes, const uint32_t *distances,
    size_t count) {
    br_output_t to = *out;
    for (size_t n; count; count -= n, distances += 4 * n, to.channel += n) {
        n = count < BR_BLOCK ? count : BR_BLOCK;
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t distance[BR_BLOCK], shift = 16 * (i & 1);
            for (size_t c = 0; c < n; c++) {
                distance[c] = distances[4 * c + (i >> 1)] >> shift & 0xffff;
            }
            to.pixel = lanes[i].pixel;
            br_write_sign(&to, lanes[i].inputs, distance, n);
        }
    }
}

#endif

void br_bconv2d_sign(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const int16_t *threshold,
    const uint32_t *flip, uint32_t *scratch, size_t words, uint32_t *y) {
    br_output_t out = { .pixel = y, .pixel_bytes = g->cout >> 3, .threshold = threshold, .flip = flip };
    #if BR_TABLES
    if (br_convolve_by_tables(g, x, weight, scratch, words, &out, br_write_lanes_sign)) {
        return;
    }
    #else
    (void)scratch;
    (void)words;
    #endif
    br_convolve(g, x, weight, &out, br_write_sign);
}
