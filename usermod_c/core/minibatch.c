// Which samples are in a minibatch, and their rows.
#include "internal.h"

#include <string.h>

void br_draw_balanced(const uint16_t *order, const uint16_t *ends, size_t classes, uint16_t *numbers, size_t n,
    uint32_t *rng) {
    for (size_t i = 0; i < n; i++) {
        size_t c = br_random(rng, (uint32_t)classes), first = c ? ends[c - 1] + 1u : 0;
        numbers[i] = order[first + br_random(rng, (uint32_t)(ends[c] + 1u - first))];
    }
}

void br_gather_rows(const uint16_t *numbers, size_t n, const uint8_t *first, size_t count, const uint8_t *second,
    size_t size, uint8_t *out) {
    for (size_t i = 0; i < n; i++, out += size) {
        size_t row = numbers[i];
        memcpy(out, row < count ? first + row * size : second + (row - count) * size, size);
    }
}
