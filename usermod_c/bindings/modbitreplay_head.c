// The binding of the head.
#include "modbitreplay.h"

// dense(x, weight, shift, y)
mp_obj_t mod_dense(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
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

// A 0 or 1 for each class. Returns how many are 1.
static size_t get_flags(br_args_t *args, mp_obj_t obj, const char *name, size_t classes, const uint8_t **flags) {
    *flags = br_input(args, obj, name, classes, 1);
    size_t count = 0;
    for (size_t c = 0; c < classes; c++) {
        count += (size_t)br_check((*flags)[c], name, 0, 1);
    }
    return count;
}

// softmax(z, active, label, e)
mp_obj_t mod_softmax(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t classes = br_count(a[0], "z", 4, BR_MAX_CHANNELS);
    const int32_t *z = br_input(&args, a[0], "z", classes * 4, 4);
    const uint8_t *active;
    if (get_flags(&args, a[1], "active", classes, &active) == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("active: no class is active"));
    }
    mp_int_t label = br_int(a[2], "label", -1, (mp_int_t)classes - 1);
    if (label >= 0 && !active[label]) {
        mp_raise_ValueError(MP_ERROR_TEXT("label: its class is not active"));
    }
    int16_t *e = br_output(&args, a[3], "e", classes * 2, 2);
    return MP_OBJ_NEW_SMALL_INT(br_softmax(z, active, classes, (int32_t)label, e));
}

// head_backward(e, weight, bits, df, exponents)
mp_obj_t mod_head_backward(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    uint32_t bits = (uint32_t)br_get_master_bits(br_get_int(a[2], "bits"));
    size_t classes = br_count(a[0], "e", 2, BR_MAX_CHANNELS);
    size_t n = br_count(a[1], "weight", classes * bits / 8, BR_MAX_DENSE);
    size_t copies = br_count(a[3], "df", 2 * n, BR_MAX_POSITIONS);
    const int16_t *e = br_input(&args, a[0], "e", classes * 2, 2);
    const void *weight = br_input(&args, a[1], "weight", classes * n * bits / 8, bits / 8);
    int16_t *df = br_output(&args, a[3], "df", copies * n * 2, 2);
    br_head_backward(e, weight, bits, classes, n, df, copies, br_exponents(&args, a[4]));
    return mp_const_none;
}

// head_update(e, f, active, weight, velocity, hyper, rng)
mp_obj_t mod_head_update(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    const br_head_hyper_t *hyper = br_input(&args, a[5], "hyper", sizeof(br_head_hyper_t), 1);
    size_t bits = (size_t)br_get_master_bits(hyper->bits);
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
    get_flags(&args, a[2], "active", classes, &active);
    void *weight = br_output(&args, a[3], "weight", classes * n * bits / 8, bits / 8);
    void *velocity = br_output(&args, a[4], "velocity", classes * n * bits / 8, bits / 8);
    br_head_update(e, f, active, samples, classes, n, weight, velocity, hyper, br_rng(&args, a[6]));
    return mp_const_none;
}

// head_quantize(weight, bits, q_f, out, shift)
mp_obj_t mod_head_quantize(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    uint32_t bits = (uint32_t)br_get_master_bits(br_get_int(a[1], "bits"));
    uint32_t q_f = (uint32_t)br_int(a[2], "q_f", 2, 8);
    size_t classes = br_count(a[4], "shift", 1, BR_MAX_CHANNELS), n = br_count(a[3], "out", classes, BR_MAX_DENSE);
    const void *weight = br_input(&args, a[0], "weight", classes * n * bits / 8, bits / 8);
    int8_t *out = br_output(&args, a[3], "out", classes * n, 1);
    br_head_quantize(weight, bits, q_f, classes, n, out, br_output(&args, a[4], "shift", classes, 1));
    return mp_const_none;
}

// head_begin(cw, here, bits, weight, velocity)
mp_obj_t mod_head_begin(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t bits = (size_t)br_get_master_bits(br_get_int(a[2], "bits"));
    size_t classes = br_count(a[1], "here", 1, BR_MAX_CHANNELS), n = br_count(a[0], "cw", classes * 2, BR_MAX_DENSE);
    const int16_t *cw = br_input(&args, a[0], "cw", classes * n * 2, 2);
    const uint8_t *here;
    get_flags(&args, a[1], "here", classes, &here);
    void *weight = br_output(&args, a[3], "weight", classes * n * bits / 8, bits / 8);
    void *velocity = br_output(&args, a[4], "velocity", classes * n * bits / 8, bits / 8);
    br_head_begin(cw, here, (uint32_t)bits, classes, n, weight, velocity);
    return mp_const_none;
}

// head_add(f, factor, bits, weight)
mp_obj_t mod_head_add(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t bits = (size_t)br_get_master_bits(br_get_int(a[2], "bits")), n = br_count(a[0], "f", 1, BR_MAX_DENSE);
    const int8_t *f = br_input(&args, a[0], "f", n, 1);
    int32_t factor = (int32_t)br_int(a[1], "factor", -32767, 32767);
    br_head_add(f, factor, (uint32_t)bits, n, br_output(&args, a[3], "weight", n * bits / 8, bits / 8));
    return mp_const_none;
}

// head_sum(weight, bits)
mp_obj_t mod_head_sum(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t bits = (size_t)br_get_master_bits(br_get_int(a[1], "bits"));
    size_t n = br_count(a[0], "weight", bits / 8, 65536);
    return mp_obj_new_int(br_head_sum(br_input(&args, a[0], "weight", n * bits / 8, bits / 8), (uint32_t)bits, n));
}

// consolidate(cw, tw, bits, mean, alpha)
mp_obj_t mod_consolidate(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t bits = (size_t)br_get_master_bits(br_get_int(a[2], "bits"));
    size_t n = br_count(a[0], "cw", 2, BR_ELEMENTS);
    const void *tw = br_input(&args, a[1], "tw", n * bits / 8, bits / 8);
    mp_int_t mean = br_int(a[3], "mean", -32768, 32767);
    mp_int_t alpha = br_int(a[4], "alpha", 0, 1 << 15);
    br_consolidate(br_output(&args, a[0], "cw", n * 2, 2), tw, (uint32_t)bits, (int32_t)mean, (uint32_t)alpha, n);
    return mp_const_none;
}
