# A random shape for each kernel, as kernel_arguments.KERNELS takes it: mostly a small one. Runs in MicroPython.

import random

from kernel_arguments import output_sides


def dims(*limits):
    """A number for each (usual, limit): 1..usual, but now and then one of them is at its limit."""
    values = [random.randint(1, usual) for usual, _ in limits]
    if random.getrandbits(4) == 0:
        i = random.randrange(len(limits))
        values[i] = limits[i][1]
    return values


def master():
    return random.choice((16, 32))


def convolution(height, width, cin, cout, kernel, groups=1):
    """A geometry; in half of the cases what is the same in both directions."""
    kernels = [kernel, random.randint(1, 7) if random.getrandbits(1) else kernel]
    if random.getrandbits(1):
        kernels.reverse()
    padding, strides = [random.randrange(one) for one in kernels], [random.randint(1, 2) for _ in range(2)]
    if kernels[0] == kernels[1]:
        padding[1], strides[1] = padding[0], strides[0]
    sides = [max(side, kernels[i] - 2 * padding[i]) for i, side in enumerate((height, width))]
    return tuple(sides + [cin, cout] + kernels + strides + padding + [groups])


def conv2d():
    return (convolution(*dims((8, 256), (8, 256), (4, 16), (9, 1024), (7, 7))),)


def binary(multiple):
    """A binary convolution whose cout is a multiple."""
    height, width, groups, words, couts, kernel = dims((5, 256), (5, 256), (3, 32), (2, 32), (9, 1024), (4, 7))
    if multiple > 1:
        groups, couts = 1 << random.randrange(4), min(couts, 3) * multiple
    words, couts = min(words, 32 // groups), max(1, min(couts, 1024 // groups))
    return (convolution(height, width, 32 * groups * words, groups * couts, kernel, groups),)


def binarize():
    n, words = dims((20, 2000), (3, 32))
    return n, 32 * words


def pool():
    size_h, size_w = 1 << random.randrange(4), 1 << random.randrange(4)
    height, width, channels = dims((3, 256 // size_h), (3, 256 // size_w), (9, 1024))
    height, width = height * size_h, width * size_w
    return ((height, width, channels, size_h, size_w, random.randint(1, size_h if width == 1 else size_w)),)


def pool_bits():
    ((height, width, channels, size_h, size_w, _),) = pool()
    return ((height, width, 32 * (channels // 32 + 1) if channels < 1024 else 1024, size_h, size_w, 1),)


def transpose():
    rows, words = dims((4, 128), (4, 32))
    return 32 * rows, words


def draw_balanced():
    count, n = dims((300, 65536), (40, 2000))
    return count, random.randint(1, min(count, 30)), n


def gather_rows():
    n, first, second, size = dims((40, 500), (40, 3000), (40, 3000), (40, 200))
    return n, first, second - random.getrandbits(1), size


def dot_tables():
    return dims((6, 128), (20, 5000))


def gradient_record():
    positions, words, blocks = dims((20, 4096), (3, 32), (3, 128))
    words = 1 if positions > 20 else words  # for the heap's sake
    width = 32 * max(blocks, (positions + 31) // 32)
    return positions, 32 * words, random.randint(1, min(32 * words, 40)), width


def trained(multiple):
    """A convolution that is small enough for its gradients."""
    groups, words, couts, kernel = (
        random.choice((1, 1, 2)),
        random.randint(1, 2),
        random.randint(1, 2),
        dims((3, 7))[0],
    )
    height, width = dims((5, 40), (5, 40))
    return convolution(height, width, 32 * groups * words, groups * couts * multiple, kernel, groups)


def bconv2d_dx():
    return trained(32), random.randint(2, 16)


def bconv2d_dw():
    geometry = trained(random.choice((1, 5, 32)))
    height, width = output_sides(geometry)
    samples = random.randint(1, max(1, min(9, 4096 // (height * width))))
    return geometry, samples, random.randint(1, min(geometry[3], 12)), random.randint(2, 16)


def logmel():
    quarter, bands = dims((20, 128), (6, 256))
    firsts = [random.randrange(2 * quarter + 1) for _ in range(bands)]
    return 4 * quarter, [(first, random.randint(1, min(40, 2 * quarter + 1 - first))) for first in firsts]


SHAPES = {
    "conv2d": conv2d,
    "bconv2d": lambda: binary(1),
    "bconv2d_masks": lambda: binary(32),
    "bconv2d_sign": lambda: binary(32),
    "binarize": binarize,
    "near_threshold": binarize,
    "expand": binarize,
    "global_avg_pool": lambda: dims((70, 65536), (9, 1024)),
    "avg_pool": pool,
    "max_pool": pool,
    "max_pool_bits": pool_bits,
    "dense": lambda: dims((40, 1024), (20, 1024)),
    "nearest": lambda: dims((40, 1024), (40, 500)),
    "logmel": logmel,
    "logmel_image": lambda: dims((9, 256), (9, 256), (4, 16)),
    "random": lambda: (),
    "draw_balanced": draw_balanced,
    "gather_rows": gather_rows,
    "softmax": lambda: dims((30, 1024)),
    "head_backward": lambda: dims((12, 1024), (20, 1024)) + [master(), random.randint(1, 5)],
    "head_update": lambda: dims((9, 64), (9, 1024), (20, 1024)) + [master()],
    "head_quantize": lambda: dims((12, 1024), (20, 1024)) + [master()],
    "head_begin": lambda: dims((9, 255), (40, 1024)) + [master()],
    "head_add": lambda: dims((40, 1024)) + [master()],
    "head_sum": lambda: dims((500, 65536)) + [master()],
    "consolidate": lambda: dims((500, 70000)) + [master()],
    "transpose": transpose,
    "dot_tables": dot_tables,
    "dot_signs": transpose,
    "update_weights": lambda: (32 * dims((9, 500))[0],),
    "avg_pool_backward": pool,
    "gradient_mask": lambda: dims((20, 5000)),
    "gradient_add": binarize,
    "expand_backward": binarize,
    "gradient_record": gradient_record,
    "bconv2d_dx": bconv2d_dx,
    "bconv2d_dw": bconv2d_dw,
}
