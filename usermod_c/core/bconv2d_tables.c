// Binary convolutions by tables over activations.
//
// Eight output pixels, the lanes, are convolved at once. For each eight channels of a tap a table has a word for every
// byte that a filter may have there: nibble l counts the bits in which that byte differs from lane l's. Sixty-four
// channels of a row of input are eight such tables; all filters look up there, for each row of output that reads it.
#include "internal.h"
#include <string.h>

#if BR_TABLES

#define BR_TABLES_WORDS (8 * 256)
#define BR_SLOT_WORDS (2 + 4) // of a filter in a row of output: sums, and distances
#define BR_START (10) // words that br_fill_table starts from
#define BR_PASSES (3) // so many times 8 lookups of up to 8 are less than 256
#define BR_ROWS (8) // of output that are summed up at once: a power of two, not below BR_MAX_KERNEL

// bconv2d_tables_armv6m.S has these four for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

void BR_HOT br_fill_table(uint32_t *table, const uint32_t *start) {
    uint32_t at[4] = { start[0], start[1], start[2], start[3] };
    for (uint32_t four = 0; four < 64; four++, table += 4) {
        memcpy(table, at, sizeof(at));
        const uint32_t *change = start + 4;
        for (uint32_t below = four; below & 1; below >>= 1) {
            change++;
        }
        for (int i = 0; i < 4 && four != 63; i++) {
            at[i] += *change;
        }
    }
}

void BR_HOT br_look_up(const uint32_t *filter, uint32_t *sums, const uint32_t *sums_end, const uint32_t *tables,
    size_t step) {
    for (; sums != sums_end; sums += 2, filter += step) {
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t counts = tables[256 * i + (filter[i >> 2] >> 8 * (i & 3) & 0xff)];
            sums[0] += counts & 0x0f0f0f0fu;
            sums[1] += counts >> 4;
        }
    }
}

void BR_HOT br_add_sums(uint32_t *sums, const uint32_t *sums_end, uint32_t *distances) {
    const uint32_t low = 0x00ff00ffu;
    for (; sums != sums_end; sums += 2, distances += 4) {
        uint32_t even = sums[0], odd = sums[1] - (even >> 8 << 4);
        distances[0] += even & low;
        distances[1] += odd & low;
        distances[2] += even >> 8 & low;
        distances[3] += odd >> 8 & low;
        sums[0] = sums[1] = 0;
    }
}

void BR_HOT br_write_lanes(const uint32_t *distances, const br_lane_t *lanes, const br_affine_t *affine,
    size_t count) {
    for (size_t c = 0; c < count; c++, distances += 4) {
        for (uint32_t i = 0; i < 8; i++) {
            int32_t acc = lanes[i].inputs - 2 * (int32_t)(distances[i >> 1] >> 16 * (i & 1) & 0xffff);
            int8_t *y = (int8_t *)lanes[i].pixel + c;
            *y = br_sat8(*y + br_affine(affine, acc, c));
        }
    }
}

#endif

// A convolution under way: a block of filters, and lanes that are `columns` wide. Their rows are `apart`.
typedef struct _br_lookups_t {
    const br_geometry_t *g;
    const uint32_t *x, *filters;
    size_t pixel_words, tap_words, filter_words, count;
    uint32_t log2_columns, apart, left, slots; // slots: rows of output that are summed up at once, a power of two
    uint32_t *tables, *sums; // sums: of each slot a block's sums, [2], and then its distances, [4]
    uint8_t passes[BR_ROWS]; // whose counts are in the sums
} br_lookups_t;

static uint32_t *br_slot(const br_lookups_t *l, uint32_t row) {
    return l->sums + (row & (l->slots - 1)) * l->count * BR_SLOT_WORDS;
}

#define BR_BIT(nibbles, bit) ((nibbles) >> (bit) & 0x11111111u)

// The tables of a word of the lanes' pixels; here: 1 in the nibbles of lanes whose pixel is inside the image.
static void BR_HOT br_fill_tables(const uint32_t *lane, uint32_t here, uint32_t *table) {
    uint32_t nibbles[8]; // then: [i] has the i-th nibble of every lane
    for (uint32_t i = 0; i < 4; i++) {
        nibbles[i] = (lane[i] & 0xffff) | lane[i + 4] << 16;
        nibbles[i + 4] = lane[i] >> 16 | (lane[i + 4] & 0xffff0000u);
    }
    for (uint32_t i = 0; i < 8; i = i + 1 + (i & 1) * 2) {
        uint32_t swapped = (nibbles[i] >> 8 ^ nibbles[i + 2]) & 0x00ff00ffu;
        nibbles[i] ^= swapped << 8;
        nibbles[i + 2] ^= swapped;
    }
    for (uint32_t i = 0; i < 8; i += 2) {
        uint32_t swapped = (nibbles[i] >> 4 ^ nibbles[i + 1]) & 0x0f0f0f0fu;
        nibbles[i] ^= swapped << 4;
        nibbles[i + 1] ^= swapped;
    }
    for (uint32_t i = 0; i < 8; i += 2, table += 256) {
        // A bit of the index that is set adds 1 where the lane's is not, else -1. What is added when the index counts up
        // to such a bit takes back what the bits below had added, but the lowest two, which have their own entries.
        uint32_t low = nibbles[i], high = nibbles[i + 1];
        uint32_t start[BR_START], none = BR_BIT(low, 0), below = here - 2 * BR_BIT(low, 2), change;
        start[1] = here - 2 * none;
        none += BR_BIT(low, 1);
        start[2] = here - 2 * BR_BIT(low, 1);
        none += BR_BIT(low, 2);
        start[4] = below;
        change = here - 2 * BR_BIT(low, 3);
        none += BR_BIT(low, 3);
        start[5] = change - below;
        below += change;
        change = here - 2 * BR_BIT(high, 0);
        none += BR_BIT(high, 0);
        start[6] = change - below;
        below += change;
        change = here - 2 * BR_BIT(high, 1);
        none += BR_BIT(high, 1);
        start[7] = change - below;
        below += change;
        change = here - 2 * BR_BIT(high, 2);
        none += BR_BIT(high, 2);
        start[8] = change - below;
        below += change;
        none += BR_BIT(high, 3);
        start[9] = here - 2 * BR_BIT(high, 3) - below;
        start[0] = none;
        start[3] = none + start[1] + start[2];
        start[1] += none;
        start[2] += none;
        br_fill_table(table, start);
    }
}

// The tables of two words, for what lies at a column of the kernel in a row of input: that of the first lanes.
// Whether there is anything.
static int BR_HOT br_fill(const br_lookups_t *l, int32_t in, uint32_t kx, size_t word) {
    const uint32_t outside[2] = { 0, 0 };
    const br_geometry_t *g = l->g;
    uint32_t here = 0, lane = 0, lanes[2][8], y = (uint32_t)in, columns = 1u << l->log2_columns;
    uint32_t step = (uint32_t)l->pixel_words << (g->stride_w - 1);
    do {
        // What is left of the image is beyond its width, as these wrap around.
        uint32_t x = (l->left << (g->stride_w - 1)) + kx - g->padding_w;
        uint32_t pixel = (y * g->width + x) * (uint32_t)l->pixel_words + (uint32_t)word;
        for (uint32_t c = 0; c < columns; c++, lane++, x += g->stride_w, pixel += step) {
            int inside = y < g->height && x < g->width;
            const uint32_t *from = inside ? l->x + pixel : outside;
            here |= (uint32_t)inside << 4 * lane;
            lanes[0][lane] = from[0];
            lanes[1][lane] = from[1];
        }
        y += l->apart << (g->stride_h - 1);
    } while (lane < 8);
    if (here) {
        br_fill_tables(lanes[0], here, l->tables);
        br_fill_tables(lanes[1], here, l->tables + 4 * 256);
    }
    return here != 0;
}

static void BR_HOT br_flush(br_lookups_t *l, uint32_t row) {
    uint32_t *sums = br_slot(l, row);
    br_add_sums(sums, sums + 2 * l->count, sums + 2 * l->count);
    l->passes[row & (l->slots - 1)] = 0;
}

// Adds to all rows of output what they read of a row of input, at a column of the kernel and in two words.
static void BR_HOT br_add_row(br_lookups_t *l, int32_t in, uint32_t kx, size_t word) {
    const br_geometry_t *g = l->g;
    int filled = 0;
    if (l->log2_columns == 3 && (uint32_t)in >= g->height) {
        return; // eight lanes side by side, above or below the image
    }
    for (uint32_t ky = 0; ky < g->kernel_h; ky++) {
        int32_t top = in + g->padding_h - (int32_t)ky;
        uint32_t row = (uint32_t)top >> (g->stride_h - 1);
        if (top < 0 || (top & (g->stride_h - 1)) || row >= l->apart) {
            continue;
        }
        if (!filled && !br_fill(l, in, kx, word)) {
            return;
        }
        filled = 1;
        uint32_t *sums = br_slot(l, row);
        const uint32_t *filters = l->filters + (ky * g->kernel_w + kx) * l->tap_words + word;
        br_look_up(filters, sums, sums + 2 * l->count, l->tables, l->filter_words);
        if (++l->passes[row & (l->slots - 1)] == BR_PASSES) {
            br_flush(l, row);
        }
    }
}

// Hands out a row's distances, and makes room for another one.
static void br_finish_row(br_lookups_t *l, uint32_t row, const br_output_t *out, br_write_lanes_t write) {
    const br_geometry_t *g = l->g;
    uint32_t oh = br_output_height(g), ow = br_output_width(g), columns = 1u << l->log2_columns, lane = 0;
    br_lane_t lanes[8];
    for (uint32_t y = row; lane < 8; y += l->apart) {
        uint32_t ky0, ky1, kx0, kx1;
        br_taps((int32_t)(y << (g->stride_h - 1)) - g->padding_h, g->height, g->kernel_h, &ky0, &ky1);
        size_t inputs = (ky1 - ky0) * l->tap_words * 32;
        for (uint32_t x = l->left, end = x + columns; x != end; x++, lane++) {
            br_lane_t *to = lanes + br_place(lane);
            if (y >= oh || x >= ow) { // no pixel: it goes where tables were, which nobody needs now
                to->pixel = l->tables;
                to->inputs = 0;
                continue;
            }
            br_taps((int32_t)(x << (g->stride_w - 1)) - g->padding_w, g->width, g->kernel_w, &kx0, &kx1);
            to->inputs = (int32_t)((kx1 - kx0) * inputs);
            to->pixel = (uint8_t *)out->pixel + (y * ow + x) * out->pixel_bytes;
        }
    }
    if (l->passes[row & (l->slots - 1)]) {
        br_flush(l, row);
    }
    uint32_t *distances = br_slot(l, row) + 2 * l->count;
    write(out, lanes, distances, l->count);
    memset(distances, 0, 16 * l->count);
}

// A block of filters, all pixels.
static void br_convolve_block(br_lookups_t *l, const br_output_t *out, br_write_lanes_t write) {
    const br_geometry_t *g = l->g;
    uint32_t ow = br_output_width(g), rows = l->apart;
    int32_t last = (int32_t)((rows - 1) << (g->stride_h - 1)) - g->padding_h + g->kernel_h - 1;
    for (l->left = 0; l->left < ow; l->left += 1u << l->log2_columns) {
        // Where all rows have a slot, each weight is read at one time, else by one row after the other.
        for (uint32_t kx = 0; rows <= l->slots && kx < g->kernel_w; kx++) {
            for (size_t word = 0; word < l->tap_words; word += 2) {
                for (int32_t in = -(int32_t)g->padding_h; in <= last; in++) {
                    br_add_row(l, in, kx, word);
                }
            }
        }
        for (int32_t in = -(int32_t)g->padding_h; in <= last; in++) {
            for (uint32_t kx = 0; rows > l->slots && kx < g->kernel_w; kx++) {
                for (size_t word = 0; word < l->tap_words; word += 2) {
                    br_add_row(l, in, kx, word);
                }
            }
            int32_t top = in + g->padding_h - g->kernel_h + 1;
            if (top >= 0 && !(top & (g->stride_h - 1))) {
                br_finish_row(l, (uint32_t)top >> (g->stride_h - 1), out, write);
            }
        }
    }
}

// How a layer's pixels are laid out in lanes, and how many filters make a block of those that the scratch has room for:
// 0 where tables are not worth their time.
static size_t br_choose(br_lookups_t *l, size_t words) {
    const br_geometry_t *g = l->g;
    l->pixel_words = g->cin >> 5;
    l->tap_words = br_quotient(l->pixel_words, g->groups);
    l->filter_words = br_kernel_taps(g) * l->tap_words;
    uint32_t oh = br_output_height(g), ow = br_output_width(g), strips = (ow + 7) >> 3;
    l->log2_columns = ow > 4 ? 3 : ow > 2 ? 2 : ow - 1;
    l->apart = (oh + (8u >> l->log2_columns) - 1) >> (3 - l->log2_columns);
    for (l->slots = 1; l->slots << (g->stride_h - 1) < g->kernel_h && l->slots < l->apart; l->slots <<= 1) {
    }
    size_t outputs = br_quotient(g->cout, g->groups), most = 0;
    if (words > BR_TABLES_WORDS) {
        most = br_quotient(words - BR_TABLES_WORDS, BR_SLOT_WORDS * l->slots);
    }
    size_t cached = br_quotient(BR_CACHED, l->filter_words);
    if (l->apart > l->slots && most > cached) {
        most = cached;
    }
    size_t count = outputs <= most ? outputs : most & ~(size_t)31;
    // Five of eight lanes are there, and filters enough for what it takes to make tables.
    int pays = oh * ow * 8 >= 5 * 8 * strips * l->apart && count * g->kernel_h >= 64u << (g->stride_h - 1);
    return pays && !(l->tap_words & 1) ? count : 0;
}

size_t br_bconv2d_scratch(const br_geometry_t *g) {
    br_lookups_t l = { .g = g };
    size_t count = br_choose(&l, (size_t)1 << 24);
    return count ? BR_TABLES_WORDS + BR_SLOT_WORDS * l.slots * count : 0;
}

int br_convolve_by_tables(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, uint32_t *scratch,
    size_t words, br_output_t *out, br_write_lanes_t write) {
    br_lookups_t l = { .g = g, .x = x, .filters = weight, .tables = scratch, .sums = scratch + BR_TABLES_WORDS };
    size_t block = br_choose(&l, words), outputs = br_quotient(g->cout, g->groups);
    if (block == 0) {
        return 0;
    }
    memset(l.sums, 0, 4 * BR_SLOT_WORDS * l.slots * block);
    for (size_t group = 0; group < g->groups; group++, l.x += l.tap_words) {
        for (size_t left = outputs; left; left -= l.count) {
            l.count = left < block ? left : block;
            br_convolve_block(&l, out, write);
            l.filters += l.count * l.filter_words;
            out->channel += l.count;
        }
    }
    return 1;
}

#else

size_t br_bconv2d_scratch(const br_geometry_t *g) {
    (void)g;
    return 0;
}

#endif
