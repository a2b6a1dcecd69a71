// The most similar one of many latents.
#include "internal.h"

#define BR_LATENTS (32) // whose distances are found at a time

void br_nearest(const uint32_t *x, const uint32_t *rows, size_t words, size_t n, uint32_t *found) {
    br_runs_t runs = { .x = x, .words = words, .runs = 1 };
    uint32_t distance[BR_LATENTS];
    found[0] = 0;
    found[1] = UINT32_MAX;
    for (size_t first = 0, count; first < n; first += count, rows += count * words) {
        count = n - first < BR_LATENTS ? n - first : BR_LATENTS;
        br_hamming_distances(&runs, rows, count, distance);
        for (size_t i = 0; i < count; i++) {
            if (distance[i] < found[1]) {
                found[0] = (uint32_t)(first + i);
                found[1] = distance[i];
            }
        }
    }
}
