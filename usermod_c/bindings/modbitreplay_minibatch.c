// The binding of what makes a minibatch, and of what runs one.
#include "modbitreplay.h"

#define BR_MAX_SAMPLES (65536)
#define BR_MAX_ARGUMENTS (16)

// draw_balanced(order, ends, numbers, rng)
mp_obj_t mod_draw_balanced(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t count = br_count(a[0], "order", 2, BR_MAX_SAMPLES), classes = br_count(a[1], "ends", 2, count);
    size_t n = br_count(a[2], "numbers", 2, BR_MAX_SAMPLES);
    const uint16_t *order = br_input(&args, a[0], "order", count * 2, 2);
    const uint16_t *ends = br_input(&args, a[1], "ends", classes * 2, 2);
    for (size_t c = 0; c < classes; c++) {
        if (c + 1 < classes ? ends[c] >= ends[c + 1] : ends[c] + 1u != count) {
            br_raise(&mp_type_ValueError, MP_ERROR_TEXT("ends: must ascend to %u"), (unsigned int)count - 1);
        }
    }
    uint16_t *numbers = br_output(&args, a[2], "numbers", n * 2, 2);
    br_draw_balanced(order, ends, classes, numbers, n, br_rng(&args, a[3]));
    return mp_const_none;
}

// Rows of `size` bytes, of which there may be none.
static const uint8_t *get_rows(br_args_t *args, mp_obj_t obj, const char *name, size_t size, size_t *count) {
    mp_buffer_info_t info;
    br_get_buffer(obj, name, &info, false);
    *count = info.len ? br_count(obj, name, size, BR_MAX_SAMPLES) : 0;
    return br_input(args, obj, name, info.len, 1);
}

// gather_rows(numbers, first, second, out)
mp_obj_t mod_gather_rows(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t n = br_count(a[0], "numbers", 2, BR_MAX_SAMPLES), size = br_count(a[3], "out", n, BR_ELEMENTS);
    size_t count, more;
    const uint16_t *numbers = br_input(&args, a[0], "numbers", n * 2, 2);
    const uint8_t *first = get_rows(&args, a[1], "first", size, &count);
    const uint8_t *second = get_rows(&args, a[2], "second", size, &more);
    for (size_t i = 0; i < n; i++) {
        br_check(numbers[i], "numbers", 0, (mp_int_t)(count + more) - 1);
    }
    br_gather_rows(numbers, n, first, count, second, size, br_output(&args, a[3], "out", n * size, 1));
    return mp_const_none;
}

typedef struct _br_items_t {
    size_t n;
    const mp_obj_t *items;
} br_items_t;

// What is in a list or tuple of low..high. As mp_obj_get_array, but without an address of a local variable: what is
// called raises through run(), and to the sanitizers a frame with such variables would never end.
static inline MP_ALWAYSINLINE br_items_t get_items(mp_obj_t obj, mp_rom_error_text_t refused, size_t low,
    size_t high) {
    const mp_obj_type_t *type = mp_obj_get_type(obj);
    br_items_t found = { 0 };
    if (type == &mp_type_list) {
        const mp_obj_list_t *list = MP_OBJ_TO_PTR(obj);
        found.n = list->len;
        found.items = list->items;
    } else if (type == &mp_type_tuple) {
        const mp_obj_tuple_t *tuple = MP_OBJ_TO_PTR(obj);
        found.n = tuple->len;
        found.items = tuple->items;
    } else {
        low = SIZE_MAX;
    }
    if (found.n < low || found.n > high) {
        mp_raise_TypeError(refused);
    }
    return found;
}

// arguments[place] = values[row]
static inline MP_ALWAYSINLINE void set_argument(const mp_obj_t *part, mp_int_t row, mp_rom_error_text_t refused) {
    mp_obj_t arguments = part[0], place = part[1], values = part[2], value = MP_OBJ_NULL;
    if (mp_obj_get_type(values) == &mp_type_list) {
        // Without a look-up, as it is the usual case.
        const mp_obj_list_t *list = MP_OBJ_TO_PTR(values);
        value = (size_t)row < list->len ? list->items[row] : MP_OBJ_NULL;
    }
    if (value == MP_OBJ_NULL) {
        value = mp_obj_subscr(values, MP_OBJ_NEW_SMALL_INT(row), MP_OBJ_SENTINEL);
    }
    if (mp_obj_get_type(arguments) != &mp_type_list) {
        mp_raise_TypeError(refused);
    }
    mp_obj_list_t *list = MP_OBJ_TO_PTR(arguments);
    list->items[br_int(place, "rows: place", 0, (mp_int_t)list->len - 1)] = value;
}

// Of a copy of the arguments, as what is called may change their list. See get_items for the sanitizers.
static MP_NOINLINE __attribute__((no_sanitize_address)) mp_obj_t call_with_copy(mp_obj_t function,
    br_items_t arguments) {
    mp_obj_t copy[BR_MAX_ARGUMENTS];
    for (size_t i = 0; i < arguments.n; i++) {
        copy[i] = arguments.items[i];
    }
    return mp_call_function_n_kw(function, arguments.n, 0, copy);
}

// run(calls, rows, n). What it calls may run any code, which may change the lists: they are read anew for each step. All
// code but run() itself looks after the stack.
mp_obj_t mod_run(size_t n_args, const mp_obj_t *a) {
    mp_rom_error_text_t no_rows = MP_ERROR_TEXT("rows: must be a list of (list of arguments, place, values)");
    mp_rom_error_text_t no_calls = MP_ERROR_TEXT("calls: must be a list of (function, up to 16 arguments[, results])");
    mp_int_t n = br_int(a[2], "n", 0, BR_MAX_SAMPLES);
    br_items_t list;
    for (mp_int_t row = 0; row < n; row++) {
        for (size_t i = 0; list = get_items(a[1], no_rows, 0, SIZE_MAX), i < list.n; i++) {
            set_argument(get_items(list.items[i], no_rows, 3, 3).items, row, no_rows);
        }
        for (size_t i = 0; list = get_items(a[0], no_calls, 0, SIZE_MAX), i < list.n; i++) {
            br_items_t call = get_items(list.items[i], no_calls, 2, 3);
            mp_obj_t function = call.items[0], results = call.n == 3 ? call.items[2] : MP_OBJ_NULL;
            if (function == MP_OBJ_FROM_PTR(&mod_run_obj)) {
                mp_raise_TypeError(MP_ERROR_TEXT("calls: run cannot run itself"));
            }
            mp_obj_t result = call_with_copy(function, get_items(call.items[1], no_calls, 0, BR_MAX_ARGUMENTS));
            if (results != MP_OBJ_NULL) {
                mp_obj_subscr(results, MP_OBJ_NEW_SMALL_INT(row), result);
            }
        }
    }
    return mp_const_none;
}
