// Bits and memory. The compiler calls memcpy and memset too.
#include "rom.h"

uint32_t popcount32(uint32_t x) {
    x -= (x >> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333);
    return (((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101) >> 24;
}

uint32_t reverse32(uint32_t x) {
    x = ((x >> 1) & 0x55555555) | ((x & 0x55555555) << 1);
    x = ((x >> 2) & 0x33333333) | ((x & 0x33333333) << 2);
    x = ((x >> 4) & 0x0f0f0f0f) | ((x & 0x0f0f0f0f) << 4);
    return __builtin_bswap32(x);
}

uint32_t clz32(uint32_t x) {
    return x ? (uint32_t)__builtin_clz(x) : 32;
}

uint32_t ctz32(uint32_t x) {
    return x ? (uint32_t)__builtin_ctz(x) : 32;
}

void *memset(void *destination, int value, size_t n) {
    uint8_t *to = destination;
    uint32_t word = (uint8_t)value * 0x01010101u;
    for (; n && ((uintptr_t)to & 3); n--) {
        *to++ = (uint8_t)value;
    }
    for (; n >= 4; n -= 4, to += 4) {
        *(uint32_t *)to = word;
    }
    while (n--) {
        *to++ = (uint8_t)value;
    }
    return destination;
}

void *memcpy(void *restrict destination, const void *restrict source, size_t n) {
    uint8_t *to = destination;
    const uint8_t *from = source;
    if ((((uintptr_t)to ^ (uintptr_t)from) & 3) == 0) {
        for (; n && ((uintptr_t)to & 3); n--) {
            *to++ = *from++;
        }
        for (; n >= 4; n -= 4, to += 4, from += 4) {
            *(uint32_t *)to = *(const uint32_t *)from;
        }
    }
    while (n--) {
        *to++ = *from++;
    }
    return destination;
}
