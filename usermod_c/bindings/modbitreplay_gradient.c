// The binding of binary gradients, and of the generator.
#include "modbitreplay.h"

// random(rng, n)
mp_obj_t mod_random(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    uint32_t *rng = br_rng(&args, a[0]);
    return MP_OBJ_NEW_SMALL_INT(br_random(rng, (uint32_t)br_int(a[1], "n", 1, 65536)));
}

// Positions of a minibatch, as elements of `size` bytes.
static size_t get_positions(mp_obj_t obj, const char *name, size_t size) {
    return 32 * br_count(obj, name, 32 * size, BR_MAX_POSITIONS / 32);
}

// transpose(x, words, y)
mp_obj_t mod_transpose(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t words = (size_t)br_int(a[1], "words", 1, BR_MAX_CHANNELS / 32);
    size_t rows = get_positions(a[0], "x", words * 4);
    const uint32_t *x = br_input(&args, a[0], "x", rows * words * 4, 4);
    br_transpose(x, rows, words, br_output(&args, a[2], "y", rows * words * 4, 4));
    return mp_const_none;
}

// dot_tables(q, rows, scratch, out)
mp_obj_t mod_dot_tables(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t words = br_count(a[0], "q", 128, BR_MAX_POSITIONS / 32);
    size_t count = br_count(a[1], "rows", words * 4, BR_ELEMENTS);
    const int16_t *q = br_input(&args, a[0], "q", words * 128, 2);
    const uint32_t *rows = br_input(&args, a[1], "rows", count * words * 4, 4);
    int32_t *scratch = br_output(&args, a[2], "scratch", BR_TABLE_WORDS * 4, 4);
    br_dot_tables(q, words, rows, count, scratch, br_output(&args, a[3], "out", count * 8, 4));
    return mp_const_none;
}

// dot_signs(q, x, out)
mp_obj_t mod_dot_signs(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t n = get_positions(a[0], "q", 2), words = br_count(a[1], "x", n * 4, BR_MAX_CHANNELS / 32);
    const int16_t *q = br_input(&args, a[0], "q", n * 2, 2);
    const uint32_t *x = br_input(&args, a[1], "x", n * words * 4, 4);
    br_dot_signs(q, n, x, words, br_output(&args, a[2], "out", words * 32 * 4, 4));
    return mp_const_none;
}

// update_weights(weight, dw, mantissa, exponent, packed, rng)
mp_obj_t mod_update_weights(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t n = 32 * br_count(a[0], "weight", 32, BR_ELEMENTS);
    int32_t mantissa = (int32_t)br_int(a[2], "mantissa", 1, 15), exponent = (int32_t)br_int(a[3], "exponent", -31, 8);
    const int32_t *dw = br_input(&args, a[1], "dw", n * 4, 4);
    int8_t *weight = br_output(&args, a[0], "weight", n, 1);
    uint32_t *packed = br_output(&args, a[4], "packed", n / 8, 4);
    br_update_weights(weight, dw, n, mantissa, exponent, packed, br_rng(&args, a[5]));
    return mp_const_none;
}
