// xorshift32 (Marsaglia 2003).
#include "internal.h"

uint32_t BR_HOT br_draw(uint32_t *rng) {
    return *rng = br_xorshift(*rng);
}

uint32_t br_random(uint32_t *rng, uint32_t n) {
    return ((br_draw(rng) >> 16) * n) >> 16;
}
