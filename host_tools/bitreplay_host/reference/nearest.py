"""The most similar one of many latents."""

import numpy as np

from .arguments import MAX_ELEMENTS, counted, input_buffer, output_buffer


def nearest(x, rows, found):
    """The first of the rows at the smallest Hamming distance from x.

    x u32[words]; rows u32[n*words]; found u32[2]: its number, and the distance in bits.
    ValueError for a size that differs.
    """
    words = counted("x", x, 4, MAX_ELEMENTS)
    n = counted("rows", rows, 4 * words, MAX_ELEMENTS)
    x = input_buffer("x", x, np.uint32, words)
    rows = input_buffer("rows", rows, np.uint32, n * words).reshape(n, words)
    distances = np.unpackbits((rows ^ x).view(np.uint8), axis=1).sum(axis=1, dtype=np.int64)
    output_buffer("found", found, np.uint32, 2)[:] = distances.argmin(), distances.min()
