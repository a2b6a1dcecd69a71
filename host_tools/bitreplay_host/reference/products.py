"""Products of numbers and signs, which the C kernels look up in tables of sums."""

import numpy as np

from .arguments import (
    MAX_ELEMENTS,
    MAX_POSITIONS,
    TABLE_WORDS,
    counted,
    input_buffer,
    output_buffer,
    signs,
)


def dot_tables(q, rows, scratch, out):
    """out[k][r] = sum over positions of q[k] * (+1 or -1 of row r), for two rows of numbers.

    With bits along positions this is dW; with bits along output channels, dX.
    q i16[2*J]; rows u32[R*J/32]; scratch i32[1024], working memory of the C kernel, left as it is here; out i32[2*R].
    |out| <= 2^15 * J. ValueError for a size that differs.
    """
    words = counted("q", q, 128, MAX_POSITIONS // 32)
    count = counted("rows", rows, 4 * words, MAX_ELEMENTS)
    q = input_buffer("q", q, np.int16, 64 * words).reshape(2, -1).astype(np.int64)
    rows = input_buffer("rows", rows, np.uint32, count * words).reshape(count, words)
    output_buffer("scratch", scratch, np.int32, TABLE_WORDS)
    out = output_buffer("out", out, np.int32, 2 * count)
    out[:] = (q @ signs(rows, np.int64).T).ravel()
