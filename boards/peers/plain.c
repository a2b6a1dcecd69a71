// What anyone would write first: a binary convolution, 3x3, as a loop over 64-bit words. Arguments are those of br_bconv2d.
#include "internal.h"

void plain(const br_geometry_t *g, const uint64_t *x, const uint64_t *weight, const br_affine_t *affine, void *scratch,
    size_t scratch_words, int8_t *y) {
    (void)scratch;
    (void)scratch_words;
    int words = g->cin / 64, height = g->height, width = g->width;
    for (int oy = 0; oy < height; oy++) {
        for (int ox = 0; ox < width; ox++) {
            int top = oy ? -1 : 0, bottom = oy < height - 1 ? 1 : 0;
            int left = ox ? -1 : 0, right = ox < width - 1 ? 1 : 0;
            int row = (right - left + 1) * words, inputs = (bottom - top + 1) * row * 64;
            for (int c = 0; c < g->cout; c++, y++) {
                uint64_t distance = 0;
                for (int dy = top; dy <= bottom; dy++) {
                    const uint64_t *a = x + ((oy + dy) * width + ox + left) * words;
                    const uint64_t *b = weight + ((c * 3 + dy + 1) * 3 + left + 1) * words;
                    for (int i = 0; i < row; i++) {
                        distance += (uint64_t)__builtin_popcountll(a[i] ^ b[i]);
                    }
                }
                *y = br_sat8(*y + br_affine(affine, inputs - 2 * (int)distance, (size_t)c));
            }
        }
    }
}
