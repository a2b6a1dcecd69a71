// The head: dense layer, integer softmax cross-entropy, backward pass and update, CWR* consolidation.
#include "internal.h"

#define BR_ONE (1 << 14) // probability 1 (Q14)
#define BR_FEATURES (32) // whose gradients are found at a time
#define BR_Z_LIMIT (16u << 10) // e^-16 is taken as 0; scores are Q10

// A master weight as a 32-bit value, and its upper half.
static inline int32_t br_master(const void *weight, uint32_t bits, size_t i) {
    return bits == 16 ? (int32_t)((uint32_t)((const int16_t *)weight)[i] << 16) : ((const int32_t *)weight)[i];
}

static inline int32_t br_top16(const void *weight, uint32_t bits, size_t i) {
    return bits == 16 ? ((const int16_t *)weight)[i] : ((const int32_t *)weight)[i] >> 16;
}

static inline void br_store_master(void *weight, uint32_t bits, size_t i, int32_t value, uint32_t noise) {
    if (bits == 16) {
        ((int16_t *)weight)[i] = (int16_t)(br_sat_add(value, (int32_t)noise) >> 16);
    } else {
        ((int32_t *)weight)[i] = value;
    }
}

void br_dense(const int8_t *x, const int8_t *weight, const int8_t *shift, size_t n, size_t classes, int32_t *y) {
    for (size_t c = 0; c < classes; c++, weight += n) {
        int32_t acc = 0;
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            acc += x[i] * weight[i] + x[i + 1] * weight[i + 1] + x[i + 2] * weight[i + 2] + x[i + 3] * weight[i + 3];
        }
        for (; i < n; i++) {
            acc += x[i] * weight[i];
        }
        y[c] = shift[c] < 0 ? acc >> -shift[c] : (int32_t)((uint32_t)acc << shift[c]);
    }
}

// e^-(d / 2^10) as Q15, by a cubic for 2^-r on [0, 1) that is exact at both ends.
static inline uint32_t br_exp(uint32_t d) {
    if (d >= BR_Z_LIMIT) {
        return 0;
    }
    uint32_t t = (d * 47274) >> 10, r = t & 32767;
    return (32768 - ((r * (22713 - ((r * (7871 - ((r * 1542) >> 15))) >> 15))) >> 15)) >> (t >> 15);
}

size_t br_softmax(const int32_t *z, const uint8_t *active, size_t classes, int32_t label, int16_t *e) {
    size_t best = classes;
    for (size_t c = 0; c < classes; c++) {
        if (active[c] && (best == classes || z[c] > z[best])) {
            best = c;
        }
    }
    uint32_t sum = 0;
    for (size_t c = 0; c < classes; c++) {
        if (active[c]) {
            sum += br_exp((uint32_t)z[best] - (uint32_t)z[c]);
        }
    }
    for (size_t c = 0; c < classes; c++) {
        e[c] = active[c] ? (int16_t)br_quotient(br_exp((uint32_t)z[best] - (uint32_t)z[c]) << 14, sum) : 0;
    }
    if (label >= 0) {
        e[label] = (int16_t)(e[label] - BR_ONE);
    }
    return best;
}

static inline int32_t br_clamp_gradient(uint32_t sum) {
    return br_clamp((int32_t)sum, -(1 << 30), 1 << 30);
}

// The gradients of `count` features: four at a time, as each error is loaded once for all of them.
static BR_INLINE void br_gradient_features(const int16_t *e, const void *weight, uint32_t bits, size_t classes,
    size_t n, size_t feature, size_t count, int32_t *out) {
    const int16_t *end = e + classes;
    for (; count >= 4; count -= 4, feature += 4) {
        uint32_t a = 0, b = 0, c = 0, d = 0;
        size_t at = feature;
        for (const int16_t *error = e; error != end; at += n) {
            int32_t v = *error++;
            a += (uint32_t)(v * br_top16(weight, bits, at));
            b += (uint32_t)(v * br_top16(weight, bits, at + 1));
            c += (uint32_t)(v * br_top16(weight, bits, at + 2));
            d += (uint32_t)(v * br_top16(weight, bits, at + 3));
        }
        *out++ = br_clamp_gradient(a);
        *out++ = br_clamp_gradient(b);
        *out++ = br_clamp_gradient(c);
        *out++ = br_clamp_gradient(d);
    }
    for (; count; count--, feature++) {
        uint32_t a = 0;
        size_t at = feature;
        for (const int16_t *error = e; error != end; at += n) {
            a += (uint32_t)(*error++ * br_top16(weight, bits, at));
        }
        *out++ = br_clamp_gradient(a);
    }
}

// Those of up to BR_FEATURES from `first` on. Returns how many.
static size_t br_gradient_block(const int16_t *e, const void *weight, uint32_t bits, size_t classes, size_t n,
    size_t first, int32_t *out) {
    size_t count = n - first < BR_FEATURES ? n - first : BR_FEATURES;
    if (bits == 16) {
        br_gradient_features(e, weight, 16, classes, n, first, count, out);
    } else {
        br_gradient_features(e, weight, 32, classes, n, first, count, out);
    }
    return count;
}

void br_head_backward(const int16_t *e, const void *weight, uint32_t bits, size_t classes, size_t n, int16_t *df,
    size_t copies, int16_t *exponents) {
    int32_t block[BR_FEATURES], *sums = block;
    uint32_t largest = 0;
    // Where there are copies, sums wait in their place for the largest one; else they are found twice.
    int wait = copies > 1 && ((uintptr_t)df & 3) == 0;
    for (size_t first = 0, count; first < n; first += count) {
        sums = wait ? (int32_t *)df + first : block;
        count = br_gradient_block(e, weight, bits, classes, n, first, sums);
        for (size_t i = 0; i < count; i++) {
            largest = br_largest(largest, sums[i]);
        }
    }
    int32_t exponent = br_normal_exponent(largest);
    for (size_t first = 0, count; first < n; first += count) {
        count = n - first < BR_FEATURES ? n - first : BR_FEATURES;
        sums = wait ? (int32_t *)df + first : block;
        if (!wait) {
            br_gradient_block(e, weight, bits, classes, n, first, sums);
        }
        for (size_t i = 0; i < count; i++) {
            int32_t v = sums[i];
            df[first + i] = br_normalize(v, exponent);
        }
    }
    for (size_t i = n; i < copies * n; i++) {
        df[i] = df[i - n];
    }
    exponents[0] = (int16_t)exponent;
}

// g * mantissa * 2^exponent, saturated.
static inline int32_t br_scale(int32_t g, const br_head_hyper_t *hyper) {
    int32_t product = br_mul(g, hyper->mantissa);
    return hyper->exponent < 0 ? product >> -hyper->exponent : br_sat_shl(product, (uint32_t)hyper->exponent);
}

// The sums over samples of errors times features, of four features.
static inline void br_sum_four(const int16_t *e, const int8_t *f, size_t samples, size_t classes, size_t n,
    uint32_t *g) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    for (; samples; samples--, e += classes, f += n) {
        int32_t error = *e;
        a += (uint32_t)(error * f[0]);
        b += (uint32_t)(error * f[1]);
        c += (uint32_t)(error * f[2]);
        d += (uint32_t)(error * f[3]);
    }
    g[0] = a;
    g[1] = b;
    g[2] = c;
    g[3] = d;
}

static inline uint32_t br_sum_one(const int16_t *e, const int8_t *f, size_t samples, size_t classes, size_t n) {
    uint32_t sum = 0;
    for (; samples; samples--, e += classes, f += n) {
        sum += (uint32_t)(*e * *f);
    }
    return sum;
}

// The step of one weight, by its gradient.
static inline void br_step(void *weight, void *velocity, size_t at, uint32_t g, const br_head_hyper_t *hyper,
    uint32_t *rng) {
    uint32_t bits = (uint32_t)hyper->bits, noise = 0;
    int32_t v = br_master(velocity, bits, at), w = br_master(weight, bits, at);
    // Nearer to 0, so without overflow.
    v -= hyper->momentum ? v >> hyper->momentum : v;
    v = br_sat_add(v, br_scale((int32_t)g, hyper));
    w = br_sat_sub(br_sat_sub(w, v), hyper->decay ? w >> hyper->decay : 0);
    if (bits == 16) {
        noise = *rng = br_xorshift(*rng);
    }
    br_store_master(velocity, bits, at, v, noise & 0xffff);
    br_store_master(weight, bits, at, w, noise >> 16);
}

void br_head_update(const int16_t *e, const int8_t *f, const uint8_t *active, size_t samples, size_t classes, size_t n,
    void *weight, void *velocity, const br_head_hyper_t *hyper, uint32_t *rng) {
    for (size_t c = 0; c < classes; c++) {
        if (!active[c]) {
            continue;
        }
        for (size_t i = 0, count; i < n; i += count) {
            uint32_t g[4];
            count = i + 4 <= n ? 4 : 1;
            if (count == 4) {
                br_sum_four(e + c, f + i, samples, classes, n, g);
            } else {
                g[0] = br_sum_one(e + c, f + i, samples, classes, n);
            }
            for (size_t j = 0; j < count; j++) {
                br_step(weight, velocity, c * n + i + j, g[j], hyper, rng);
            }
        }
    }
}

void br_head_quantize(const void *weight, uint32_t bits, uint32_t q_f, size_t classes, size_t n, int8_t *out,
    int8_t *shift) {
    int32_t limit = (1 << (q_f - 1)) - 1;
    for (size_t c = 0; c < classes; c++) {
        uint32_t largest = 0;
        for (size_t i = 0; i < n; i++) {
            uint32_t magnitude = br_abs(br_top16(weight, bits, c * n + i));
            largest = magnitude > largest ? magnitude : largest;
        }
        uint32_t length = br_bit_length(largest);
        uint32_t s = length > q_f - 1 ? length - (q_f - 1) : 0;
        int32_t half = s ? 1 << (s - 1) : 0;
        for (size_t i = 0; i < n; i++) {
            int32_t rounded = (br_top16(weight, bits, c * n + i) + half) >> s;
            out[c * n + i] = (int8_t)br_clamp(rounded, -limit, limit);
        }
        shift[c] = (int8_t)((int32_t)s - 8);
    }
}

void br_head_begin(const int16_t *cw, const uint8_t *here, uint32_t bits, size_t classes, size_t n, void *weight,
    void *velocity) {
    for (size_t c = 0, at = 0; c < classes; c++) {
        for (size_t i = 0; i < n; i++, at++) {
            br_store_master(weight, bits, at, here[c] ? (int32_t)((uint32_t)cw[at] << 16) : 0, 0);
            br_store_master(velocity, bits, at, 0, 0);
        }
    }
}

void br_head_add(const int8_t *f, int32_t factor, uint32_t bits, size_t n, void *weight) {
    int16_t *narrow = weight;
    int32_t *wide = weight;
    for (size_t i = 0; i < n; i++) {
        if (bits == 16) {
            narrow[i] = br_sat16(narrow[i] + f[i] * factor);
        } else {
            wide[i] = br_sat_add(wide[i], f[i] * factor);
        }
    }
}

int32_t br_head_sum(const void *weight, uint32_t bits, size_t n) {
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (uint32_t)br_top16(weight, bits, i);
    }
    return (int32_t)sum;
}

void br_consolidate(int16_t *cw, const void *tw, uint32_t bits, int32_t mean, uint32_t alpha, size_t n) {
    int32_t past = (int32_t)alpha, current = (1 << 15) - past;
    for (size_t i = 0; i < n; i++) {
        int32_t d = br_sat16(br_top16(tw, bits, i) - mean);
        cw[i] = (int16_t)((cw[i] * past + d * current + (1 << 14)) >> 15);
    }
}
