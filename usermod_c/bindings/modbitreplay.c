// The module _bitreplay: docs/numbers.md tells what each function computes, core/bitreplay.h how.
#include "modbitreplay.h"

// All that the module has, with how many arguments it takes. Names in full: mpy_ld.py looks for them in this text.
#define BR_FUNCTIONS(X) \
    X(MP_QSTR_conv2d, mod_conv2d, 7) \
    X(MP_QSTR_bconv2d, mod_bconv2d, 8) \
    X(MP_QSTR_bconv2d_scratch, mod_bconv2d_scratch, 1) \
    X(MP_QSTR_bconv2d_masks, mod_bconv2d_masks, 10) \
    X(MP_QSTR_bconv2d_sign, mod_bconv2d_sign, 7) \
    X(MP_QSTR_binarize, mod_binarize, 4) \
    X(MP_QSTR_near_threshold, mod_near_threshold, 3) \
    X(MP_QSTR_expand, mod_expand, 3) \
    X(MP_QSTR_global_avg_pool, mod_global_avg_pool, 2) \
    X(MP_QSTR_avg_pool, mod_avg_pool, 3) \
    X(MP_QSTR_max_pool, mod_max_pool, 3) \
    X(MP_QSTR_max_pool_bits, mod_max_pool_bits, 3) \
    X(MP_QSTR_dense, mod_dense, 4) \
    X(MP_QSTR_nearest, mod_nearest, 3) \
    X(MP_QSTR_logmel, mod_logmel, 8) \
    X(MP_QSTR_logmel_image, mod_logmel_image, 5) \
    X(MP_QSTR_random, mod_random, 2) \
    X(MP_QSTR_draw_balanced, mod_draw_balanced, 4) \
    X(MP_QSTR_gather_rows, mod_gather_rows, 4) \
    X(MP_QSTR_run, mod_run, 3) \
    X(MP_QSTR_softmax, mod_softmax, 4) \
    X(MP_QSTR_head_backward, mod_head_backward, 5) \
    X(MP_QSTR_head_update, mod_head_update, 7) \
    X(MP_QSTR_head_quantize, mod_head_quantize, 5) \
    X(MP_QSTR_head_begin, mod_head_begin, 5) \
    X(MP_QSTR_head_add, mod_head_add, 4) \
    X(MP_QSTR_head_sum, mod_head_sum, 2) \
    X(MP_QSTR_consolidate, mod_consolidate, 5) \
    X(MP_QSTR_transpose, mod_transpose, 3) \
    X(MP_QSTR_dot_tables, mod_dot_tables, 4) \
    X(MP_QSTR_dot_signs, mod_dot_signs, 3) \
    X(MP_QSTR_update_weights, mod_update_weights, 6) \
    X(MP_QSTR_avg_pool_backward, mod_avg_pool_backward, 3) \
    X(MP_QSTR_gradient_mask, mod_gradient_mask, 2) \
    X(MP_QSTR_gradient_add, mod_gradient_add, 6) \
    X(MP_QSTR_expand_backward, mod_expand_backward, 5) \
    X(MP_QSTR_gradient_record, mod_gradient_record, 8) \
    X(MP_QSTR_bconv2d_dx_scratch, mod_bconv2d_dx_scratch, 2) \
    X(MP_QSTR_bconv2d_dx, mod_bconv2d_dx, 12) \
    X(MP_QSTR_bconv2d_dw_scratch, mod_bconv2d_dw_scratch, 3) \
    X(MP_QSTR_bconv2d_dw, mod_bconv2d_dw, 12)

#define BR_OBJECT(name, function, n) MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(function##_obj, n, n, function);
BR_FUNCTIONS(BR_OBJECT)

#if defined(MICROPY_ENABLE_DYNRUNTIME)

// Compilers call these, without being told to.
void *memcpy(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}

void *memset(void *s, int c, size_t n) {
    return mp_fun_table.memset_(s, c, n);
}

#define BR_STORE(name, function, n) mp_store_global(name, MP_OBJ_FROM_PTR(&function##_obj));

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    BR_FUNCTIONS(BR_STORE)
    MP_DYNRUNTIME_INIT_EXIT
}

#else

#define BR_ROM_ENTRY(name, function, n) { MP_ROM_QSTR(name), MP_ROM_PTR(&function##_obj) },

static const mp_rom_map_elem_t bitreplay_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__bitreplay) }, BR_FUNCTIONS(BR_ROM_ENTRY)
};
static MP_DEFINE_CONST_DICT(bitreplay_globals, bitreplay_globals_table);

const mp_obj_module_t bitreplay_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&bitreplay_globals,
};
MP_REGISTER_MODULE(MP_QSTR__bitreplay, bitreplay_user_cmodule);

#endif
