// BitReplay's kernels: portable C99, no float, no allocation, no libc beyond string.h.
//
// docs/numbers.md is the specification (shapes, units, ranges); host_tools/bitreplay_host/reference has the NumPy
// reference, which every kernel here equals bit for bit. The caller owns all buffers and has checked their sizes;
// uint32_t buffers are aligned to 4, int16_t buffers to 2. Every sum that could leave 32 bits is formed in uint32_t,
// so nothing here is undefined for any content of the buffers.
#ifndef BITREPLAY_H
#define BITREPLAY_H

#include <stddef.h>
#include <stdint.h>

// Marks the loops that boards place in fast memory: where most time goes, as that memory is taken from the heap.
#ifdef BR_HOT_SECTION
#define BR_HOT __attribute__((section(BR_HOT_SECTION)))
#else
#define BR_HOT
#endif

#define BR_MAX_CHANNELS (1024)
#define BR_MAX_SIDE (256)
#define BR_MAX_KERNEL (7)
#define BR_MAX_FIRST_CIN (16)
#define BR_MAX_BATCH (64)
#define BR_MAX_POSITIONS (4096)
#define BR_MAX_DENSE (1024)
#define BR_MAX_FRAME (512) // samples of a spectrum
#define BR_TABLE_WORDS (4 * 256) // the tables of 32 numbers, which products are looked up in

// A convolution's shape; h is vertical, w horizontal. It is also the layout of the u16[11] buffer that Python passes.
typedef struct _br_geometry_t {
    uint16_t height, width, cin, cout, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, groups;
} br_geometry_t;

// A pooling's shape, likewise u16[6].
typedef struct _br_pool_t {
    uint16_t height, width, channels, size_h, size_w, repeat;
} br_pool_t;

// The folded PReLU and batch norm behind a convolution: slope [cout][2] for acc >= 0 and acc < 0, bias [cout].
typedef struct _br_affine_t {
    const int16_t *slope;
    const int32_t *bias;
    uint32_t shift;
} br_affine_t;

// What head_update needs beside its buffers: i8[5].
typedef struct _br_head_hyper_t {
    int8_t bits, mantissa, exponent, momentum, decay;
} br_head_hyper_t;

// What bconv2d_dw needs beside its buffers: i8[5].
typedef struct _br_dw_hyper_t {
    int8_t bits, stochastic, mantissa, exponent, update;
} br_dw_hyper_t;

// n / d and the rest, d > 0. The language's own would come from libgcc, which a native module does not have.
static inline size_t br_divide(size_t n, size_t d, size_t *rest) {
    size_t quotient = 0, bit = 1;
    while (d <= n >> 1) {
        d <<= 1;
        bit <<= 1;
    }
    for (; bit; bit >>= 1, d >>= 1) {
        if (n >= d) {
            n -= d;
            quotient += bit;
        }
    }
    *rest = n;
    return quotient;
}

static inline size_t br_quotient(size_t n, size_t d) {
    size_t rest;
    return br_divide(n, d, &rest);
}

// The output of a convolution.
static inline uint32_t br_output_height(const br_geometry_t *g) {
    return ((g->height + 2u * g->padding_h - g->kernel_h) >> (g->stride_h - 1)) + 1;
}

static inline uint32_t br_output_width(const br_geometry_t *g) {
    return ((g->width + 2u * g->padding_w - g->kernel_w) >> (g->stride_w - 1)) + 1;
}

static inline size_t br_output_pixels(const br_geometry_t *g) {
    return (size_t)br_output_height(g) * br_output_width(g);
}

static inline size_t br_kernel_taps(const br_geometry_t *g) {
    return (size_t)g->kernel_h * g->kernel_w;
}

// Inference.

// x [height][width][cin], weight [cout][kernel_h][kernel_w][cin], y [oh][ow][cout].
// |acc| <= 49 * 16 * 128 * 128 < 2^24; the loader bounds |acc * slope| + |bias| below 2^31.
void br_conv2d(const br_geometry_t *g, const uint8_t *x, const int8_t *weight, const br_affine_t *affine, int8_t *y);

// How many words of scratch make br_bconv2d and br_bconv2d_sign faster on this processor: 0 if it has no use for any.
size_t br_bconv2d_scratch(const br_geometry_t *g);

// x [height][width][cin/32], weight [cout][kernel_h][kernel_w][cin/groups/32], y [oh][ow][cout], added to.
// |acc| <= 49 * 1024 < 2^16; the loader bounds |acc * slope| + |bias| below 2^31. scratch [words]: of any size.
void br_bconv2d(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    uint32_t *scratch, size_t words, int8_t *y);

// As br_bconv2d; passes, negative [oh][ow][cout/32]: where y did not saturate, and where acc < 0. scratch [words]: of any
// size; with BR_TABLE_WORDS + cout/groups words, layers of one tap are faster.
void br_bconv2d_masks(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const br_affine_t *affine,
    uint32_t *scratch, size_t words, int8_t *y, uint32_t *passes, uint32_t *negative);

// As br_bconv2d, but y [oh][ow][cout/32]: bit = (acc >= threshold[c]) ^ flip[c].
void br_bconv2d_sign(const br_geometry_t *g, const uint32_t *x, const uint32_t *weight, const int16_t *threshold,
    const uint32_t *flip, uint32_t *scratch, size_t words, uint32_t *y);

// x [n][channels], threshold [channels], flip [channels/32], y [n][channels/32]: bit = (x >= threshold[c]) ^ flip[c].
void br_binarize(const int8_t *x, const int8_t *threshold, const uint32_t *flip, size_t n, size_t channels,
    uint32_t *y);

// The same sizes: where the gradient of br_binarize passes.
void br_near_threshold(const int8_t *x, const int8_t *threshold, size_t n, size_t channels, uint32_t *y);

// x [n][channels/32], levels [channels][2], y [n][channels].
void br_expand(const uint32_t *x, const int8_t *levels, size_t n, size_t channels, int8_t *y);

// x [n][channels], y [channels]; n <= 65536: the sum of what is 0..255, and half of n, are < 2^25.
void br_global_avg_pool(const int8_t *x, size_t n, size_t channels, int8_t *y);

// x [height][width][channels], y [height/size_h][width/size_w][repeat * channels]; y may be x, since every output lies
// at or before its first input and is written after its last: repeat <= size_w, or size_h where the width is 1.
// |sum| <= 64 * 128.
void br_avg_pool(const br_pool_t *p, const int8_t *x, int8_t *y);
void br_max_pool(const br_pool_t *p, const int8_t *x, int8_t *y);

// x [height][width][channels/32], y [height/size_h][width/size_w][channels/32]; repeat is 1.
void br_max_pool_bits(const br_pool_t *p, const uint32_t *x, uint32_t *y);

// x [n], weight [classes][n], shift [classes], y [classes]. |acc| <= 2^14 * 1024 = 2^24, << 6 is < 2^31.
void br_dense(const int8_t *x, const int8_t *weight, const int8_t *shift, size_t n, size_t classes, int32_t *y);

// x [words], rows [n][words], found [2]: the first row at the smallest Hamming distance, and that: <= 32 * words < 2^29.
void br_nearest(const uint32_t *x, const uint32_t *rows, size_t words, size_t n, uint32_t *found);

// Sound.

// Bands of frequency: spans [count][2], the first bin of each and how many; their weights, one band after the other,
// 0..2^10.
typedef struct _br_bands_t {
    const uint16_t *spans, *weights;
    size_t count;
} br_bands_t;

// The words of br_logmel's scratch: the folded samples, [2][n/4 + 1][2], and the powers of bins, [n/2 + 1][2].
static inline size_t br_logmel_scratch(size_t n) {
    return 2 * n + 6;
}

// A column of a spectrogram. n a multiple of 4, at most BR_MAX_FRAME. samples, window [n], 0 <= window;
// cosine [n + n/4], |cosine| <= 2^14; logarithm [256]; scratch [br_logmel_scratch(n)]; out [bands->count].
// The sum of four windowed samples is < 2^17, so products are < 2^31; a bin adds up n/4 + 1 of them, < 2^39, and has 25
// bits when that is rounded; its power has 51. A band's sum has 64 bits if its weights add up to less than 2^13. What a
// Hann window of 256 samples lets through is less: a bin of 2^22, a power of 2^45.
void br_logmel(const int16_t *samples, const int16_t *window, const int16_t *cosine, size_t n, const br_bands_t *bands,
    const uint8_t *logarithm, uint32_t *scratch, uint16_t *out);

// x [columns][bands], a ring whose oldest column is `first`; y [bands][columns][channels], the last band first.
// A difference of at most 4432, times 60331, is < 2^28.
void br_logmel_image(const uint16_t *x, size_t columns, size_t bands, size_t first, size_t channels, uint8_t *y);

// The generator (xorshift32).
uint32_t br_draw(uint32_t *rng);
// Uniform in 0..n-1, n <= 65536: 16 bits times 17 bits is < 2^32 as (2^16 - 1) * 2^16 is.
uint32_t br_random(uint32_t *rng, uint32_t n);

// The samples of a minibatch. order: sample numbers by class; ends [classes]: where each class has its last one there,
// ascending. numbers [n].
void br_draw_balanced(const uint16_t *order, const uint16_t *ends, size_t classes, uint16_t *numbers, size_t n,
    uint32_t *rng);

// Copies rows of `size` bytes: out [n][size], of the numbers [n]; rows `count` and above are those of `second`.
void br_gather_rows(const uint16_t *numbers, size_t n, const uint8_t *first, size_t count, const uint8_t *second,
    size_t size, uint8_t *out);

// The head. Master weights are int16_t (bits 16) or int32_t (bits 32).

// Returns the index of the largest active score. The sum of exponentials is <= 2^15 * classes < 2^31; x << 14 <= 2^29.
size_t br_softmax(const int32_t *z, const uint8_t *active, size_t classes, int32_t label, int16_t *e);

// e [classes], weight [classes][n], df [copies][n]; exponents as in Gradients of layers. With e from br_softmax,
// sum|e| <= 2^15, so the sums are <= 2^30.
void br_head_backward(const int16_t *e, const void *weight, uint32_t bits, size_t classes, size_t n, int16_t *df,
    size_t copies, int16_t *exponents);

// e [samples][classes], f [samples][n]. |g| <= 2^14 * 2^7 * 64 = 2^27, times a mantissa <= 15 < 2^31.
void br_head_update(const int16_t *e, const int8_t *f, const uint8_t *active, size_t samples, size_t classes, size_t n,
    void *weight, void *velocity, const br_head_hyper_t *hyper, uint32_t *rng);

// out [classes][n], shift [classes].
void br_head_quantize(const void *weight, uint32_t bits, uint32_t q_f, size_t classes, size_t n, int8_t *out,
    int8_t *shift);

// cw [classes][n], here [classes], weight and velocity [classes][n].
void br_head_begin(const int16_t *cw, const uint8_t *here, uint32_t bits, size_t classes, size_t n, void *weight,
    void *velocity);

// f, weight [n], |factor| < 2^15.
void br_head_add(const int8_t *f, int32_t factor, uint32_t bits, size_t n, void *weight);

// At most 65536 weights of 16 bits, or the upper halves of as many of 32: -2^31 <= sum < 2^31.
int32_t br_head_sum(const void *weight, uint32_t bits, size_t n);

// |cw * alpha + d * (2^15 - alpha)| <= 2^15 * 2^15 = 2^30, as the weights of cw and d add up to 2^15.
void br_consolidate(int16_t *cw, const void *tw, uint32_t bits, int32_t mean, uint32_t alpha, size_t n);

// Binary gradients.

// x [rows][words], y [32 * words][rows/32].
void br_transpose(const uint32_t *x, size_t rows, size_t words, uint32_t *y);

// The products of two rows of numbers and signs, looked up in tables: q [2][32 * words], rows [count][words], scratch
// [BR_TABLE_WORDS], out [2][count]. |out| <= 2^15 * 4096 = 2^27.
void br_dot_tables(const int16_t *q, size_t words, const uint32_t *rows, size_t count, int32_t *scratch, int32_t *out);

// The same of one row, plainly, and of bits that are not transposed: q [n], x [n][words], out [32 * words].
void br_dot_signs(const int16_t *q, size_t n, const uint32_t *x, size_t words, int32_t *out);

// |dw| <= 2^27 and mantissa <= 15: the product is < 2^31.
void br_update_weights(int8_t *weight, const int32_t *dw, size_t n, int32_t mantissa, int32_t exponent,
    uint32_t *packed, uint32_t *rng);

// Gradients of layers, i16 with an exponent in exponents [2]: that of the stream's gradient, and of the bits'. They are
// sums of a few numbers below 2^6 a layer; beyond i16 they wrap.

// g as br_avg_pool's x, in place: that of its y is its last part. As repeat is as small as there, no window is written
// before what lies there was read: what is left of y is no more than the pixels behind the window. |sum| <= 8 * 2^15.
void br_avg_pool_backward(const br_pool_t *p, int16_t *g, int16_t *exponents);

// g [words * 32], mask [words].
void br_gradient_mask(int16_t *g, const uint32_t *mask, size_t words);

// g, d [n][channels], mask [n][channels/32], flip [channels/32], add 0 or 1. |sum| <= 2 * 2^29.
void br_gradient_add(int16_t *g, const int16_t *d, const uint32_t *mask, const uint32_t *flip, size_t n,
    size_t channels, int add, int16_t *exponents);

// g, d [n][channels], levels [channels][2], add 0 or 1. |sum| <= 2^15 * 255 * 2^6 + 2^29 < 2^30.
void br_expand_backward(const int16_t *g, const int8_t *levels, int16_t *d, size_t n, size_t channels, int add,
    int16_t *exponents);

// g [n][channels], negative [n][channels/32], slope [channels][2], trained [count], out [count][width], of which n from
// sample * n on are written, and kept [sample]. |g * slope| <= 2^30.
void br_gradient_record(const int16_t *g, const uint32_t *negative, const int16_t *slope, size_t n, size_t channels,
    const uint16_t *trained, size_t count, const int16_t *exponents, int16_t *out, size_t width, int16_t *kept,
    size_t sample);

// The words of br_bconv2d_dx's scratch: the gradient's numbers [oh][ow][cout], of a byte or two; signs of 32 outputs,
// transposed, and sums, [cin/groups] each; tables.
static inline size_t br_bconv2d_dx_scratch(const br_geometry_t *g, size_t bits) {
    size_t numbers = br_output_pixels(g) * g->cout;
    return (numbers >> (bits <= 8 ? 2 : 1)) + 2 * br_quotient(g->cin, g->groups) + BR_TABLE_WORDS;
}

// cout/groups a multiple of 32. g [oh][ow][cout], negative [oh][ow][cout/32], slope [cout][2], weight as br_bconv2d has
// it, d [height][width][cin], whose first half becomes the result, i16. |g * slope| <= 2^30, and |d| <= 2^15 * 49 * 1024
// < 2^31 - 2^16.
void br_bconv2d_dx(const br_geometry_t *geometry, const int16_t *g, const uint32_t *negative, const int16_t *slope,
    uint32_t shift, const uint32_t *weight, uint32_t bits, int stochastic, int32_t *scratch, int32_t *d, uint32_t *rng,
    int16_t *exponents);

// The positions of a minibatch: a multiple of 32.
static inline size_t br_padded_positions(const br_geometry_t *g, size_t samples) {
    return (samples * br_output_pixels(g) + 31) & ~(size_t)31;
}

// Where br_bconv2d_dw has what in its scratch, in words. A tap's input, transposed, comes first: [cin][J/32].
typedef struct _br_dw_scratch_t {
    size_t inside; // uint32_t [J/32]: positions whose tap is inside the image
    size_t sums; // uint32_t [cin/groups], of one channel or two
    size_t dw; // int32_t [cin/groups]
    size_t exponents; // int32_t [count]
    size_t tables; // uint32_t [BR_TABLE_WORDS]
    size_t words; // all of it
} br_dw_scratch_t;

static inline br_dw_scratch_t br_bconv2d_dw_scratch(const br_geometry_t *g, size_t samples, size_t count) {
    br_dw_scratch_t at;
    size_t words = br_padded_positions(g, samples) >> 5, inputs = br_quotient(g->cin, g->groups);
    at.inside = g->cin * words;
    at.sums = at.inside + words;
    at.dw = at.sums + inputs;
    at.exponents = at.dw + inputs;
    at.tables = at.exponents + count;
    at.words = at.tables + BR_TABLE_WORDS;
    return at;
}

// The output channels that are trained.
typedef struct _br_trained_t {
    const uint16_t *channels; // [count], ascending
    size_t count;
    int8_t *weight; // [count][kernel_h][kernel_w][cin/groups]
} br_trained_t;

// J = samples * oh * ow rounded up to a multiple of 32. x [samples][height][width][cin/32], gradient [count][J], aligned
// to 2, which becomes the numbers of few bits; shifts [samples], slope [cout][2], packed as br_bconv2d's weight,
// square [2]. |dw| <= 2^15 * 4096 = 2^27; a square has 16 bits, a row's sum 26, and all of them 30 with an exponent.
void br_bconv2d_dw(const br_geometry_t *g, size_t samples, const uint32_t *x, int16_t *gradient, const uint8_t *shifts,
    const int16_t *slope, const br_trained_t *trained, uint32_t *packed, const br_dw_hyper_t *hyper, int32_t *scratch,
    uint32_t *rng, int32_t *square);

#endif // BITREPLAY_H
