// What happens to the stream between convolutions: thresholds, pooling, shortcuts.
#include "internal.h"

// Four values at a time are faster where assembly compares them; in C they are there to be tested.
#ifndef BR_BINARIZE_WORDS
#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)
#define BR_BINARIZE_WORDS (1)
#else
#define BR_BINARIZE_WORDS (0)
#endif
#endif

#define BR_NEAR (16) // the stream's units to both sides of a threshold, where the gradient of a sign passes

#define BR_SIGNS (0x80808080u)

// Cortex-M0+ stops at a word that is not aligned.
static inline int br_are_words(const int8_t *a, const int8_t *b) {
    return !(((uintptr_t)a | (uintptr_t)b) & 3);
}

// Of 32 channels: a bit is 1 where x is below the threshold.
#if BR_DSP
static BR_INLINE uint32_t br_below(const int8_t *x, const int8_t *threshold) {
    uint32_t below = ~0u;
    #pragma GCC unroll 8
    for (uint32_t b = 0; b < 32; b += 4) {
        // The flags of a subtraction of bytes, which say where its result is not negative, select a bit of each byte.
        __ssub8(br_load_bytes(x + b), br_load_bytes(threshold + b));
        below ^= __usad8(__sel(0x08040201u, 0), 0) << b;
    }
    return below;
}
#else
static BR_INLINE uint32_t br_below(const int8_t *x, const int8_t *threshold) {
    uint32_t below = 0;
    #pragma GCC unroll 4
    for (size_t b = 32; b--;) {
        below = 2 * below + ((uint32_t)(x[b] - threshold[b]) >> 31);
    }
    return below;
}
#endif

#if BR_BINARIZE_WORDS

// stream_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)
void BR_HOT br_binarize_words(const br_bytes_t *x, const br_bytes_t *threshold, const uint32_t *flip, uint32_t *y,
    const uint32_t *y_end) {
    for (; y != y_end; x += 8, threshold += 8) {
        uint32_t bits = 0;
        for (size_t i = 8; i--;) {
            // In bit 7 of each byte: whether x is not below in its other bits; but where the signs differ, x's is 0.
            uint32_t above = (x[i] | BR_SIGNS) - (threshold[i] & ~BR_SIGNS);
            above ^= (x[i] ^ threshold[i]) & ~(x[i] ^ above);
            // The product has these bits at its top, side by side.
            bits = bits << 4 | (above & BR_SIGNS) * 0x00204081u >> 28;
        }
        *y++ = bits ^ *flip++;
    }
}
#endif

#endif

void br_binarize(const int8_t *x, const int8_t *threshold, const uint32_t *flip, size_t n, size_t channels,
    uint32_t *y) {
    #if BR_BINARIZE_WORDS
    if (br_are_words(x, threshold)) {
        for (const int8_t *end = x + n * channels; x != end; x += channels, y += channels >> 5) {
            const uint32_t *y_end = y + (channels >> 5);
            br_binarize_words((const br_bytes_t *)x, (const br_bytes_t *)threshold, flip, y, y_end);
        }
        return;
    }
    #endif
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < channels; c += 32) {
            *y++ = ~(br_below(x + c, threshold + c) ^ flip[c >> 5]);
        }
        x += channels;
    }
}

void br_near_threshold(const int8_t *x, const int8_t *threshold, size_t n, size_t channels, uint32_t *y) {
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < channels; c += 32) {
            uint32_t near = 0;
            for (size_t b = 32; b--;) {
                // 1..31 where the difference is -15..15
                uint32_t above = (uint32_t)(x[c + b] - threshold[c + b] + BR_NEAR);
                near = 2 * near + (above - 1 < 2 * BR_NEAR - 1);
            }
            *y++ = near;
        }
        x += channels;
    }
}

void br_expand(const uint32_t *x, const int8_t *levels, size_t n, size_t channels, int8_t *y) {
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < channels; c += 32) {
            const int8_t *level = levels + 2 * c;
            for (uint32_t bits = *x++, b = 0; b < 32; b++, bits >>= 1, level += 2) {
                *y++ = level[bits & 1];
            }
        }
    }
}

void br_global_avg_pool(const int8_t *x, size_t n, size_t channels, int8_t *y) {
    // Most models have a power of two, by which a sum is shifted.
    uint32_t shift = br_bit_length((uint32_t)n) - 1;
    for (size_t c = 0; c < channels; c++) {
        // 128 more than each value, so that no quotient is of a negative number
        size_t sum = 128 * n + (n >> 1);
        const int8_t *value = x + c;
        for (size_t i = 0; i < n; i++, value += channels) {
            sum += (size_t)(ptrdiff_t)*value;
        }
        y[c] = (int8_t)((int32_t)(n >> shift << shift == n ? sum >> shift : br_quotient(sum, n)) - 128);
    }
}

static inline int32_t br_average(const int8_t *x, size_t row, size_t channels, uint32_t size_h, uint32_t size_w) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < size_h; i++, x += row) {
        for (uint32_t j = 0; j < size_w; j++) {
            sum += x[j * channels];
        }
    }
    uint32_t shift = br_bit_length(size_h * size_w) - 1;
    return shift ? (sum + (1 << (shift - 1))) >> shift : sum;
}

static inline int32_t br_maximum(const int8_t *x, size_t row, size_t channels, uint32_t size_h, uint32_t size_w) {
    int32_t maximum = -128;
    for (uint32_t i = 0; i < size_h; i++, x += row) {
        for (uint32_t j = 0; j < size_w; j++) {
            maximum = x[j * channels] > maximum ? x[j * channels] : maximum;
        }
    }
    return maximum;
}

static inline void br_pool(const br_pool_t *p, const int8_t *x, int8_t *y,
    int32_t (*reduce)(const int8_t *x, size_t row, size_t channels, uint32_t size_h, uint32_t size_w)) {
    size_t channels = p->channels, row = p->width * channels;
    for (uint32_t top = 0; top < p->height; top += p->size_h) {
        for (uint32_t left = 0; left < p->width; left += p->size_w) {
            const int8_t *window = x + top * row + left * channels;
            for (size_t c = 0; c < channels; c++) {
                int8_t value = (int8_t)reduce(window + c, row, channels, p->size_h, p->size_w);
                for (uint32_t copy = 0; copy < p->repeat; copy++) {
                    y[copy * channels + c] = value;
                }
            }
            y += p->repeat * channels;
        }
    }
}

// Four channels at a time. Values and 128 are summed up in halfwords: 64 * 255 and what rounds are below 2^16.
static BR_INLINE void br_avg_pool_words(const br_pool_t *p, const br_bytes_t *x, br_bytes_t *y, uint32_t size_h,
    uint32_t size_w) {
    const uint32_t low = 0x00ff00ffu;
    size_t words = p->channels >> 2, row = p->width * words, repeat = p->repeat;
    uint32_t shift = br_bit_length(size_h * size_w) - 1, half = ((1u << shift) >> 1) * 0x00010001u;
    for (uint32_t top = 0; top < p->height; top += size_h, x += (size_h - 1) * row) {
        for (const br_bytes_t *right = x + row; x != right; x += (size_w - 1) * words) {
            for (const br_bytes_t *end = x + words; x != end; x++) {
                uint32_t even = half, odd = half;
                const br_bytes_t *from = x;
                for (uint32_t i = 0; i < size_h; i++, from += row) {
                    for (uint32_t j = 0; j < size_w; j++) {
                        uint32_t four = from[j * words] ^ BR_SIGNS;
                        even += four & low;
                        odd += (four >> 8) & low;
                    }
                }
                *y++ = (((even >> shift) & low) | ((odd >> shift) & low) << 8) ^ BR_SIGNS;
            }
            // Only now, as y may be x.
            for (size_t copied = (repeat - 1) * words; copied; copied--, y++) {
                *y = *(y - words);
            }
        }
    }
}

void br_avg_pool(const br_pool_t *p, const int8_t *x, int8_t *y) {
    if (p->channels & 3 || !br_are_words(x, y)) {
        br_pool(p, x, y, br_average);
    } else if (p->size_h == 2 && p->size_w == 2) {
        br_avg_pool_words(p, (const br_bytes_t *)x, (br_bytes_t *)y, 2, 2);
    } else {
        br_avg_pool_words(p, (const br_bytes_t *)x, (br_bytes_t *)y, p->size_h, p->size_w);
    }
}

void br_max_pool(const br_pool_t *p, const int8_t *x, int8_t *y) {
    br_pool(p, x, y, br_maximum);
}

void br_max_pool_bits(const br_pool_t *p, const uint32_t *x, uint32_t *y) {
    size_t words = p->channels >> 5, row = p->width * words;
    for (uint32_t top = 0; top < p->height; top += p->size_h) {
        for (uint32_t left = 0; left < p->width; left += p->size_w) {
            const uint32_t *window = x + top * row + left * words;
            for (size_t w = 0; w < words; w++) {
                uint32_t maximum = 0;
                const uint32_t *from = window + w;
                for (uint32_t i = 0; i < p->size_h; i++, from += row) {
                    for (uint32_t j = 0; j < p->size_w; j++) {
                        maximum |= from[j * words];
                    }
                }
                *y++ = maximum;
            }
        }
    }
}
