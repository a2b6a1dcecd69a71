// Spectrograms: the power of sound in bands of frequency, as logarithms, and an image of them.
#include "internal.h"

#define BR_LOUDEST (4432) // 12 nepers of power below the highest one, in 1/256 of an octave, are black
#define BR_PIXEL (60331) // 255 / BR_LOUDEST * 2^20, rounded up: the quotient is exact for all of 0..BR_LOUDEST

static inline uint64_t br_join(uint32_t high, uint32_t low) {
    return (uint64_t)high << 32 | low;
}

// v^2, v < 2^25.
static inline uint64_t br_square(uint32_t v) {
    uint32_t high = v >> 12, low = v & 4095, top = high * high, middle = 2 * high * low;
    return br_join(top >> 8, top << 24) + br_join(middle >> 20, middle << 12) + low * low;
}

static inline int32_t br_windowed(const int16_t *samples, const int16_t *window, size_t i) {
    return (samples[i] * window[i] + (1 << 14)) >> 15;
}

// What cosines and sines of even bins and of odd ones are multiplied with: folded [2][n/4 + 1][2]. Four samples whose
// cosines differ in their signs alone are one number.
static void br_fold(const int16_t *samples, const int16_t *window, size_t n, int32_t *folded) {
    size_t half = n / 2, quarter = n / 4;
    int32_t *odd = folded + 2 * (quarter + 1);
    for (size_t i = 0; i <= quarter; i++, folded += 2, odd += 2) {
        int32_t a = br_windowed(samples, window, i), b = 0, c = 0, d = 0;
        if (i < quarter) {
            b = br_windowed(samples, window, half - i);
        }
        if (i > 0) {
            d = br_windowed(samples, window, n - i);
            c = i < quarter ? br_windowed(samples, window, half + i) : 0;
        }
        folded[0] = a + d + (b + c);
        odd[0] = a + d - (b + c);
        folded[1] = a - d - (b - c);
        odd[1] = a - d + (b - c);
    }
}

// The square of a sum of products, which is rounded half up by 14 bits: of every other number from folded to its end, and
// every k-th cosine, a turn of which ends at `turn`. Real and imaginary parts are summed up one after the other: a
// Cortex-M0+ has registers for one of them.
static BR_OUTLINE uint64_t br_part_power(const int32_t *folded, const int32_t *end, const int16_t *cosine,
    const int16_t *turn, size_t n, size_t k) {
    int64_t sum = 1 << 13;
    do {
        sum += br_mul(*folded, *cosine);
        folded += 2;
        cosine += k;
        if (cosine >= turn) {
            cosine -= n;
        }
    } while (folded != end);
    return br_square(br_abs((int32_t)((uint32_t)((uint64_t)sum >> 32) << 18 | (uint32_t)sum >> 14)));
}

static uint64_t br_bin_power(const int32_t *folded, const int16_t *cosine, size_t n, size_t k) {
    size_t quarter = n / 4, numbers = 2 * (quarter + 1);
    folded += (k & 1) * numbers;
    const int16_t *sine = cosine + quarter;
    return br_part_power(folded, folded + numbers, cosine, cosine + n, n, k)
        + br_part_power(folded + 1, folded + 1 + numbers, sine, sine + n, n, k);
}

// The logarithm of a number to the base 2, in 1/256, of its nine highest bits; 0 of 0.
static uint32_t br_log2(uint64_t v, const uint8_t *logarithm) {
    uint32_t high = (uint32_t)(v >> 32), low = (uint32_t)v, e = 63 << 8;
    if ((high | low) == 0) {
        return 0;
    }
    for (; !(high >> 31); e -= 1 << 8) {
        high = high << 1 | low >> 31;
        low <<= 1;
    }
    return e + logarithm[high >> 23 & 255];
}

void br_logmel(const int16_t *samples, const int16_t *window, const int16_t *cosine, size_t n, const br_bands_t *bands,
    const uint8_t *logarithm, uint32_t *scratch, uint16_t *out) {
    int32_t *folded = (int32_t *)scratch;
    uint32_t *powers = scratch + n + 4; // [n/2 + 1][2]
    br_fold(samples, window, n, folded);
    for (size_t k = 0; k <= n / 2; k++) {
        uint64_t power = br_bin_power(folded, cosine, n, k);
        powers[2 * k] = (uint32_t)power;
        powers[2 * k + 1] = (uint32_t)(power >> 32);
    }
    const uint16_t *span = bands->spans, *weight = bands->weights;
    for (size_t band = 0; band < bands->count; band++, span += 2) {
        uint64_t sum = 0;
        const uint32_t *power = powers + 2 * span[0];
        for (const uint32_t *end = power + 2 * span[1]; power != end; power += 2) {
            uint32_t w = *weight++, middle = (power[0] >> 16) * w;
            sum += br_join(power[1] * w, (power[0] & 0xffff) * w) + br_join(middle >> 16, middle << 16);
        }
        out[band] = (uint16_t)br_log2(sum, logarithm);
    }
}

void br_logmel_image(const uint16_t *x, size_t columns, size_t bands, size_t first, size_t channels, uint8_t *y) {
    uint32_t floor = BR_LOUDEST;
    for (size_t i = 0; i < columns * bands; i++) {
        floor = x[i] > floor ? x[i] : floor;
    }
    floor -= BR_LOUDEST;
    for (size_t band = bands; band--;) {
        for (size_t i = 0, column = first; i < columns; i++) {
            uint32_t v = x[column * bands + band];
            uint8_t pixel = v > floor ? (uint8_t)((v - floor) * BR_PIXEL >> 20) : 0;
            for (size_t c = 0; c < channels; c++) {
                *y++ = pixel;
            }
            column = column + 1 == columns ? 0 : column + 1;
        }
    }
}
