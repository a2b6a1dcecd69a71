// The binding of what passes gradients through layers, and of the gradients of binary convolutions.
#include "modbitreplay.h"

// avg_pool_backward(shape, g, exponents)
mp_obj_t mod_avg_pool_backward(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_pool_t *p = br_get_pool(&args, a[0]);
    int16_t *g = br_output(&args, a[1], "g", (size_t)p->height * p->width * p->channels * 2, 2);
    br_avg_pool_backward(p, g, br_exponents(&args, a[2]));
    return mp_const_none;
}

// gradient_mask(g, mask)
mp_obj_t mod_gradient_mask(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t words = br_count(a[0], "g", 64, BR_ELEMENTS);
    const uint32_t *mask = br_input(&args, a[1], "mask", words * 4, 4);
    br_gradient_mask(br_output(&args, a[0], "g", words * 64, 2), mask, words);
    return mp_const_none;
}

// gradient_add(g, d, mask, flip, add, exponents)
mp_obj_t mod_gradient_add(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t channels = 32 * br_count(a[3], "flip", 4, BR_MAX_CHANNELS / 32);
    size_t n = br_count(a[0], "g", channels * 2, BR_ELEMENTS);
    const int16_t *d = br_input(&args, a[1], "d", n * channels * 2, 2);
    const uint32_t *mask = br_input(&args, a[2], "mask", n * channels / 8, 4);
    const uint32_t *flip = br_input(&args, a[3], "flip", channels / 8, 4);
    int add = (int)br_int(a[4], "add", 0, 1);
    int16_t *g = br_output(&args, a[0], "g", n * channels * 2, 2);
    br_gradient_add(g, d, mask, flip, n, channels, add, br_exponents(&args, a[5]));
    return mp_const_none;
}

// expand_backward(g, levels, d, add, exponents)
mp_obj_t mod_expand_backward(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t channels = 32 * br_count(a[1], "levels", 64, BR_MAX_CHANNELS / 32);
    size_t n = br_count(a[0], "g", channels * 2, BR_ELEMENTS);
    const int16_t *g = br_input(&args, a[0], "g", n * channels * 2, 2);
    const int8_t *levels = br_input(&args, a[1], "levels", channels * 2, 1);
    int add = (int)br_int(a[3], "add", 0, 1);
    int16_t *d = br_output(&args, a[2], "d", n * channels * 2, 2);
    br_expand_backward(g, levels, d, n, channels, add, br_exponents(&args, a[4]));
    return mp_const_none;
}

// The trained channels of a layer.
static const uint16_t *get_channels(br_args_t *args, mp_obj_t obj, size_t count, size_t cout) {
    const uint16_t *channels = br_input(args, obj, "channels", count * 2, 2);
    for (size_t t = 0; t < count; t++) {
        if (channels[t] >= cout || (t && channels[t] <= channels[t - 1])) {
            br_raise(&mp_type_ValueError, MP_ERROR_TEXT("channels: must ascend and be below %u"), (unsigned int)cout);
        }
    }
    return channels;
}

// gradient_record(g, negative, slope, channels, exponents, out, kept, sample)
mp_obj_t mod_gradient_record(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t cout = 32 * br_count(a[2], "slope", 128, BR_MAX_CHANNELS / 32);
    size_t n = br_count(a[0], "g", cout * 2, BR_MAX_POSITIONS);
    size_t count = br_count(a[3], "channels", 2, cout);
    size_t width = 32 * br_count(a[5], "out", count * 64, BR_MAX_POSITIONS / 32);
    size_t samples = br_count(a[6], "kept", 2, BR_MAX_POSITIONS), most = br_quotient(width, n);
    const int16_t *g = br_input(&args, a[0], "g", n * cout * 2, 2);
    const uint32_t *negative = br_input(&args, a[1], "negative", n * cout / 8, 4);
    const int16_t *slope = br_input(&args, a[2], "slope", cout * 4, 2);
    const uint16_t *channels = get_channels(&args, a[3], count, cout);
    const int16_t *exponents = br_input(&args, a[4], "exponents", 4, 2);
    size_t sample = (size_t)br_int(a[7], "sample", 0, (mp_int_t)(samples < most ? samples : most) - 1);
    int16_t *out = br_output(&args, a[5], "out", count * width * 2, 2);
    int16_t *kept = br_output(&args, a[6], "kept", samples * 2, 2);
    br_gradient_record(g, negative, slope, n, cout, channels, count, exponents, out, width, kept, sample);
    return mp_const_none;
}

// The geometry of a layer whose input gets a gradient.
static const br_geometry_t *get_dx_geometry(br_args_t *args, mp_obj_t obj) {
    const br_geometry_t *g = br_get_geometry(args, obj, true);
    if (br_quotient(g->cout, g->groups) % 32) {
        mp_raise_ValueError(MP_ERROR_TEXT("geometry: cout / groups must be a multiple of 32"));
    }
    return g;
}

// bconv2d_dx_scratch(geometry, bits)
mp_obj_t mod_bconv2d_dx_scratch(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_geometry_t *g = get_dx_geometry(&args, a[0]);
    return MP_OBJ_NEW_SMALL_INT(br_bconv2d_dx_scratch(g, (size_t)br_int(a[1], "bits", 2, 16)));
}

// bconv2d_dx(geometry, g, negative, slope, shift, weight, bits, stochastic, scratch, d, rng, exponents)
mp_obj_t mod_bconv2d_dx(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_geometry_t *geometry = get_dx_geometry(&args, a[0]);
    uint32_t shift = (uint32_t)br_int(a[4], "shift", 1, 24), bits = (uint32_t)br_int(a[6], "bits", 2, 16);
    int stochastic = (int)br_int(a[7], "stochastic", 0, 1);
    size_t n = br_output_pixels(geometry) * geometry->cout;
    const int16_t *g = br_input(&args, a[1], "g", n * 2, 2);
    const uint32_t *negative = br_input(&args, a[2], "negative", n / 8, 4);
    const int16_t *slope = br_input(&args, a[3], "slope", (size_t)geometry->cout * 4, 2);
    const uint32_t *weight = br_input(&args, a[5], "weight", geometry->cout * br_filter_words(geometry) * 4, 4);
    int32_t *scratch = br_output(&args, a[8], "scratch", br_bconv2d_dx_scratch(geometry, bits) * 4, 4);
    size_t inputs = (size_t)geometry->height * geometry->width * geometry->cin;
    int32_t *d = br_output(&args, a[9], "d", inputs * 4, 4);
    uint32_t *rng = br_rng(&args, a[10]);
    br_bconv2d_dx(geometry, g, negative, slope, shift, weight, bits, stochastic, scratch, d, rng,
        br_exponents(&args, a[11]));
    return mp_const_none;
}

// bconv2d_dw_scratch(geometry, samples, channels)
mp_obj_t mod_bconv2d_dw_scratch(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_geometry_t *g = br_get_geometry(&args, a[0], true);
    size_t limit = br_quotient(BR_MAX_POSITIONS, br_output_pixels(g));
    size_t samples = (size_t)br_int(a[1], "samples", 1, (mp_int_t)limit);
    size_t count = (size_t)br_int(a[2], "channels", 1, g->cout);
    return MP_OBJ_NEW_SMALL_INT(br_bconv2d_dw_scratch(g, samples, count).words);
}

// bconv2d_dw(geometry, x, g, shifts, slope, channels, weight, packed, hyper, scratch, rng, square)
mp_obj_t mod_bconv2d_dw(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_geometry_t *geometry = br_get_geometry(&args, a[0], true);
    const br_dw_hyper_t *hyper = br_input(&args, a[8], "hyper", sizeof(br_dw_hyper_t), 1);
    br_check(hyper->bits, "hyper: bits", 2, 16);
    br_check(hyper->stochastic, "hyper: stochastic", 0, 1);
    br_check(hyper->mantissa, "hyper: mantissa", 1, 15);
    br_check(hyper->update, "hyper: update", 0, 1);
    size_t samples = br_count(a[3], "shifts", 1, br_quotient(BR_MAX_POSITIONS, br_output_pixels(geometry)));
    br_trained_t trained = { .count = br_count(a[5], "channels", 2, geometry->cout) };
    size_t pixels = samples * geometry->height * geometry->width, filter = br_filter_words(geometry);
    const uint32_t *x = br_input(&args, a[1], "x", pixels * geometry->cin / 8, 4);
    int16_t *g = br_output(&args, a[2], "g", trained.count * br_padded_positions(geometry, samples) * 2, 2);
    const uint8_t *shifts = br_input(&args, a[3], "shifts", samples, 1);
    for (size_t s = 0; s < samples; s++) {
        br_check(shifts[s], "shifts", 0, 31);
    }
    const int16_t *slope = br_input(&args, a[4], "slope", (size_t)geometry->cout * 4, 2);
    trained.channels = get_channels(&args, a[5], trained.count, geometry->cout);
    trained.weight = br_output(&args, a[6], "weight", trained.count * filter * 32, 1);
    uint32_t *packed = br_output(&args, a[7], "packed", geometry->cout * filter * 4, 4);
    br_dw_scratch_t at = br_bconv2d_dw_scratch(geometry, samples, trained.count);
    int32_t *scratch = br_output(&args, a[9], "scratch", at.words * 4, 4);
    uint32_t *rng = br_rng(&args, a[10]);
    int32_t *square = br_output(&args, a[11], "square", 8, 4);
    br_bconv2d_dw(geometry, samples, x, g, shifts, slope, &trained, packed, hyper, scratch, rng, square);
    return mp_const_none;
}
