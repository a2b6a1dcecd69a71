// The module _inject of `make unix-asan`: makes an allocation of MicroPython fail, or lets Ctrl-C or a callback come at a
// branch, so that tests can try each of them.
//
// The linker sends every call of gc_alloc and gc_realloc here (--wrap): all of MicroPython's memory comes from these
// two. The interpreter calls inject_branch wherever it looks for signals and callbacks.

#include "py/gc.h"
#include "py/runtime.h"

void *__real_gc_alloc(size_t n_bytes, unsigned int alloc_flags);
void *__real_gc_realloc(void *ptr, size_t n_bytes, bool allow_move);

static size_t allocations, failing;
static bool all_later;

static bool fails(void) {
    ++allocations;
    return allocations == failing || (all_later && failing && allocations > failing);
}

void *__wrap_gc_alloc(size_t n_bytes, unsigned int alloc_flags) {
    return n_bytes && fails() ? NULL : __real_gc_alloc(n_bytes, alloc_flags);
}

void *__wrap_gc_realloc(void *ptr, size_t n_bytes, bool allow_move) {
    // A block that shrinks is not allocated, and never fails.
    bool grows = n_bytes > (ptr ? gc_nbytes(ptr) : 0);
    return grows && fails() ? NULL : __real_gc_realloc(ptr, n_bytes, allow_move);
}

// after(n, all_later=False): the n-th allocation from now on fails, and with all_later every one after it; 0: none.
static mp_obj_t after(size_t n_args, const mp_obj_t *args) {
    failing = mp_obj_get_int(args[0]);
    all_later = n_args > 1 && mp_obj_is_true(args[1]);
    allocations = 0;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(after_obj, 1, 2, after);

// count(): the allocations since after().
static mp_obj_t count(void) {
    return MP_OBJ_NEW_SMALL_INT(allocations);
}
static MP_DEFINE_CONST_FUN_OBJ_0(count_obj, count);

static size_t branches, waited;

void inject_branch(void) {
    if (++branches != waited) {
        return;
    }
    if (MP_STATE_VM(inject_callback) == mp_const_none) {
        mp_sched_keyboard_interrupt();
    } else {
        mp_sched_schedule(MP_STATE_VM(inject_callback), mp_const_none);
    }
}

// at(n, callback=None): at the n-th branch from now on comes Ctrl-C, or callback(None); 0: nothing does.
static mp_obj_t at(size_t n_args, const mp_obj_t *args) {
    MP_STATE_VM(inject_callback) = n_args > 1 ? args[1] : mp_const_none;
    waited = mp_obj_get_int(args[0]);
    branches = 0;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(at_obj, 1, 2, at);

// branches(): those since at().
static mp_obj_t get_branches(void) {
    return MP_OBJ_NEW_SMALL_INT(branches);
}
static MP_DEFINE_CONST_FUN_OBJ_0(branches_obj, get_branches);

MP_REGISTER_ROOT_POINTER(mp_obj_t inject_callback);

static const mp_rom_map_elem_t globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__inject) },
    { MP_ROM_QSTR(MP_QSTR_after), MP_ROM_PTR(&after_obj) },
    { MP_ROM_QSTR(MP_QSTR_count), MP_ROM_PTR(&count_obj) },
    { MP_ROM_QSTR(MP_QSTR_at), MP_ROM_PTR(&at_obj) },
    { MP_ROM_QSTR(MP_QSTR_branches), MP_ROM_PTR(&branches_obj) },
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t inject_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__inject, inject_module);
