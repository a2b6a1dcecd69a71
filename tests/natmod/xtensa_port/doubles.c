// Conversions of double, of which MicroPython has few: Debian's library leaves them to the ESP8266's ROM.

#include <stdint.h>

union word {
    float value;
    uint32_t bits;
};

union two_words {
    double value;
    uint64_t bits;
};

double __extendsfdf2(float value) {
    uint32_t bits = ((union word){ .value = value }).bits;
    uint32_t exponent = bits >> 23 & 255, fraction = bits & 0x7fffff;
    if (exponent == 255) {
        exponent = 2047;
    } else if (exponent) {
        exponent += 1023 - 127;
    } else if (fraction) {
        // The first 1 takes the place before the fraction.
        int shift = __builtin_clz(fraction) - 8;
        exponent = 1023 - 127 + 1 - shift;
        fraction = fraction << shift & 0x7fffff;
    }
    uint64_t wide = (uint64_t)(bits >> 31 << 31 | exponent << 20) << 32 | (uint64_t)fraction << 29;
    return ((union two_words){ .bits = wide }).value;
}

float __truncdfsf2(double value) {
    uint64_t bits = ((union two_words){ .value = value }).bits;
    uint32_t sign = (uint32_t)(bits >> 32) & 0x80000000;
    int exponent = (int)(bits >> 52 & 2047) - 1023 + 127;
    uint64_t fraction = bits & 0xfffffffffffffull;
    uint32_t narrow = 255 << 23;
    if (exponent == 2047 - 1023 + 127) {
        narrow |= fraction ? 1 << 22 : 0;
    } else if (exponent < 255) {
        fraction |= 1ull << 52;
        int shift = exponent > 0 ? 29 : 30 - exponent;
        uint64_t half = 1ull << ((shift < 55 ? shift : 55) - 1);
        uint64_t rest = fraction & (2 * half - 1);
        narrow = shift < 55 ? (uint32_t)(fraction >> shift) : 0;
        narrow += rest > half || (rest == half && (narrow & 1));
        // What carries, and the 1 before the fraction, go into the exponent.
        narrow += exponent > 0 ? (uint32_t)(exponent - 1) << 23 : 0;
    }
    return ((union word){ .bits = sign | narrow }).value;
}

double __floatsidf(int32_t value) {
    uint32_t sign = value < 0 ? 0x80000000 : 0, size = value < 0 ? -(uint32_t)value : (uint32_t)value;
    uint64_t wide = 0;
    if (size) {
        int zeros = __builtin_clz(size);
        size = size << zeros << 1;
        wide = (uint64_t)(sign | (uint32_t)(1023 + 31 - zeros) << 20) << 32 | (uint64_t)size << 20;
    }
    return ((union two_words){ .bits = wide }).value;
}
