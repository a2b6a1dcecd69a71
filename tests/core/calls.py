"""One small, valid call of every kernel: its arguments by name, in order."""

import numpy as np
from bitreplay_host.onboard import kernel_arguments
from bitreplay_host.onboard.kernel_arguments import square

SHAPES = {
    "conv2d": ((4, 5, 3, 32, 3, 2, 2, 1, 1, 0, 1),),
    "bconv2d": (square(4, 4, 64, 32, 3, 1, 1),),
    "bconv2d_masks": ((4, 4, 64, 32, 1, 1, 1, 1, 0, 0, 1),),
    "bconv2d_sign": (square(4, 4, 64, 32, 3, 1, 1),),
    "binarize": (3, 64),
    "near_threshold": (3, 64),
    "expand": (3, 32),
    "global_avg_pool": (7, 5),
    "avg_pool": ((4, 4, 3, 4, 2, 2),),
    "max_pool": ((4, 4, 3, 4, 2, 2),),
    "max_pool_bits": ((4, 4, 64, 4, 2, 1),),
    "dense": (5, 3),
    "nearest": (3, 5),
    "draw_balanced": (9, 3, 4),
    "gather_rows": (4, 3, 2, 1),
    "logmel": (16, ((0, 2), (1, 4), (8, 1))),
    "logmel_image": (4, 3, 2),
    "random": (),
    "softmax": (3,),
    "head_backward": (3, 5, 16, 2),
    "head_update": (2, 3, 5, 16),
    "head_quantize": (3, 5, 32),
    "head_begin": (3, 5, 32),
    "head_add": (5, 16),
    "head_sum": (5, 32),
    "consolidate": (5, 16),
    "transpose": (32, 3),
    "dot_tables": (2, 3),
    "dot_signs": (32, 2),
    "update_weights": (64,),
    "avg_pool_backward": ((4, 4, 3, 4, 2, 2),),
    "gradient_mask": (2,),
    "gradient_add": (3, 32),
    "expand_backward": (2, 32),
    "gradient_record": (6, 64, 3, 32),
    "bconv2d_dx": ((4, 3, 32, 64, 3, 2, 2, 1, 1, 0, 1), 4),
    "bconv2d_dw": (square(4, 3, 64, 32, 3, 2, 1, 2), 9, 3, 4),
}
SETTINGS = {"shift": 8, "n": 10, "label": 2, "q_f": 8, "factor": -3, "mean": -7, "alpha": 20000}
SETTINGS |= {"stochastic": 1, "mantissa": 3, "momentum": 1, "decay": 9, "update": 1}
SETTINGS |= {"first": 3, "add": 1, "sample": 3}
EXPONENTS = {"head_update": -2, "update_weights": -9, "bconv2d_dw": -30}
BUFFERS = {
    ("dense", "shift"): [-16, 0, 6],
    ("softmax", "z"): [-900, 400, 0],
    ("softmax", "active"): [1, 0, 1],
    ("head_update", "active"): [1, 0, 1],
    ("head_begin", "here"): [1, 0, 1],
    ("gradient_add", "exponents"): [3, 4],
    ("expand_backward", "exponents"): [3, 4],
    ("gather_rows", "numbers"): [1, 0, 1, 1],
}


def call(kernel):
    random = np.random.default_rng(8)
    described = kernel_arguments.KERNELS[kernel](*SHAPES[kernel])

    def number(name, low, high):
        return EXPONENTS[kernel] if name == "exponent" else SETTINGS[name]

    def content(argument):
        if (kernel, argument.name) in BUFFERS:
            return np.array(BUFFERS[kernel, argument.name], argument.typecode)
        return random.integers(argument.low, argument.high, argument.count, argument.typecode, endpoint=True)

    values = kernel_arguments.values(described, number, content)
    return {a.name: v if a.role == "scalar" else np.array(v) for a, v in zip(described, values, strict=True)}


def calls():
    """A dict of dicts; new arrays each time."""
    return {kernel: call(kernel) for kernel in SHAPES}
