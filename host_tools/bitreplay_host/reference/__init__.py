"""The NumPy reference of every kernel, written from docs/numbers.md and equal to the C core in every bit.

Arguments are what MicroPython would take: anything with the buffer protocol, read as the element type that the
specification states. Outputs are written in place and must be writable. Every size and range is checked: a ValueError
names the argument. Names, argument order and return values are those of the C module `_bitreplay`.
"""

from .backward import avg_pool_backward, expand_backward, gradient_add, gradient_mask, gradient_record
from .bconv2d import bconv2d, bconv2d_masks, bconv2d_scratch, bconv2d_sign
from .bconv2d_dw import bconv2d_dw, bconv2d_dw_scratch
from .bconv2d_dx import bconv2d_dx, bconv2d_dx_scratch
from .conv2d import conv2d
from .gradient import (
    dot_signs,
    transpose,
    update_weights,
)
from .head import (
    consolidate,
    dense,
    head_add,
    head_backward,
    head_begin,
    head_quantize,
    head_sum,
    head_update,
    softmax,
)
from .logmel import logmel, logmel_image
from .minibatch import draw_balanced, gather_rows, run
from .nearest import nearest
from .products import dot_tables
from .random import random
from .stream import avg_pool, binarize, expand, global_avg_pool, max_pool, max_pool_bits, near_threshold

__all__ = [
    "avg_pool",
    "avg_pool_backward",
    "bconv2d",
    "bconv2d_dw",
    "bconv2d_dw_scratch",
    "bconv2d_dx",
    "bconv2d_dx_scratch",
    "bconv2d_masks",
    "bconv2d_scratch",
    "bconv2d_sign",
    "binarize",
    "consolidate",
    "conv2d",
    "dense",
    "dot_signs",
    "dot_tables",
    "draw_balanced",
    "expand",
    "expand_backward",
    "gather_rows",
    "global_avg_pool",
    "gradient_add",
    "gradient_mask",
    "gradient_record",
    "head_add",
    "head_backward",
    "head_begin",
    "head_quantize",
    "head_sum",
    "head_update",
    "logmel",
    "logmel_image",
    "max_pool",
    "max_pool_bits",
    "near_threshold",
    "nearest",
    "random",
    "run",
    "softmax",
    "transpose",
    "update_weights",
]

# Without those that return a size, and what makes calls.
KERNELS = [name for name in __all__ if not name.endswith("_scratch") and name != "run"]
