// Floating point by the compiler's own routines: IEEE results, but not the real ROM's cycles. What MicroPython does
// not ask for ends at a breakpoint.
#include "rom.h"

#define LIMIT_I32 (0x1p31f)
#define LIMIT_U32 (0x1p32f)
#define LIMIT_I64 (0x1p63f)
#define LIMIT_U64 (0x1p64f)

float __ieee754_sqrtf(float x); // newlib's, without errno, which would need RAM

static float fadd(float a, float b) {
    return a + b;
}

static float fsub(float a, float b) {
    return a - b;
}

static float fmul(float a, float b) {
    return a * b;
}

static float fdiv(float a, float b) {
    return a / b;
}

static int32_t fcmp(float a, float b) {
    return a < b ? -1 : a > b;
}

// x * 2^n
static float scale(float x, int32_t n) {
    for (; n > 120; n -= 120) {
        x *= 0x1p120f;
    }
    for (; n < -120; n += 120) {
        x *= 0x1p-120f;
    }
    union {
        uint32_t bits;
        float value;
    } power = { .bits = (uint32_t)(127 + n) << 23 };
    return x * power.value;
}

// The ROM's conversions round down and saturate.
static int32_t float2int(float x) {
    if (x >= LIMIT_I32) {
        return INT32_MAX;
    }
    if (x < -LIMIT_I32) {
        return INT32_MIN;
    }
    int32_t towards_zero = (int32_t)x;
    return x < 0 && (float)towards_zero > x ? towards_zero - 1 : towards_zero;
}

static uint32_t float2uint(float x) {
    return x >= LIMIT_U32 ? UINT32_MAX : x > 0 ? (uint32_t)x : 0;
}

static int64_t float2int64(float x) {
    if (x >= LIMIT_I64) {
        return INT64_MAX;
    }
    if (x < -LIMIT_I64) {
        return INT64_MIN;
    }
    int64_t towards_zero = (int64_t)x;
    return x < 0 && (float)towards_zero > x ? towards_zero - 1 : towards_zero;
}

static uint64_t float2uint64(float x) {
    return x >= LIMIT_U64 ? UINT64_MAX : x > 0 ? (uint64_t)x : 0;
}

static int32_t float2fix(float x, int32_t n) {
    return float2int(scale(x, n));
}

static uint32_t float2ufix(float x, int32_t n) {
    return float2uint(scale(x, n));
}

static int64_t float2fix64(float x, int32_t n) {
    return float2int64(scale(x, n));
}

static uint64_t float2ufix64(float x, int32_t n) {
    return float2uint64(scale(x, n));
}

static float int2float(int32_t x) {
    return (float)x;
}

static float uint2float(uint32_t x) {
    return (float)x;
}

static float int642float(int64_t x) {
    return (float)x;
}

static float uint642float(uint64_t x) {
    return (float)x;
}

static float fix2float(int32_t x, int32_t n) {
    return scale((float)x, -n);
}

static float ufix2float(uint32_t x, int32_t n) {
    return scale((float)x, -n);
}

static float fix642float(int64_t x, int32_t n) {
    return scale((float)x, -n);
}

static float ufix642float(uint64_t x, int32_t n) {
    return scale((float)x, -n);
}

static double float2double(float x) {
    return x;
}

static double dadd(double a, double b) {
    return a + b;
}

static double dsub(double a, double b) {
    return a - b;
}

static double dmul(double a, double b) {
    return a * b;
}

static double ddiv(double a, double b) {
    return a / b;
}

static int32_t double2int(double x) {
    int32_t towards_zero = (int32_t)x;
    return x < 0 && (double)towards_zero > x ? towards_zero - 1 : towards_zero;
}

static uint32_t double2uint(double x) {
    return x > 0 ? (uint32_t)x : 0;
}

static double int2double(int32_t x) {
    return x;
}

static double uint2double(uint32_t x) {
    return x;
}

static float double2float(double x) {
    return (float)x;
}

#define WORDS (32)

// A table's size in words is the byte 2 before it. The order is that of the SDK's sf_table.h.
typedef struct _table_t {
    uint8_t unused[2], words, revision;
    void *functions[WORDS];
} table_t;

#define ENTRY(offset) [(offset) / 4]
#define NONE [0 ... WORDS - 1] = hang

#pragma GCC diagnostic ignored "-Woverride-init" // of NONE

const table_t float_table = {
    .words = WORDS,
    .functions = {
        NONE,
        ENTRY(0x00) = fadd,
        ENTRY(0x04) = fsub,
        ENTRY(0x08) = fmul,
        ENTRY(0x0c) = fdiv,
        ENTRY(0x10) = fcmp,
        ENTRY(0x18) = __ieee754_sqrtf,
        ENTRY(0x1c) = float2int,
        ENTRY(0x20) = float2fix,
        ENTRY(0x24) = float2uint,
        ENTRY(0x28) = float2ufix,
        ENTRY(0x2c) = int2float,
        ENTRY(0x30) = fix2float,
        ENTRY(0x34) = uint2float,
        ENTRY(0x38) = ufix2float,
        ENTRY(0x54) = fcmp,
        ENTRY(0x5c) = int642float,
        ENTRY(0x60) = fix642float,
        ENTRY(0x64) = uint642float,
        ENTRY(0x68) = ufix642float,
        ENTRY(0x6c) = float2int64,
        ENTRY(0x70) = float2fix64,
        ENTRY(0x74) = float2uint64,
        ENTRY(0x78) = float2ufix64,
        ENTRY(0x7c) = float2double,
    },
};

const table_t double_table = {
    .words = WORDS,
    .functions = {
        NONE,
        ENTRY(0x00) = dadd,
        ENTRY(0x04) = dsub,
        ENTRY(0x08) = dmul,
        ENTRY(0x0c) = ddiv,
        ENTRY(0x1c) = double2int,
        ENTRY(0x24) = double2uint,
        ENTRY(0x2c) = int2double,
        ENTRY(0x34) = uint2double,
        ENTRY(0x7c) = double2float,
    },
};
