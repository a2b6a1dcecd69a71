// The binding of what inference takes.
#include "modbitreplay.h"

// conv2d(geometry, x, weight, slope, bias, shift, y)
mp_obj_t mod_conv2d(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_geometry_t *g = br_get_geometry(&args, a[0], false);
    const uint8_t *x = br_input(&args, a[1], "x", (size_t)g->height * g->width * g->cin, 1);
    const int8_t *weight = br_input(&args, a[2], "weight", g->cout * br_kernel_taps(g) * g->cin, 1);
    br_affine_t affine = br_get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), g->cout);
    br_conv2d(g, x, weight, &affine, br_output(&args, a[6], "y", br_output_pixels(g) * g->cout, 1));
    return mp_const_none;
}

// What every binary convolution takes first: (geometry, x, weight, ...).
typedef struct _br_binary_t {
    const br_geometry_t *g;
    const uint32_t *x, *weight;
    size_t outputs;
} br_binary_t;

// packed: whether the output channels make words of bits.
static br_binary_t get_binary(br_args_t *args, const mp_obj_t *a, bool packed) {
    br_binary_t in = { .g = br_get_geometry(args, a[0], true) };
    if (packed && in.g->cout % 32) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: cout must be a multiple of 32"));
    }
    in.x = br_input(args, a[1], "x", (size_t)in.g->height * in.g->width * in.g->cin / 8, 4);
    in.weight = br_input(args, a[2], "weight", in.g->cout * br_filter_words(in.g) * 4, 4);
    in.outputs = br_output_pixels(in.g) * in.g->cout;
    return in;
}

// bconv2d(geometry, x, weight, slope, bias, shift, scratch, y)
mp_obj_t mod_bconv2d(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    br_binary_t in = get_binary(&args, a, false);
    br_affine_t affine = br_get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), in.g->cout);
    size_t words;
    uint32_t *scratch = br_get_scratch(&args, a[6], &words);
    br_bconv2d(in.g, in.x, in.weight, &affine, scratch, words, br_output(&args, a[7], "y", in.outputs, 1));
    return mp_const_none;
}

// bconv2d_scratch(geometry)
mp_obj_t mod_bconv2d_scratch(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    return MP_OBJ_NEW_SMALL_INT(br_bconv2d_scratch(br_get_geometry(&args, a[0], true)));
}

// bconv2d_masks(geometry, x, weight, slope, bias, shift, scratch, y, passes, negative)
mp_obj_t mod_bconv2d_masks(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    br_binary_t in = get_binary(&args, a, true);
    br_affine_t affine = br_get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), in.g->cout);
    size_t words;
    uint32_t *scratch = br_get_scratch(&args, a[6], &words);
    int8_t *y = br_output(&args, a[7], "y", in.outputs, 1);
    uint32_t *passes = br_output(&args, a[8], "passes", in.outputs / 8, 4);
    uint32_t *negative = br_output(&args, a[9], "negative", in.outputs / 8, 4);
    br_bconv2d_masks(in.g, in.x, in.weight, &affine, scratch, words, y, passes, negative);
    return mp_const_none;
}

// bconv2d_sign(geometry, x, weight, threshold, flip, scratch, y)
mp_obj_t mod_bconv2d_sign(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    br_binary_t in = get_binary(&args, a, true);
    const int16_t *threshold = br_input(&args, a[3], "threshold", in.g->cout * 2, 2);
    const uint32_t *flip = br_input(&args, a[4], "flip", in.g->cout / 8, 4);
    size_t words;
    uint32_t *scratch = br_get_scratch(&args, a[5], &words);
    uint32_t *y = br_output(&args, a[6], "y", in.outputs / 8, 4);
    br_bconv2d_sign(in.g, in.x, in.weight, threshold, flip, scratch, words, y);
    return mp_const_none;
}

// What is compared: (x, threshold, ...).
typedef struct _br_compared_t {
    const int8_t *x, *threshold;
    size_t n, channels;
} br_compared_t;

static br_compared_t get_compared(br_args_t *args, const mp_obj_t *a) {
    br_compared_t in = { .channels = 32 * br_count(a[1], "threshold", 32, BR_MAX_CHANNELS / 32) };
    in.n = br_count(a[0], "x", in.channels, BR_ELEMENTS);
    in.x = br_input(args, a[0], "x", in.n * in.channels, 1);
    in.threshold = br_input(args, a[1], "threshold", in.channels, 1);
    return in;
}

// binarize(x, threshold, flip, y)
mp_obj_t mod_binarize(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    br_compared_t in = get_compared(&args, a);
    const uint32_t *flip = br_input(&args, a[2], "flip", in.channels / 8, 4);
    uint32_t *y = br_output(&args, a[3], "y", in.n * in.channels / 8, 4);
    br_binarize(in.x, in.threshold, flip, in.n, in.channels, y);
    return mp_const_none;
}

// near_threshold(x, threshold, y)
mp_obj_t mod_near_threshold(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    br_compared_t in = get_compared(&args, a);
    uint32_t *y = br_output(&args, a[2], "y", in.n * in.channels / 8, 4);
    br_near_threshold(in.x, in.threshold, in.n, in.channels, y);
    return mp_const_none;
}

// expand(x, levels, y)
mp_obj_t mod_expand(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t channels = 32 * br_count(a[1], "levels", 64, BR_MAX_CHANNELS / 32);
    size_t n = br_count(a[0], "x", channels / 8, BR_ELEMENTS);
    const uint32_t *x = br_input(&args, a[0], "x", n * channels / 8, 4);
    const int8_t *levels = br_input(&args, a[1], "levels", channels * 2, 1);
    br_expand(x, levels, n, channels, br_output(&args, a[2], "y", n * channels, 1));
    return mp_const_none;
}

// global_avg_pool(x, y)
mp_obj_t mod_global_avg_pool(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t channels = br_count(a[1], "y", 1, BR_MAX_CHANNELS), n = br_count(a[0], "x", channels, 1 << 16);
    const int8_t *x = br_input(&args, a[0], "x", n * channels, 1);
    br_global_avg_pool(x, n, channels, br_output(&args, a[1], "y", channels, 1));
    return mp_const_none;
}

static mp_obj_t pool(mp_obj_t shape_in, mp_obj_t x_in, mp_obj_t y_in,
    void (*kernel)(const br_pool_t *p, const int8_t *x, int8_t *y)) {
    br_args_t args;
    args.n = 0;
    const br_pool_t *p = br_get_pool(&args, shape_in);
    const int8_t *x = br_input(&args, x_in, "x", (size_t)p->height * p->width * p->channels, 1);
    mp_buffer_info_t y;
    br_get_buffer(y_in, "y", &y, true);
    if (y.buf == x) {
        // In place: the one overlap that these kernels allow.
        args.n = 1;
    }
    kernel(p, x, br_output(&args, y_in, "y", br_pooled(p), 1));
    return mp_const_none;
}

// avg_pool(shape, x, y)
mp_obj_t mod_avg_pool(size_t n_args, const mp_obj_t *a) {
    return pool(a[0], a[1], a[2], br_avg_pool);
}

// max_pool(shape, x, y)
mp_obj_t mod_max_pool(size_t n_args, const mp_obj_t *a) {
    return pool(a[0], a[1], a[2], br_max_pool);
}

// max_pool_bits(shape, x, y)
mp_obj_t mod_max_pool_bits(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_pool_t *p = br_get_pool(&args, a[0]);
    if (p->channels % 32 || p->repeat != 1) {
        mp_raise_ValueError(MP_ERROR_TEXT("shape: channels must be a multiple of 32, and repeat 1"));
    }
    const uint32_t *x = br_input(&args, a[1], "x", (size_t)p->height * p->width * p->channels / 8, 4);
    br_max_pool_bits(p, x, br_output(&args, a[2], "y", br_pooled(p) / 8, 4));
    return mp_const_none;
}

// nearest(x, rows, found)
mp_obj_t mod_nearest(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t words = br_count(a[0], "x", 4, BR_ELEMENTS), n = br_count(a[1], "rows", 4 * words, BR_ELEMENTS);
    const uint32_t *x = br_input(&args, a[0], "x", words * 4, 4);
    const uint32_t *rows = br_input(&args, a[1], "rows", n * words * 4, 4);
    br_nearest(x, rows, words, n, br_output(&args, a[2], "found", 8, 4));
    return mp_const_none;
}
