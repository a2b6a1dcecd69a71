// Argument checks of all kernels.
#include "modbitreplay.h"

#if defined(MICROPY_ENABLE_DYNRUNTIME)

// dynruntime.h has nothing that formats; the % of str does.
NORETURN void br_raise(const mp_obj_type_t *type, const char *format, ...) {
    mp_obj_t items[4];
    size_t n = 0, len = 0;
    va_list values;
    va_start(values, format);
    for (; format[len]; len++) {
        if (format[len] == '%' && format[len + 1] == 's') {
            const char *text = va_arg(values, const char *);
            size_t text_len = 0;
            while (text[text_len]) {
                text_len++;
            }
            items[n++] = mp_obj_new_str(text, text_len);
        } else if (format[len] == '%') {
            items[n++] = mp_obj_new_int(va_arg(values, int));
        }
    }
    va_end(values);
    mp_obj_t message = mp_binary_op(MP_BINARY_OP_MODULO, mp_obj_new_str(format, len), mp_obj_new_tuple(n, items));
    mp_raise_type_arg(type, message);
}

#endif

void br_get_buffer(mp_obj_t obj, const char *name, mp_buffer_info_t *info, bool output) {
    // MicroPython's str is a buffer, CPython's is not.
    if (mp_obj_get_type(obj) == &mp_type_str || !mp_get_buffer(obj, info, MP_BUFFER_READ)) {
        br_raise(&mp_type_TypeError, MP_ERROR_TEXT("%s: must be a buffer, such as bytes or bytearray"), name);
    }
    if (output && !mp_get_buffer(obj, info, MP_BUFFER_RW)) {
        br_raise(&mp_type_TypeError, MP_ERROR_TEXT("%s: must be writable"), name);
    }
}

void *br_buffer(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align, bool output) {
    mp_buffer_info_t info;
    br_get_buffer(obj, name, &info, output);
    if (info.len != len) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: expected %u bytes, got %u"), name, (uint)len, (uint)info.len);
    }
    if ((uintptr_t)info.buf & (align - 1)) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: must be aligned to %u bytes"), name, (uint)align);
    }
    const uint8_t *start = info.buf;
    if (len == 0) {
        return info.buf; // overlaps nothing
    }
    for (size_t i = 0; i < args->n; i++) {
        if ((output || args->buffers[i].output) && start < args->buffers[i].start + args->buffers[i].len
            && args->buffers[i].start < start + len) {
            br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: must not overlap %s"), name, args->buffers[i].name);
        }
    }
    args->buffers[args->n].name = name;
    args->buffers[args->n].start = start;
    args->buffers[args->n].len = len;
    args->buffers[args->n].output = output;
    args->n++;
    return info.buf;
}

size_t br_count(mp_obj_t obj, const char *name, size_t size, size_t limit) {
    mp_buffer_info_t info;
    br_get_buffer(obj, name, &info, false);
    size_t rest, count = br_divide(info.len, size, &rest);
    if (count == 0 || rest || count > limit) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: %u bytes are not 1..%u elements of %u bytes"), name,
            (uint)info.len, (uint)limit, (uint)size);
    }
    return count;
}

mp_int_t br_check(mp_int_t value, const char *name, mp_int_t low, mp_int_t high) {
    if (low > high) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: no value is possible beside the other arguments"), name);
    }
    if (value < low || value > high) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: must be %d..%d"), name, (int)low, (int)high);
    }
    return value;
}

// An int or bool (no __int__ is called). One that is larger than a machine word becomes INT32_MAX, which no kernel
// takes.
mp_int_t br_get_int(mp_obj_t obj, const char *name) {
    if (mp_obj_is_small_int(obj)) {
        return MP_OBJ_SMALL_INT_VALUE(obj);
    }
    const mp_obj_type_t *type = mp_obj_get_type(obj);
    if (type != &mp_type_int && type != &mp_type_bool) {
        br_raise(&mp_type_TypeError, MP_ERROR_TEXT("%s: must be an integer"), name);
    }
    mp_int_t value = mp_obj_get_int_truncated(obj);
    return mp_binary_op(MP_BINARY_OP_EQUAL, obj, mp_obj_new_int(value)) == mp_const_true ? value : INT32_MAX;
}

uint32_t *br_rng(br_args_t *args, mp_obj_t obj) {
    uint32_t *rng = br_output(args, obj, "rng", 4, 4);
    if (*rng == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("rng: state must not be 0"));
    }
    return rng;
}

const br_geometry_t *br_get_geometry(br_args_t *args, mp_obj_t obj, bool binary) {
    const br_geometry_t *g = br_input(args, obj, "geometry", sizeof(br_geometry_t), 2);
    br_check(g->height, "geometry: height", 1, BR_MAX_SIDE);
    br_check(g->width, "geometry: width", 1, BR_MAX_SIDE);
    br_check(g->cin, "geometry: cin", 1, binary ? BR_MAX_CHANNELS : BR_MAX_FIRST_CIN);
    br_check(g->cout, "geometry: cout", 1, BR_MAX_CHANNELS);
    br_check(g->kernel_h, "geometry: kernel_h", 1, BR_MAX_KERNEL);
    br_check(g->kernel_w, "geometry: kernel_w", 1, BR_MAX_KERNEL);
    br_check(g->stride_h, "geometry: stride_h", 1, 2);
    br_check(g->stride_w, "geometry: stride_w", 1, 2);
    br_check(g->padding_h, "geometry: padding_h", 0, g->kernel_h - 1);
    br_check(g->padding_w, "geometry: padding_w", 0, g->kernel_w - 1);
    br_check(g->groups, "geometry: groups", 1, binary ? g->cout : 1);
    if (g->height + 2 * g->padding_h < g->kernel_h || g->width + 2 * g->padding_w < g->kernel_w) {
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

static void check_size(uint32_t size, const char *name, uint32_t side, const char *side_name) {
    if (size == 0 || size > 8 || size & (size - 1) || side & (size - 1)) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: must be 1, 2, 4 or 8 and divide the %s"), name, side_name);
    }
}

const br_pool_t *br_get_pool(br_args_t *args, mp_obj_t obj) {
    const br_pool_t *p = br_input(args, obj, "shape", sizeof(br_pool_t), 2);
    br_check(p->height, "shape: height", 1, BR_MAX_SIDE);
    br_check(p->width, "shape: width", 1, BR_MAX_SIDE);
    br_check(p->channels, "shape: channels", 1, BR_MAX_CHANNELS);
    check_size(p->size_h, "shape: size_h", p->height, "height");
    check_size(p->size_w, "shape: size_w", p->width, "width");
    br_check(p->repeat, "shape: repeat", 1, p->width == 1 ? p->size_h : p->size_w);
    return p;
}

br_affine_t br_get_affine(br_args_t *args, mp_obj_t slope, mp_obj_t bias, mp_int_t shift, size_t cout) {
    br_affine_t affine;
    affine.slope = br_input(args, slope, "slope", cout * 4, 2);
    affine.bias = br_input(args, bias, "bias", cout * 4, 4);
    affine.shift = (uint32_t)br_check(shift, "shift", 1, 24);
    return affine;
}

uint32_t *br_get_scratch(br_args_t *args, mp_obj_t obj, size_t *words) {
    mp_buffer_info_t info;
    br_get_buffer(obj, "scratch", &info, true);
    if (info.len % 4) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("scratch: must be words of 4 bytes, got %u bytes"),
            (uint)info.len);
    }
    *words = info.len / 4;
    // Where nothing is, nothing is aligned.
    return info.len ? br_output(args, obj, "scratch", info.len, 4) : NULL;
}

mp_int_t br_get_master_bits(mp_int_t bits) {
    if (bits != 16 && bits != 32) {
        mp_raise_ValueError(MP_ERROR_TEXT("bits: must be 16 or 32"));
    }
    return bits;
}
