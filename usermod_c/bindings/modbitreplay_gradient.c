// The binding of binary gradients, and of the generator.
#include "modbitreplay.h"

// random(rng, n)
mp_obj_t mod_random(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    uint32_t *rng = br_rng(&args, a[0]);
    return MP_OBJ_NEW_SMALL_INT(br_random(rng, (uint32_t)br_int(a[1], "n", 1, 65536)));
}

// Positions of a minibatch, as elements of `size` bytes.
static size_t get_positions(mp_obj_t obj, const char *name, size_t size) {
    return 32 * br_count(obj, name, 32 * size, BR_MAX_POSITIONS / 32);
}

// transpose(x, words, y)
mp_obj_t mod_transpose(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t words = (size_t)br_int(a[1], "words", 1, BR_MAX_CHANNELS / 32);
    size_t rows = get_positions(a[0], "x", words * 4);
    const uint32_t *x = br_input(&args, a[0], "x", rows * words * 4, 4);
    br_transpose(x, rows, words, br_output(&args, a[2], "y", rows * words * 4, 4));
    return mp_const_none;
}

// quantize_gradient(g, bits, stochastic, planes, rng)
mp_obj_t mod_quantize_gradient(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = get_positions(a[0], "g", 4);
    uint32_t bits = (uint32_t)br_int(a[1], "bits", 2, 16);
    int stochastic = (int)br_int(a[2], "stochastic", 0, 1);
    const int32_t *g = br_input(&args, a[0], "g", n * 4, 4);
    uint32_t *planes = br_output(&args, a[3], "planes", bits * n / 8, 4);
    return MP_OBJ_NEW_SMALL_INT(br_quantize_gradient(g, n, bits, stochastic, planes, br_rng(&args, a[4])));
}

// dot_planes(planes, bits, rows, out)
mp_obj_t mod_dot_planes(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    uint32_t bits = (uint32_t)br_int(a[1], "bits", 2, 16);
    size_t words = br_count(a[0], "planes", bits * 4, BR_MAX_POSITIONS / 32);
    size_t count = br_count(a[2], "rows", words * 4, BR_ELEMENTS);
    const uint32_t *planes = br_input(&args, a[0], "planes", bits * words * 4, 4);
    const uint32_t *rows = br_input(&args, a[2], "rows", count * words * 4, 4);
    br_dot_planes(planes, bits, words, rows, count, br_output(&args, a[3], "out", count * 4, 4));
    return mp_const_none;
}

// dot_signs(q, x, out)
mp_obj_t mod_dot_signs(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = get_positions(a[0], "q", 2), words = br_count(a[1], "x", n * 4, BR_MAX_CHANNELS / 32);
    const int16_t *q = br_input(&args, a[0], "q", n * 2, 2);
    const uint32_t *x = br_input(&args, a[1], "x", n * words * 4, 4);
    br_dot_signs(q, n, x, words, br_output(&args, a[2], "out", words * 32 * 4, 4));
    return mp_const_none;
}

// update_weights(weight, dw, mantissa, exponent, packed, rng)
mp_obj_t mod_update_weights(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    size_t n = 32 * br_count(a[0], "weight", 32, BR_ELEMENTS);
    int32_t mantissa = (int32_t)br_int(a[2], "mantissa", 1, 15), exponent = (int32_t)br_int(a[3], "exponent", -31, 8);
    const int32_t *dw = br_input(&args, a[1], "dw", n * 4, 4);
    int8_t *weight = br_output(&args, a[0], "weight", n, 1);
    uint32_t *packed = br_output(&args, a[4], "packed", n / 8, 4);
    br_update_weights(weight, dw, n, mantissa, exponent, packed, br_rng(&args, a[5]));
    return mp_const_none;
}

// The geometry of a layer that can be trained.
static const br_geometry_t *get_trained(br_args_t *args, mp_obj_t obj) {
    const br_geometry_t *g = br_get_geometry(args, obj, true);
    if (g->kernel != 1 || g->stride != 1 || g->cin != g->cout) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: kernel and stride must be 1, and cin equal to cout"));
    }
    return g;
}

// bconv_scratch(geometry, samples, bits)
mp_obj_t mod_bconv_scratch(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_trained(&args, a[0]);
    size_t samples = (size_t)br_int(a[1], "samples", 1, BR_MAX_POSITIONS);
    size_t bits = (size_t)br_int(a[2], "bits", 2, 16), positions = samples * g->height * g->width;
    if (positions % 32 || positions > BR_MAX_POSITIONS) {
        br_raise(&mp_type_ValueError,
            MP_ERROR_TEXT("samples: samples * height * width must be a multiple of 32 up to %u"), BR_MAX_POSITIONS);
    }
    return MP_OBJ_NEW_SMALL_INT(br_bconv_scratch(g, samples, bits).words);
}

// bconv_backward(geometry, x, xt, e, head, weight, packed, slope, bias, hyper, scratch, rng)
mp_obj_t mod_bconv_backward(size_t n_args, const mp_obj_t *a) {
    br_args_t args = { 0 };
    const br_geometry_t *g = get_trained(&args, a[0]);
    const br_backward_hyper_t *hyper = br_input(&args, a[9], "hyper", sizeof(br_backward_hyper_t), 1);
    br_check(hyper->value, "hyper: value", 1, 127);
    size_t bits = (size_t)br_check(hyper->bits, "hyper: bits", 2, 16);
    br_check(hyper->stochastic, "hyper: stochastic", 0, 1);
    br_check(hyper->mantissa, "hyper: mantissa", 1, 15);
    br_check(hyper->exponent, "hyper: exponent", -64, 8);
    size_t head_bits = (size_t)br_get_master_bits(hyper->head_bits);
    size_t positions = get_positions(a[1], "x", g->cin / 8), area = (size_t)g->height * g->width;
    size_t fan_in = br_quotient(g->cin, g->groups), rest, samples = br_divide(positions, area, &rest);
    if (rest) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("x: %u positions are not samples of %u"), (unsigned int)positions,
            (unsigned int)area);
    }
    size_t classes = br_count(a[3], "e", samples * 2, BR_MAX_CHANNELS);
    const uint32_t *x = br_input(&args, a[1], "x", positions * g->cin / 8, 4);
    const uint32_t *xt = br_input(&args, a[2], "xt", positions * g->cin / 8, 4);
    const int16_t *e = br_input(&args, a[3], "e", samples * classes * 2, 2);
    const void *head = br_input(&args, a[4], "head", classes * g->cout * head_bits / 8, head_bits / 8);
    int8_t *weight = br_output(&args, a[5], "weight", g->cout * fan_in, 1);
    uint32_t *packed = br_output(&args, a[6], "packed", g->cout * fan_in / 8, 4);
    br_affine_t affine = br_get_affine(&args, a[7], a[8], hyper->shift, g->cout);
    int32_t *scratch = br_output(&args, a[10], "scratch", 4 * br_bconv_scratch(g, samples, bits).words, 4);
    br_bconv_backward(g, samples, classes, x, xt, e, head, weight, packed, &affine, hyper, scratch,
        br_rng(&args, a[11]));
    return mp_const_none;
}
