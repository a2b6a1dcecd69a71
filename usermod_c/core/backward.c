// What passes gradients through the layers between binary convolutions. A gradient is i16 with an exponent, so
// kernels that normalize find the largest magnitude of their results first, and then compute them again.
#include "internal.h"

// By how much each of two gradients is shifted right, so that both, times 2^14, have the exponent `top`.
typedef struct _br_shifts_t {
    int32_t top;
    uint32_t shift_g, shift_d;
} br_shifts_t;

static br_shifts_t br_align(int32_t g, int32_t d) {
    br_shifts_t to = { .top = g > d ? g : d };
    to.shift_g = (uint32_t)br_clamp(to.top - g, 0, 31);
    to.shift_d = (uint32_t)br_clamp(to.top - d, 0, 31);
    to.top -= 14;
    return to;
}

static inline int32_t br_sum_copies(const int16_t *gy, size_t channels, uint32_t repeat) {
    int32_t sum = 0;
    for (uint32_t copy = 0; copy < repeat; copy++, gy += channels) {
        sum += *gy;
    }
    return sum;
}

void br_avg_pool_backward(const br_pool_t *p, int16_t *g, int16_t *exponents) {
    size_t channels = p->channels, row = p->width * channels;
    uint32_t log2_h = br_bit_length(p->size_h) - 1, log2_w = br_bit_length(p->size_w) - 1;
    uint32_t rows = (uint32_t)p->height >> log2_h, columns = (uint32_t)p->width >> log2_w;
    uint32_t largest = 0;
    const int16_t *gy = g + p->height * row - (size_t)rows * columns * p->repeat * channels, *from = gy;
    for (size_t left = (size_t)rows * columns; left; left--, from += p->repeat * channels) {
        for (size_t c = 0; c < channels; c++) {
            largest = br_largest(largest, br_sum_copies(from + c, channels, p->repeat));
        }
    }
    int32_t exponent = br_normal_exponent(largest);
    for (uint32_t top = 0; top < p->height; top += p->size_h) {
        for (uint32_t left = 0; left < p->width; left += p->size_w, gy += p->repeat * channels) {
            int16_t *window = g + top * row + left * channels;
            for (size_t c = 0; c < channels; c++) {
                int16_t v = br_normalize(br_sum_copies(gy + c, channels, p->repeat), exponent);
                for (uint32_t i = 0; i < p->size_h; i++) {
                    for (uint32_t j = 0; j < p->size_w; j++) {
                        window[i * row + j * channels + c] = v;
                    }
                }
            }
        }
    }
    exponents[0] = (int16_t)(exponents[0] + exponent - (int32_t)(log2_h + log2_w));
}

void br_gradient_mask(int16_t *g, const uint32_t *mask, size_t words) {
    for (size_t w = 0; w < words; w++) {
        for (uint32_t bits = mask[w], b = 0; b < 32; b++, bits >>= 1, g++) {
            if (!(bits & 1)) {
                *g = 0;
            }
        }
    }
}

void br_gradient_add(int16_t *g, const int16_t *d, const uint32_t *mask, const uint32_t *flip, size_t n,
    size_t channels, int add, int16_t *exponents) {
    // A bit is steps of 2, one unit of the stream a sixteenth of its straight-through line of slope 1.
    br_shifts_t to = br_align(exponents[!add], exponents[1] - 4);
    uint32_t shift_g = to.shift_g, shift_d = to.shift_d;
    int32_t there = -add;
    size_t period = channels >> 5, words = n * period;
    uint32_t largest = 0;
    int32_t exponent = 0;
    for (int pass = 0; pass < 2; pass++) {
        int16_t *sum = g;
        const int16_t *addend = d;
        for (size_t w = 0, c = 0; w < words; w++, c = c + 1 < period ? c + 1 : 0) {
            uint32_t bits = mask[w], flips = flip[c];
            for (uint32_t b = 0; b < 32; b++, bits >>= 1, flips >>= 1, sum++, addend++) {
                int32_t sign = -(int32_t)(flips & 1), added = (*addend ^ sign) - sign;
                int32_t v = br_aligned(*sum & there, shift_g) + (bits & 1 ? br_aligned(added, shift_d) : 0);
                if (pass) {
                    *sum = br_normalize(v, exponent);
                } else {
                    largest = br_largest(largest, v);
                }
            }
        }
        exponent = br_normal_exponent(largest);
    }
    exponents[0] = (int16_t)(to.top + exponent);
}

void br_expand_backward(const int16_t *g, const int8_t *levels, int16_t *d, size_t n, size_t channels, int add,
    int16_t *exponents) {
    // A bit is steps of 2: half of a difference of levels, which has 8 bits, so its product is only taken times 2^7.
    br_shifts_t to = br_align(exponents[0] + 7, exponents[add]);
    uint32_t shift_g = to.shift_g, shift_d = to.shift_d;
    int32_t there = -add;
    uint32_t largest = 0;
    int32_t exponent = 0;
    for (int pass = 0; pass < 2; pass++) {
        const int16_t *from = g;
        int16_t *sum = d;
        for (size_t i = 0; i < n; i++) {
            const int8_t *level = levels;
            for (size_t c = 0; c < channels; c++, from++, sum++, level += 2) {
                int32_t through = *from * (level[1] - level[0]) * (1 << 6) >> shift_g;
                int32_t v = through + br_aligned(*sum & there, shift_d);
                if (pass) {
                    *sum = br_normalize(v, exponent);
                } else {
                    largest = br_largest(largest, v);
                }
            }
        }
        exponent = br_normal_exponent(largest);
    }
    exponents[1] = (int16_t)(to.top + exponent);
}

void br_gradient_record(const int16_t *g, const uint32_t *negative, const int16_t *slope, size_t n, size_t channels,
    const uint16_t *trained, size_t count, const int16_t *exponents, int16_t *out, size_t width, int16_t *kept,
    size_t sample) {
    size_t words = channels >> 5;
    kept[sample] = exponents[0];
    out += sample * n;
    for (size_t t = 0; t < count; t++, out += width) {
        size_t o = trained[t];
        const int16_t *local = slope + 2 * o, *from = g + o;
        const uint32_t *below = negative + (o >> 5);
        // No product needs to be saturated: the slope is below 2^shift.
        uint32_t shift = br_slope_shift(local), up = 31 - (o & 31);
        int32_t slope_above = local[0], change = local[1] ^ local[0];
        int16_t *to = out;
        for (const int16_t *end = out + n; to != end; from += channels, below += words) {
            int32_t negative_slope = (int32_t)(*below << up) >> 31;
            *to++ = (int16_t)(*from * (slope_above ^ (change & negative_slope)) >> shift);
        }
    }
}
