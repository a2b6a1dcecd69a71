"""Binary convolutions, to the stream (with masks for their backward pass, too) and to bits.

The blocks are those of Bi-Real Net (Liu et al. 2018, arXiv 1808.00278) and ReActNet (Liu et al. 2020, arXiv
2003.03488). Tensors are NHWC; the stream is i8 in units of 1/16.
"""

import numpy as np

from .arguments import checked_geometry, input_buffer, output_buffer, pack, saturate, scratch_buffer
from .convolution import affine, affine_arguments, binary_convolve


def bconv2d_scratch(geometry):
    """How many u32 of scratch make bconv2d and bconv2d_sign faster: none here. In C that depends on the processor."""
    checked_geometry(geometry, binary=True)
    return 0


def bconv2d(geometry, x, weight, slope, bias, shift, scratch, y):
    """A binary convolution, added to the shortcut: y = sat8(y + affine(sum of products of +-1)).

    geometry u16[11], cin/groups a multiple of 32; x u32[height*width*cin/32]; weight
    u32[cout*kernel_h*kernel_w*cin/groups/32]; slope i16[cout*2]; bias i32[cout]; 1 <= shift <= 24;
    scratch u32[any number], working memory of the C kernel, left as it is here; y i8[out_height*out_width*cout], read
    and written. |acc| < 2^16.
    ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=True)
    folded = affine_arguments(g.cout, slope, bias, shift)
    scratch_buffer(scratch)
    y = output_buffer("y", y, np.int8, g.out_height * g.out_width * g.cout)
    acc = binary_convolve(g, x, weight)
    y[:] = saturate(y + affine(acc, *folded).ravel(), 8)


def bconv2d_masks(geometry, x, weight, slope, bias, shift, scratch, y, passes, negative):
    """bconv2d, and what its backward pass asks for: where y was not saturated, and where acc < 0.

    As bconv2d, with cout a multiple of 32; passes, negative u32[out_height*out_width*cout/32], bits of y's elements.
    ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=True)
    if g.cout % 32:
        raise ValueError("geometry: cout must be a multiple of 32")
    folded = affine_arguments(g.cout, slope, bias, shift)
    outputs = g.out_height * g.out_width * g.cout
    y = output_buffer("y", y, np.int8, outputs)
    passes = output_buffer("passes", passes, np.uint32, outputs // 32)
    negative = output_buffer("negative", negative, np.uint32, outputs // 32)
    scratch_buffer(scratch)
    acc = binary_convolve(g, x, weight)
    total = y + affine(acc, *folded).ravel()
    y[:] = saturate(total, 8)
    passes[:] = pack((total >= -128) & (total <= 127))
    negative[:] = pack(acc.ravel() < 0)


def bconv2d_sign(geometry, x, weight, threshold, flip, scratch, y):
    """A binary convolution to bits: bit = (acc >= threshold) ^ flip.

    As bconv2d, with cout a multiple of 32; threshold i16[cout]; flip u32[cout/32];
    y u32[out_height*out_width*cout/32]. ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=True)
    if g.cout % 32:
        raise ValueError("geometry: cout must be a multiple of 32")
    threshold = input_buffer("threshold", threshold, np.int16, g.cout)
    flip = input_buffer("flip", flip, np.uint32, g.cout // 32)
    scratch_buffer(scratch)
    y = output_buffer("y", y, np.uint32, g.out_height * g.out_width * g.cout // 32)
    acc = binary_convolve(g, x, weight)
    y[:] = (pack(acc >= threshold) ^ flip).ravel()
