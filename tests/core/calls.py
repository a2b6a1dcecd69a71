"""One small, valid call of every kernel: its arguments by name, in order."""

import inspect

import numpy as np
from bitreplay_host import reference


def arrays(dtype, *counts):
    random, limits = np.random.default_rng(8), np.iinfo(dtype)
    made = [random.integers(limits.min, limits.max, count, dtype, endpoint=True) for count in counts]
    return made if len(made) > 1 else made[0]


def u16(*values):
    return np.array(values, np.uint16)


def i8(*values):
    return np.array(values, np.int8)


def calls():
    """A dict of dicts; new arrays each time."""
    rng = np.array([5], np.uint32)
    folded = arrays(np.int16, 64), arrays(np.int32, 32), 8
    convolution = u16(4, 4, 64, 32, 3, 1, 1, 1), arrays(np.uint32, 32), arrays(np.uint32, 32 * 9 * 2)
    positional = {
        "conv2d": (u16(4, 4, 3, 32, 3, 2, 1, 1), arrays(np.uint8, 48), arrays(np.int8, 864), *folded, i8(*[0] * 128)),
        "bconv2d": (*convolution, *folded, arrays(np.int8, 512)),
        "bconv2d_sign": (*convolution, arrays(np.int16, 32), *arrays(np.uint32, 1, 16)),
        "binarize": (arrays(np.int8, 192), arrays(np.int8, 64), arrays(np.uint32, 6)),
        "expand": (arrays(np.uint32, 2), 16, arrays(np.int8, 64)),
        "avg_pool": (u16(4, 2, 3, 2, 2), *arrays(np.int8, 24, 12)),
        "max_pool": (u16(4, 2, 3, 2, 2), *arrays(np.int8, 24, 12)),
        "add": tuple(arrays(np.int8, 7, 7)),
        "dense": (*arrays(np.int8, 5, 15), i8(-16, 0, 6), arrays(np.int32, 3)),
        "random": (rng, 10),
        "softmax": (np.array([-900, 400, 0], np.int32), np.array([1, 0, 1], np.uint8), 2, arrays(np.int16, 3)),
        "head_backward": (*arrays(np.int16, 6, 15), 16, 4, arrays(np.int16, 2)),
        "head_update": (
            arrays(np.int16, 6),
            arrays(np.int8, 10),
            np.array([1, 0, 1], np.uint8),
            *arrays(np.int16, 15, 15),
            i8(16, 3, -2, 1, 9),
            rng,
        ),
        "head_quantize": (arrays(np.int32, 15), 32, 8, *arrays(np.int8, 15, 3)),
        "head_sum": (arrays(np.int32, 5), 32),
        "consolidate": (*arrays(np.int16, 5, 5), 16, -7, 20000),
        "transpose": (arrays(np.uint32, 96), 3, arrays(np.uint32, 96)),
        "quantize_gradient": (arrays(np.int32, 64), 8, 1, arrays(np.uint32, 16), rng),
        "dot_planes": (arrays(np.uint32, 16), 8, arrays(np.uint32, 6), arrays(np.int32, 3)),
        "dot_signs": (arrays(np.int16, 32), arrays(np.uint32, 64), arrays(np.int32, 64)),
        "update_weights": (arrays(np.int8, 64), arrays(np.int32, 64), 3, -9, arrays(np.uint32, 2), rng),
        "bconv_backward": (
            u16(2, 4, 32, 32, 1, 1, 0, 1),
            *arrays(np.uint32, 32, 32),
            *arrays(np.int16, 12, 96),
            arrays(np.int8, 1024),
            arrays(np.uint32, 32),
            *folded[:2],
            i8(8, 16, 8, 1, 3, -20, 16),
            arrays(np.int32, 32 + 8 + 32 + 2),
            rng,
        ),
    }
    return {
        kernel: dict(zip(inspect.signature(getattr(reference, kernel)).parameters, arguments, strict=True))
        for kernel, arguments in positional.items()
    }
