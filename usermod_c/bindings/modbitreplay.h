// What the parts of the binding share: argument checks, and the functions of the module.
//
// A buffer has exactly the size that the kernel needs and is aligned, and no output overlaps anything. No check runs
// Python code, so that no buffer can move or shrink between its check and the kernel.
#ifndef BITREPLAY_BINDINGS_MODBITREPLAY_H
#define BITREPLAY_BINDINGS_MODBITREPLAY_H

#if defined(MICROPY_ENABLE_DYNRUNTIME)
#include "py/dynruntime.h"

// Takes %s, %d and %u, at most four.
NORETURN void br_raise(const mp_obj_type_t *type, const char *format, ...);
#else
#include "py/objlist.h"
#include "py/objtuple.h"
#include "py/runtime.h"

#define br_raise mp_raise_msg_varg
#endif

#include "bitreplay.h"

#define BR_ELEMENTS (1u << 24) // of a buffer whose size the arguments leave open
#define BR_MAX_BUFFERS (16)

// The buffers of one call.
typedef struct _br_args_t {
    size_t n;
    struct {
        const char *name;
        const uint8_t *start;
        size_t len;
        bool output;
    } buffers[BR_MAX_BUFFERS];
} br_args_t;

void br_get_buffer(mp_obj_t obj, const char *name, mp_buffer_info_t *info, bool output);
void *br_buffer(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align, bool output);

static inline const void *br_input(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align) {
    return br_buffer(args, obj, name, len, align, false);
}

static inline void *br_output(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align) {
    return br_buffer(args, obj, name, len, align, true);
}

// The number of `size`-byte elements in a buffer, 1..limit.
size_t br_count(mp_obj_t obj, const char *name, size_t size, size_t limit);

mp_int_t br_check(mp_int_t value, const char *name, mp_int_t low, mp_int_t high);
mp_int_t br_get_int(mp_obj_t obj, const char *name);

static inline mp_int_t br_int(mp_obj_t obj, const char *name, mp_int_t low, mp_int_t high) {
    return br_check(br_get_int(obj, name), name, low, high);
}

uint32_t *br_rng(br_args_t *args, mp_obj_t obj);

// Those of a gradient of the stream and of one of bits.
static inline int16_t *br_exponents(br_args_t *args, mp_obj_t obj) {
    return br_output(args, obj, "exponents", 4, 2);
}

const br_geometry_t *br_get_geometry(br_args_t *args, mp_obj_t obj, bool binary);
const br_pool_t *br_get_pool(br_args_t *args, mp_obj_t obj);
br_affine_t br_get_affine(br_args_t *args, mp_obj_t slope, mp_obj_t bias, mp_int_t shift, size_t cout);
// Of any size, which may be 0.
uint32_t *br_get_scratch(br_args_t *args, mp_obj_t obj, size_t *words);
mp_int_t br_get_master_bits(mp_int_t bits);

// The words of an output channel's weights.
static inline size_t br_filter_words(const br_geometry_t *g) {
    return br_kernel_taps(g) * br_quotient(g->cin / 32, g->groups);
}

// The elements of a pooling's output.
static inline size_t br_pooled(const br_pool_t *p) {
    return br_quotient((size_t)p->height * p->width, p->size_h * p->size_w) * p->channels * p->repeat;
}

// The functions of the module.
mp_obj_t mod_conv2d(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_scratch(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_masks(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_sign(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_binarize(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_near_threshold(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_expand(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_global_avg_pool(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_avg_pool(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_max_pool(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_max_pool_bits(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_dense(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_nearest(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_logmel(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_logmel_image(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_random(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_draw_balanced(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_gather_rows(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_run(size_t n_args, const mp_obj_t *a);
extern const mp_obj_fun_builtin_var_t mod_run_obj;
mp_obj_t mod_softmax(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_head_backward(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_head_update(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_head_quantize(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_head_begin(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_head_add(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_head_sum(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_consolidate(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_transpose(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_dot_tables(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_dot_signs(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_update_weights(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_avg_pool_backward(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_gradient_mask(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_gradient_add(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_expand_backward(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_gradient_record(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_dx_scratch(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_dx(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_dw_scratch(size_t n_args, const mp_obj_t *a);
mp_obj_t mod_bconv2d_dw(size_t n_args, const mp_obj_t *a);

#endif // BITREPLAY_BINDINGS_MODBITREPLAY_H
