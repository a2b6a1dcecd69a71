"""The first layer: 8-bit pixels, 8-bit weights."""

import numpy as np

from .arguments import checked_geometry, input_buffer, output_buffer, saturate
from .convolution import affine, affine_arguments, convolve


def conv2d(geometry, x, weight, slope, bias, shift, y):
    """The first layer: 8-bit pixels, 8-bit weights. y = sat8(affine(sum of weight * (x - 128))).

    geometry u16[11], groups 1, cin <= 16; x u8[height*width*cin]; weight i8[cout*kernel_h*kernel_w*cin];
    slope i16[cout*2]; bias i32[cout]; 1 <= shift <= 24; y i8[out_height*out_width*cout]. |acc| < 2^24.
    ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=False)
    x = input_buffer("x", x, np.uint8, g.height * g.width * g.cin).astype(np.float32)
    weight = input_buffer("weight", weight, np.int8, g.cout * g.kernel_h * g.kernel_w * g.cin).astype(np.float32)
    folded = affine_arguments(g.cout, slope, bias, shift)
    y = output_buffer("y", y, np.int8, g.out_height * g.out_width * g.cout)
    acc = convolve(g, x - 128, weight)
    y[:] = saturate(affine(acc, *folded), 8).ravel()
