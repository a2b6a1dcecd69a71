// Argument checks: a buffer has exactly the size that the kernel needs and is aligned, and no output overlaps anything.
//
// None of them runs Python code, so that no buffer can move or shrink between its check and the kernel.
#ifndef BITREPLAY_BINDINGS_ARGS_H
#define BITREPLAY_BINDINGS_ARGS_H

#if defined(MICROPY_ENABLE_DYNRUNTIME)
#include "py/dynruntime.h"

// dynruntime.h has nothing that formats; the % of str does. Takes %s, %d and %u, at most four.
static NORETURN void br_raise(const mp_obj_type_t *type, const char *format, ...) {
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
#else
#include "py/runtime.h"

#define br_raise mp_raise_msg_varg
#endif

#include "bitreplay.h"

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

static inline void br_get_buffer(mp_obj_t obj, const char *name, mp_buffer_info_t *info, bool output) {
    // MicroPython's str is a buffer, CPython's is not.
    if (mp_obj_get_type(obj) == &mp_type_str || !mp_get_buffer(obj, info, MP_BUFFER_READ)) {
        br_raise(&mp_type_TypeError, MP_ERROR_TEXT("%s: must be a buffer, such as bytes or bytearray"), name);
    }
    if (output && !mp_get_buffer(obj, info, MP_BUFFER_RW)) {
        br_raise(&mp_type_TypeError, MP_ERROR_TEXT("%s: must be writable"), name);
    }
}

static inline void *br_buffer(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align, bool output) {
    mp_buffer_info_t info;
    br_get_buffer(obj, name, &info, output);
    if (info.len != len) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: expected %u bytes, got %u"), name, (uint)len, (uint)info.len);
    }
    if ((uintptr_t)info.buf & (align - 1)) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: must be aligned to %u bytes"), name, (uint)align);
    }
    const uint8_t *start = info.buf;
    for (size_t i = 0; i < args->n; i++) {
        if ((output || args->buffers[i].output)
            && start < args->buffers[i].start + args->buffers[i].len && args->buffers[i].start < start + len) {
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

static inline const void *br_input(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align) {
    return br_buffer(args, obj, name, len, align, false);
}

static inline void *br_output(br_args_t *args, mp_obj_t obj, const char *name, size_t len, size_t align) {
    return br_buffer(args, obj, name, len, align, true);
}

// The number of `size`-byte elements in a buffer, 1..limit.
static inline size_t br_count(mp_obj_t obj, const char *name, size_t size, size_t limit) {
    mp_buffer_info_t info;
    br_get_buffer(obj, name, &info, false);
    size_t rest, count = br_divide(info.len, size, &rest);
    if (count == 0 || rest || count > limit) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: %u bytes are not 1..%u elements of %u bytes"),
            name, (uint)info.len, (uint)limit, (uint)size);
    }
    return count;
}

static inline mp_int_t br_check(mp_int_t value, const char *name, mp_int_t low, mp_int_t high) {
    if (value < low || value > high) {
        br_raise(&mp_type_ValueError, MP_ERROR_TEXT("%s: must be %d..%d"), name, (int)low, (int)high);
    }
    return value;
}

// An int or bool (no __int__ is called). One that is larger than a machine word becomes INT32_MAX, which no kernel takes.
static inline mp_int_t br_get_int(mp_obj_t obj, const char *name) {
    const mp_obj_type_t *type = mp_obj_get_type(obj);
    if (type != &mp_type_int && type != &mp_type_bool) {
        br_raise(&mp_type_TypeError, MP_ERROR_TEXT("%s: must be an integer"), name);
    }
    mp_int_t value = mp_obj_get_int_truncated(obj);
    return mp_binary_op(MP_BINARY_OP_EQUAL, obj, mp_obj_new_int(value)) == mp_const_true ? value : INT32_MAX;
}

static inline mp_int_t br_int(mp_obj_t obj, const char *name, mp_int_t low, mp_int_t high) {
    return br_check(br_get_int(obj, name), name, low, high);
}

static inline uint32_t *br_rng(br_args_t *args, mp_obj_t obj) {
    uint32_t *rng = br_output(args, obj, "rng", 4, 4);
    if (*rng == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("rng: state must not be 0"));
    }
    return rng;
}

#endif // BITREPLAY_BINDINGS_ARGS_H
