# Layers as calls of kernels.

import _bitreplay as kernels

from .graph import STREAM, count
from .tables import NONE

ZEROS = bytes(256)


def zero(view):
    """Sets the stream to zero."""
    for i in range(0, len(view), len(ZEROS)):
        rest = len(view) - i
        view[i : i + len(ZEROS)] = ZEROS if rest >= len(ZEROS) else bytes(rest)


def move(source, target):
    """Copies a view to one of the same size, which may overlap it."""
    target[:] = source


def buffer(scratch, number, shape):
    """The start of a scratch buffer, as large as this shape needs. None for what the caller gives."""
    if number is None or number >= len(scratch):
        return None
    return scratch[number][: count(shape) if number == STREAM else count(shape) // 8]


def add_calls(calls, layer, scratch, weight=None):
    """Appends the calls, (kernel, list of arguments), that run a Layer on the scratch buffers, in order.

    weight: packed, instead of the file's. What the caller gives, an image or a latent, is None for now: the argument
    source_of(layer), or the last one. Binary convolutions have no scratch (tables.py).
    """
    op = layer.op
    source = buffer(scratch, layer.source, layer.shape_in)
    target = buffer(scratch, layer.target, layer.shape)
    weight = layer.weight if weight is None else weight
    if op == "binarize":
        arguments = [source, layer.threshold, layer.flip, target]
    elif op == "expand":
        arguments = [source, layer.levels, target]
    elif layer.pool:
        arguments = [layer.pool, source, target]
    elif op == "bconv2d_sign":
        arguments = [layer.geometry, source, weight, layer.threshold, layer.flip, NONE, target]
    else:
        if layer.residual is False:
            calls.append((zero, [target]))
        arguments = [layer.geometry, source, weight, layer.slope, layer.bias, layer.shift, target]
        if op == "bconv2d":
            arguments.insert(6, NONE)
    calls.append((getattr(kernels, op), arguments))


def source_of(layer):
    """Which argument of a Layer's last call is what it reads."""
    return 0 if layer.op in ("binarize", "expand") else 1
