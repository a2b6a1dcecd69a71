// The binding of what inference takes.
#include "modbitreplay.h"

static size_t output_pixels(const br_geometry_t *g) {
    return (size_t)br_output_side(g->height, g) * br_output_side(g->width, g);
}

static size_t filter_words(const br_geometry_t *g) {
    return g->kernel * (size_t)g->kernel * br_quotient(g->cin / 32, g->groups);
}

// conv2d(geometry, x, weight, slope, bias, shift, y)
mp_obj_t mod_conv2d(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = br_get_geometry(&args, a[0], false);
    const uint8_t *x = br_input(&args, a[1], "x", (size_t)g->height * g->width * g->cin, 1);
    const int8_t *weight = br_input(&args, a[2], "weight", (size_t)g->cout * g->kernel * g->kernel * g->cin, 1);
    br_affine_t affine = br_get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), g->cout);
    br_conv2d(g, x, weight, &affine, br_output(&args, a[6], "y", output_pixels(g) * g->cout, 1));
    return mp_const_none;
}

// bconv2d(geometry, x, weight, slope, bias, shift, y)
mp_obj_t mod_bconv2d(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = br_get_geometry(&args, a[0], true);
    const uint32_t *x = br_input(&args, a[1], "x", (size_t)g->height * g->width * g->cin / 8, 4);
    const uint32_t *weight = br_input(&args, a[2], "weight", g->cout * filter_words(g) * 4, 4);
    br_affine_t affine = br_get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), g->cout);
    br_bconv2d(g, x, weight, &affine, br_output(&args, a[6], "y", output_pixels(g) * g->cout, 1));
    return mp_const_none;
}

// bconv2d_sign(geometry, x, weight, threshold, flip, y)
mp_obj_t mod_bconv2d_sign(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = br_get_geometry(&args, a[0], true);
    if (g->cout % 32) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: cout must be a multiple of 32"));
    }
    const uint32_t *x = br_input(&args, a[1], "x", (size_t)g->height * g->width * g->cin / 8, 4);
    const uint32_t *weight = br_input(&args, a[2], "weight", g->cout * filter_words(g) * 4, 4);
    const int16_t *threshold = br_input(&args, a[3], "threshold", g->cout * 2, 2);
    const uint32_t *flip = br_input(&args, a[4], "flip", g->cout / 8, 4);
    br_bconv2d_sign(g, x, weight, threshold, flip, br_output(&args, a[5], "y", output_pixels(g) * g->cout / 8, 4));
    return mp_const_none;
}

// binarize(x, threshold, y)
mp_obj_t mod_binarize(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t channels = 32 * br_count(a[1], "threshold", 32, BR_MAX_CHANNELS / 32);
    size_t n = br_count(a[0], "x", channels, BR_ELEMENTS);
    const int8_t *x = br_input(&args, a[0], "x", n * channels, 1);
    const int8_t *threshold = br_input(&args, a[1], "threshold", channels, 1);
    br_binarize(x, threshold, n, channels, br_output(&args, a[2], "y", n * channels / 8, 4));
    return mp_const_none;
}

// expand(x, value, y)
mp_obj_t mod_expand(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t words = br_count(a[0], "x", 4, BR_ELEMENTS);
    const uint32_t *x = br_input(&args, a[0], "x", words * 4, 4);
    mp_int_t value = br_int(a[1], "value", 1, 127);
    br_expand(x, words, (int8_t)value, br_output(&args, a[2], "y", words * 32, 1));
    return mp_const_none;
}

static mp_obj_t pool(mp_obj_t shape_in, mp_obj_t x_in, mp_obj_t y_in,
    void (*kernel)(const br_pool_t *p, const int8_t *x, int8_t *y)) {
    br_args_t args = { 0 };
    const br_pool_t *p = br_input(&args, shape_in, "shape", sizeof(br_pool_t), 2);
    br_check(p->height, "shape: height", 1, BR_MAX_SIDE);
    br_check(p->width, "shape: width", 1, BR_MAX_SIDE);
    br_check(p->channels, "shape: channels", 1, BR_MAX_CHANNELS);
    br_check(p->size, "shape: size", 1, 8);
    br_check(p->repeat, "shape: repeat", 1, p->size);
    if (p->size & (p->size - 1) || (p->height | p->width) & (p->size - 1)) {
        mp_raise_ValueError(MP_ERROR_TEXT("shape: size must be 1, 2, 4 or 8 and divide height and width"));
    }
    size_t pixels = (size_t)p->height * p->width;
    const int8_t *x = br_input(&args, x_in, "x", pixels * p->channels, 1);
    mp_buffer_info_t y;
    br_get_buffer(y_in, "y", &y, true);
    if (y.buf == x) {
        // In place: the one overlap that these kernels allow.
        args.n = 1;
    }
    kernel(p, x, br_output(&args, y_in, "y", br_quotient(pixels, p->size * p->size) * p->channels * p->repeat, 1));
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

// add(x, y)
mp_obj_t mod_add(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = br_count(a[0], "x", 1, BR_ELEMENTS);
    const int8_t *x = br_input(&args, a[0], "x", n, 1);
    br_add(x, br_output(&args, a[1], "y", n, 1), n);
    return mp_const_none;
}
