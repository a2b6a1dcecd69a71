// The module _bitreplay: docs/numbers.md tells what each function computes, core/bitreplay.h how.
#include "args.h"

#define BR_ELEMENTS (1u << 24) // more than any buffer of these kernels holds
#define BR_FUN(name, n) static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_##name##_obj, n, n, mod_##name)

// Shapes.

static const br_geometry_t *get_geometry(br_args_t *args, mp_obj_t obj, bool binary) {
    const br_geometry_t *g = br_input(args, obj, "geometry", sizeof(br_geometry_t), 2);
    br_check(g->height, "geometry: height", 1, BR_MAX_SIDE);
    br_check(g->width, "geometry: width", 1, BR_MAX_SIDE);
    br_check(g->cin, "geometry: cin", 1, binary ? BR_MAX_CHANNELS : BR_MAX_FIRST_CIN);
    br_check(g->cout, "geometry: cout", 1, BR_MAX_CHANNELS);
    br_check(g->kernel, "geometry: kernel", 1, BR_MAX_KERNEL);
    br_check(g->stride, "geometry: stride", 1, 2);
    br_check(g->padding, "geometry: padding", 0, g->kernel - 1);
    br_check(g->groups, "geometry: groups", 1, binary ? g->cout : 1);
    if (g->height + 2 * g->padding < g->kernel || g->width + 2 * g->padding < g->kernel) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: kernel is larger than the padded image"));
    }
    size_t cin_rest, cout_rest;
    br_divide(g->cin, 32 * g->groups, &cin_rest);
    br_divide(g->cout, g->groups, &cout_rest);
    if (binary && (cin_rest || cout_rest)) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: cin / groups must be a multiple of 32, and cout of groups"));
    }
    return g;
}

static size_t output_pixels(const br_geometry_t *g) {
    return (size_t)br_output_side(g->height, g) * br_output_side(g->width, g);
}

static size_t filter_words(const br_geometry_t *g) {
    return g->kernel * (size_t)g->kernel * br_quotient(g->cin / 32, g->groups);
}

static br_affine_t get_affine(br_args_t *args, mp_obj_t slope, mp_obj_t bias, mp_int_t shift, size_t cout) {
    br_affine_t affine;
    affine.slope = br_input(args, slope, "slope", cout * 4, 2);
    affine.bias = br_input(args, bias, "bias", cout * 4, 4);
    affine.shift = (uint32_t)br_check(shift, "shift", 1, 24);
    return affine;
}

static mp_int_t get_master_bits(mp_int_t bits) {
    if (bits != 16 && bits != 32) {
        mp_raise_ValueError(MP_ERROR_TEXT("bits: must be 16 or 32"));
    }
    return bits;
}

// Inference.

// conv2d(geometry, x, weight, slope, bias, shift, y)
static mp_obj_t mod_conv2d(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_geometry(&args, a[0], false);
    const uint8_t *x = br_input(&args, a[1], "x", (size_t)g->height * g->width * g->cin, 1);
    const int8_t *weight = br_input(&args, a[2], "weight", (size_t)g->cout * g->kernel * g->kernel * g->cin, 1);
    br_affine_t affine = get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), g->cout);
    br_conv2d(g, x, weight, &affine, br_output(&args, a[6], "y", output_pixels(g) * g->cout, 1));
    return mp_const_none;
}
BR_FUN(conv2d, 7);

// bconv2d(geometry, x, weight, slope, bias, shift, y)
static mp_obj_t mod_bconv2d(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_geometry(&args, a[0], true);
    const uint32_t *x = br_input(&args, a[1], "x", (size_t)g->height * g->width * g->cin / 8, 4);
    const uint32_t *weight = br_input(&args, a[2], "weight", g->cout * filter_words(g) * 4, 4);
    br_affine_t affine = get_affine(&args, a[3], a[4], br_get_int(a[5], "shift"), g->cout);
    br_bconv2d(g, x, weight, &affine, br_output(&args, a[6], "y", output_pixels(g) * g->cout, 1));
    return mp_const_none;
}
BR_FUN(bconv2d, 7);

// bconv2d_sign(geometry, x, weight, threshold, flip, y)
static mp_obj_t mod_bconv2d_sign(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_geometry(&args, a[0], true);
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
BR_FUN(bconv2d_sign, 6);

// binarize(x, threshold, y)
static mp_obj_t mod_binarize(mp_obj_t x_in, mp_obj_t threshold_in, mp_obj_t y_in) {
    br_args_t args = { 0 };
    size_t channels = 32 * br_count(threshold_in, "threshold", 32, BR_MAX_CHANNELS / 32);
    size_t n = br_count(x_in, "x", channels, BR_ELEMENTS);
    const int8_t *x = br_input(&args, x_in, "x", n * channels, 1);
    const int8_t *threshold = br_input(&args, threshold_in, "threshold", channels, 1);
    br_binarize(x, threshold, n, channels, br_output(&args, y_in, "y", n * channels / 8, 4));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_binarize_obj, mod_binarize);

// expand(x, value, y)
static mp_obj_t mod_expand(mp_obj_t x_in, mp_obj_t value_in, mp_obj_t y_in) {
    br_args_t args = { 0 };
    size_t words = br_count(x_in, "x", 4, BR_ELEMENTS);
    const uint32_t *x = br_input(&args, x_in, "x", words * 4, 4);
    mp_int_t value = br_int(value_in, "value", 1, 127);
    br_expand(x, words, (int8_t)value, br_output(&args, y_in, "y", words * 32, 1));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_expand_obj, mod_expand);

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
static mp_obj_t mod_avg_pool(mp_obj_t shape, mp_obj_t x, mp_obj_t y) {
    return pool(shape, x, y, br_avg_pool);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_avg_pool_obj, mod_avg_pool);

// max_pool(shape, x, y)
static mp_obj_t mod_max_pool(mp_obj_t shape, mp_obj_t x, mp_obj_t y) {
    return pool(shape, x, y, br_max_pool);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_max_pool_obj, mod_max_pool);

// add(x, y)
static mp_obj_t mod_add(mp_obj_t x_in, mp_obj_t y_in) {
    br_args_t args = { 0 };
    size_t n = br_count(x_in, "x", 1, BR_ELEMENTS);
    const int8_t *x = br_input(&args, x_in, "x", n, 1);
    br_add(x, br_output(&args, y_in, "y", n, 1), n);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_add_obj, mod_add);

// dense(x, weight, shift, y)
static mp_obj_t mod_dense(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = br_count(a[0], "x", 1, BR_MAX_DENSE), classes = br_count(a[2], "shift", 1, BR_MAX_CHANNELS);
    const int8_t *x = br_input(&args, a[0], "x", n, 1);
    const int8_t *weight = br_input(&args, a[1], "weight", classes * n, 1);
    const int8_t *shift = br_input(&args, a[2], "shift", classes, 1);
    for (size_t c = 0; c < classes; c++) {
        br_check(shift[c], "shift", -16, 6);
    }
    br_dense(x, weight, shift, n, classes, br_output(&args, a[3], "y", classes * 4, 4));
    return mp_const_none;
}
BR_FUN(dense, 4);

// random(rng, n)
static mp_obj_t mod_random(mp_obj_t rng_in, mp_obj_t n_in) {
    br_args_t args = { 0 };
    uint32_t *rng = br_rng(&args, rng_in);
    return MP_OBJ_NEW_SMALL_INT(br_random(rng, (uint32_t)br_int(n_in, "n", 1, 65536)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_random_obj, mod_random);

// The head.

static size_t get_active(br_args_t *args, mp_obj_t obj, size_t classes, const uint8_t **active) {
    *active = br_input(args, obj, "active", classes, 1);
    size_t count = 0;
    for (size_t c = 0; c < classes; c++) {
        count += (size_t)br_check((*active)[c], "active", 0, 1);
    }
    return count;
}

// softmax(z, active, label, e)
static mp_obj_t mod_softmax(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t classes = br_count(a[0], "z", 4, BR_MAX_CHANNELS);
    const int32_t *z = br_input(&args, a[0], "z", classes * 4, 4);
    const uint8_t *active;
    if (get_active(&args, a[1], classes, &active) == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("active: no class is active"));
    }
    mp_int_t label = br_int(a[2], "label", -1, (mp_int_t)classes - 1);
    if (label >= 0 && !active[label]) {
        mp_raise_ValueError(MP_ERROR_TEXT("label: its class is not active"));
    }
    int16_t *e = br_output(&args, a[3], "e", classes * 2, 2);
    return MP_OBJ_NEW_SMALL_INT(br_softmax(z, active, classes, (int32_t)label, e));
}
BR_FUN(softmax, 4);

// head_backward(e, weight, bits, feature, df)
static mp_obj_t mod_head_backward(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    uint32_t bits = (uint32_t)get_master_bits(br_get_int(a[2], "bits"));
    size_t samples = br_count(a[4], "df", 2, BR_MAX_POSITIONS);
    size_t classes = br_count(a[0], "e", samples * 2, BR_MAX_CHANNELS);
    size_t n = br_count(a[1], "weight", classes * bits / 8, BR_MAX_DENSE);
    size_t feature = (size_t)br_int(a[3], "feature", 0, (mp_int_t)n - 1);
    const int16_t *e = br_input(&args, a[0], "e", samples * classes * 2, 2);
    const void *weight = br_input(&args, a[1], "weight", classes * n * bits / 8, bits / 8);
    br_head_backward(e, weight, bits, samples, classes, n, feature, br_output(&args, a[4], "df", samples * 2, 2));
    return mp_const_none;
}
BR_FUN(head_backward, 5);

// head_update(e, f, active, weight, velocity, hyper, rng)
static mp_obj_t mod_head_update(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_head_hyper_t *hyper = br_input(&args, a[5], "hyper", sizeof(br_head_hyper_t), 1);
    size_t bits = (size_t)get_master_bits(hyper->bits);
    br_check(hyper->mantissa, "hyper: mantissa", 1, 15);
    br_check(hyper->exponent, "hyper: exponent", -31, 15);
    br_check(hyper->momentum, "hyper: momentum", 0, 31);
    br_check(hyper->decay, "hyper: decay", 0, 31);
    size_t classes = br_count(a[2], "active", 1, BR_MAX_CHANNELS);
    size_t samples = br_count(a[0], "e", classes * 2, BR_MAX_BATCH);
    size_t n = br_count(a[1], "f", samples, BR_MAX_DENSE);
    const int16_t *e = br_input(&args, a[0], "e", samples * classes * 2, 2);
    const int8_t *f = br_input(&args, a[1], "f", samples * n, 1);
    const uint8_t *active;
    get_active(&args, a[2], classes, &active);
    void *weight = br_output(&args, a[3], "weight", classes * n * bits / 8, bits / 8);
    void *velocity = br_output(&args, a[4], "velocity", classes * n * bits / 8, bits / 8);
    br_head_update(e, f, active, samples, classes, n, weight, velocity, hyper, br_rng(&args, a[6]));
    return mp_const_none;
}
BR_FUN(head_update, 7);

// head_quantize(weight, bits, q_f, out, shift)
static mp_obj_t mod_head_quantize(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    uint32_t bits = (uint32_t)get_master_bits(br_get_int(a[1], "bits"));
    uint32_t q_f = (uint32_t)br_int(a[2], "q_f", 2, 8);
    size_t classes = br_count(a[4], "shift", 1, BR_MAX_CHANNELS), n = br_count(a[3], "out", classes, BR_MAX_DENSE);
    const void *weight = br_input(&args, a[0], "weight", classes * n * bits / 8, bits / 8);
    int8_t *out = br_output(&args, a[3], "out", classes * n, 1);
    br_head_quantize(weight, bits, q_f, classes, n, out, br_output(&args, a[4], "shift", classes, 1));
    return mp_const_none;
}
BR_FUN(head_quantize, 5);

// head_sum(weight, bits)
static mp_obj_t mod_head_sum(mp_obj_t weight_in, mp_obj_t bits_in) {
    br_args_t args = { 0 };
    size_t bits = (size_t)get_master_bits(br_get_int(bits_in, "bits"));
    size_t n = br_count(weight_in, "weight", bits / 8, 65536);
    return mp_obj_new_int(br_head_sum(br_input(&args, weight_in, "weight", n * bits / 8, bits / 8), (uint32_t)bits, n));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_head_sum_obj, mod_head_sum);

// consolidate(cw, tw, bits, mean, alpha)
static mp_obj_t mod_consolidate(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t bits = (size_t)get_master_bits(br_get_int(a[2], "bits"));
    size_t n = br_count(a[0], "cw", 2, BR_ELEMENTS);
    const void *tw = br_input(&args, a[1], "tw", n * bits / 8, bits / 8);
    mp_int_t mean = br_int(a[3], "mean", -32768, 32767);
    mp_int_t alpha = br_int(a[4], "alpha", 0, 1 << 15);
    br_consolidate(br_output(&args, a[0], "cw", n * 2, 2), tw, (uint32_t)bits, (int32_t)mean, (uint32_t)alpha, n);
    return mp_const_none;
}
BR_FUN(consolidate, 5);

// Binary gradients.

// Positions of a minibatch, as elements of `size` bytes.
static size_t get_positions(mp_obj_t obj, const char *name, size_t size) {
    return 32 * br_count(obj, name, 32 * size, BR_MAX_POSITIONS / 32);
}

// transpose(x, words, y)
static mp_obj_t mod_transpose(mp_obj_t x_in, mp_obj_t words_in, mp_obj_t y_in) {
    br_args_t args = { 0 };
    size_t words = (size_t)br_int(words_in, "words", 1, BR_MAX_CHANNELS / 32);
    size_t rows = get_positions(x_in, "x", words * 4);
    const uint32_t *x = br_input(&args, x_in, "x", rows * words * 4, 4);
    br_transpose(x, rows, words, br_output(&args, y_in, "y", rows * words * 4, 4));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_transpose_obj, mod_transpose);

// quantize_gradient(g, bits, stochastic, planes, rng)
static mp_obj_t mod_quantize_gradient(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = get_positions(a[0], "g", 4);
    uint32_t bits = (uint32_t)br_int(a[1], "bits", 2, 16);
    int stochastic = (int)br_int(a[2], "stochastic", 0, 1);
    const int32_t *g = br_input(&args, a[0], "g", n * 4, 4);
    uint32_t *planes = br_output(&args, a[3], "planes", bits * n / 8, 4);
    return MP_OBJ_NEW_SMALL_INT(br_quantize_gradient(g, n, bits, stochastic, planes, br_rng(&args, a[4])));
}
BR_FUN(quantize_gradient, 5);

// dot_planes(planes, bits, rows, out)
static mp_obj_t mod_dot_planes(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    uint32_t bits = (uint32_t)br_int(a[1], "bits", 2, 16);
    size_t words = br_count(a[0], "planes", bits * 4, BR_MAX_POSITIONS / 32);
    size_t count = br_count(a[2], "rows", words * 4, BR_ELEMENTS);
    const uint32_t *planes = br_input(&args, a[0], "planes", bits * words * 4, 4);
    const uint32_t *rows = br_input(&args, a[2], "rows", count * words * 4, 4);
    br_dot_planes(planes, bits, words, rows, count, br_output(&args, a[3], "out", count * 4, 4));
    return mp_const_none;
}
BR_FUN(dot_planes, 4);

// dot_signs(q, x, out)
static mp_obj_t mod_dot_signs(mp_obj_t q_in, mp_obj_t x_in, mp_obj_t out_in) {
    br_args_t args = { 0 };
    size_t n = get_positions(q_in, "q", 2), words = br_count(x_in, "x", n * 4, BR_MAX_CHANNELS / 32);
    const int16_t *q = br_input(&args, q_in, "q", n * 2, 2);
    const uint32_t *x = br_input(&args, x_in, "x", n * words * 4, 4);
    br_dot_signs(q, n, x, words, br_output(&args, out_in, "out", words * 32 * 4, 4));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_dot_signs_obj, mod_dot_signs);

// update_weights(weight, dw, mantissa, exponent, packed, rng)
static mp_obj_t mod_update_weights(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = 32 * br_count(a[0], "weight", 32, BR_ELEMENTS);
    int32_t mantissa = (int32_t)br_int(a[2], "mantissa", 1, 15), exponent = (int32_t)br_int(a[3], "exponent", -31, 8);
    const int32_t *dw = br_input(&args, a[1], "dw", n * 4, 4);
    int8_t *weight = br_output(&args, a[0], "weight", n, 1);
    uint32_t *packed = br_output(&args, a[4], "packed", n / 8, 4);
    br_update_weights(weight, dw, n, mantissa, exponent, packed, br_rng(&args, a[5]));
    return mp_const_none;
}
BR_FUN(update_weights, 6);

// The geometry of a layer that can be trained.
static const br_geometry_t *get_trained(br_args_t *args, mp_obj_t obj) {
    const br_geometry_t *g = get_geometry(args, obj, true);
    if (g->kernel != 1 || g->stride != 1 || g->cin != g->cout) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: kernel and stride must be 1, and cin equal to cout"));
    }
    return g;
}

// bconv_scratch(geometry, samples, bits)
static mp_obj_t mod_bconv_scratch(mp_obj_t geometry_in, mp_obj_t samples_in, mp_obj_t bits_in) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_trained(&args, geometry_in);
    size_t samples = (size_t)br_int(samples_in, "samples", 1, BR_MAX_POSITIONS);
    size_t bits = (size_t)br_int(bits_in, "bits", 2, 16), positions = samples * g->height * g->width;
    if (positions % 32 || positions > BR_MAX_POSITIONS) {
        br_raise(&mp_type_ValueError,
            MP_ERROR_TEXT("samples: samples * height * width must be a multiple of 32 up to %u"), BR_MAX_POSITIONS);
    }
    return MP_OBJ_NEW_SMALL_INT(br_bconv_scratch(g, samples, bits).words);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_bconv_scratch_obj, mod_bconv_scratch);

// bconv_backward(geometry, x, xt, e, head, weight, packed, slope, bias, hyper, scratch, rng)
static mp_obj_t mod_bconv_backward(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_trained(&args, a[0]);
    const br_backward_hyper_t *hyper = br_input(&args, a[9], "hyper", sizeof(br_backward_hyper_t), 1);
    br_check(hyper->value, "hyper: value", 1, 127);
    size_t bits = (size_t)br_check(hyper->bits, "hyper: bits", 2, 16);
    br_check(hyper->stochastic, "hyper: stochastic", 0, 1);
    br_check(hyper->mantissa, "hyper: mantissa", 1, 15);
    br_check(hyper->exponent, "hyper: exponent", -64, 8);
    size_t head_bits = (size_t)get_master_bits(hyper->head_bits);
    size_t positions = get_positions(a[1], "x", g->cin / 8), area = (size_t)g->height * g->width;
    size_t fan_in = br_quotient(g->cin, g->groups), rest, samples = br_divide(positions, area, &rest);
    if (rest) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("x: %u positions are not samples of %u"),
            (unsigned int)positions, (unsigned int)area);
    }
    size_t classes = br_count(a[3], "e", samples * 2, BR_MAX_CHANNELS);
    const uint32_t *x = br_input(&args, a[1], "x", positions * g->cin / 8, 4);
    const uint32_t *xt = br_input(&args, a[2], "xt", positions * g->cin / 8, 4);
    const int16_t *e = br_input(&args, a[3], "e", samples * classes * 2, 2);
    const void *head = br_input(&args, a[4], "head", classes * g->cout * head_bits / 8, head_bits / 8);
    int8_t *weight = br_output(&args, a[5], "weight", g->cout * fan_in, 1);
    uint32_t *packed = br_output(&args, a[6], "packed", g->cout * fan_in / 8, 4);
    br_affine_t affine = get_affine(&args, a[7], a[8], hyper->shift, g->cout);
    int32_t *scratch = br_output(&args, a[10], "scratch", 4 * br_bconv_scratch(g, samples, bits).words, 4);
    br_bconv_backward(g, samples, classes, x, xt, e, head, weight, packed, &affine, hyper, scratch, br_rng(&args, a[11]));
    return mp_const_none;
}
BR_FUN(bconv_backward, 12);

// All that the module has. Names in full: mpy_ld.py looks for them in this text.
#define BR_FUNCTIONS(X) \
    X(MP_QSTR_conv2d, mod_conv2d_obj) \
    X(MP_QSTR_bconv2d, mod_bconv2d_obj) \
    X(MP_QSTR_bconv2d_sign, mod_bconv2d_sign_obj) \
    X(MP_QSTR_binarize, mod_binarize_obj) \
    X(MP_QSTR_expand, mod_expand_obj) \
    X(MP_QSTR_avg_pool, mod_avg_pool_obj) \
    X(MP_QSTR_max_pool, mod_max_pool_obj) \
    X(MP_QSTR_add, mod_add_obj) \
    X(MP_QSTR_dense, mod_dense_obj) \
    X(MP_QSTR_random, mod_random_obj) \
    X(MP_QSTR_softmax, mod_softmax_obj) \
    X(MP_QSTR_head_backward, mod_head_backward_obj) \
    X(MP_QSTR_head_update, mod_head_update_obj) \
    X(MP_QSTR_head_quantize, mod_head_quantize_obj) \
    X(MP_QSTR_head_sum, mod_head_sum_obj) \
    X(MP_QSTR_consolidate, mod_consolidate_obj) \
    X(MP_QSTR_transpose, mod_transpose_obj) \
    X(MP_QSTR_quantize_gradient, mod_quantize_gradient_obj) \
    X(MP_QSTR_dot_planes, mod_dot_planes_obj) \
    X(MP_QSTR_dot_signs, mod_dot_signs_obj) \
    X(MP_QSTR_update_weights, mod_update_weights_obj) \
    X(MP_QSTR_bconv_scratch, mod_bconv_scratch_obj) \
    X(MP_QSTR_bconv_backward, mod_bconv_backward_obj)

#if defined(MICROPY_ENABLE_DYNRUNTIME)

// Compilers call these, without being told to.
void *memcpy(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}

void *memset(void *s, int c, size_t n) {
    return mp_fun_table.memset_(s, c, n);
}

#define BR_STORE(name, object) mp_store_global(name, MP_OBJ_FROM_PTR(&object));

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    BR_FUNCTIONS(BR_STORE)
    MP_DYNRUNTIME_INIT_EXIT
}

#else

#define BR_ROM_ENTRY(name, object) { MP_ROM_QSTR(name), MP_ROM_PTR(&object) },

static const mp_rom_map_elem_t bitreplay_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__bitreplay) },
    BR_FUNCTIONS(BR_ROM_ENTRY)
};
static MP_DEFINE_CONST_DICT(bitreplay_globals, bitreplay_globals_table);

const mp_obj_module_t bitreplay_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&bitreplay_globals,
};
MP_REGISTER_MODULE(MP_QSTR__bitreplay, bitreplay_user_cmodule);

#endif
