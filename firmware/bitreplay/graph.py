# A model's graph: checked against docs/formats.md and turned into the calls of kernels that run it.

import gc
from array import array

import _bitreplay as kernels

# Scratch buffers. The packed bits have two that take turns, as no kernel works in place on bits.
STREAM, BITS, OTHER_BITS = 0, 1, 2
MAX_CHANNELS, MAX_SIDE, MAX_LAYERS, MAX_NAME = 1024, 256, 256, 64

FIELDS = {
    "conv2d": ("tensor", "cout", "kernel", "stride", "padding", "shift"),
    "binarize": ("tensor",),
    "bconv2d": ("tensor", "cout", "kernel", "stride", "padding", "groups", "shift", "residual"),
    "bconv2d_sign": ("tensor", "cout", "kernel", "stride", "padding", "groups"),
    "avg_pool": ("size", "repeat"),
    "max_pool": ("size", "repeat"),
    "latent": (),
    "expand": ("value",),
    "dense": ("tensor",),
}
RANGES = {
    "cout": (1, MAX_CHANNELS),
    "kernel": (1, 7),
    "stride": (1, 2),
    "padding": (0, 6),
    "groups": (1, 32),
    "shift": (1, 24),
    "size": (1, 8),
    "repeat": (1, 8),
    "value": (1, 127),
}

# What may follow an op, or start a graph, in the backbone and above the latent.
BACKBONE_OPS = ("binarize", "bconv2d", "bconv2d_sign", "avg_pool", "max_pool")
NEXT_IN_BACKBONE: dict = {
    None: ("conv2d",),
    "binarize": BACKBONE_OPS + ("latent",),
    "bconv2d_sign": BACKBONE_OPS + ("latent",),
}
NEXT_ABOVE: dict = {
    "latent": ("expand",),
    "expand": ("bconv2d", "avg_pool"),
    "bconv2d": ("avg_pool",),
    "avg_pool": ("dense",),
    "dense": (),
}

ZEROS = bytes(256)


def is_text(value):
    return type(value) is str and 0 < len(value) <= MAX_NAME


def check_shape(shape):
    """Whether a list from JSON is the shape of an image: height, width, channels."""
    return (
        type(shape) is list
        and len(shape) == 3
        and all(type(n) is int and n > 0 for n in shape)
        and shape[0] <= MAX_SIDE
        and shape[1] <= MAX_SIDE
        and shape[2] <= 16
    )


class TrainableLayer:
    """A layer that can be trained: geometry u16[8], weight (latent weights), slope, bias as memoryviews, shift."""

    def __init__(self, geometry, weight, slope, bias, shift):
        self.geometry = geometry
        self.weight = weight
        self.slope = slope
        self.bias = bias
        self.shift = shift


class Graph:
    """What a graph's layers mean. tensors is emptied: every tensor must be used, once."""

    def __init__(self, path, image, layers, labels, tensors):
        self.path, self.where = path, "graph"
        self.labels, self.tensors = labels, tensors
        self.calls = []  # (kernel, arguments); an argument (buffer, size) stands for the start of a scratch buffer
        self.image = image
        self.stream = self.bits = None  # shapes of the registers
        self.slot = BITS
        self.latent = self.trainable = None
        self.head: tuple = None  # weight, shift
        self.binary_macs = self.int8_macs = 0
        self._walk(layers)
        for name in tensors:
            self.fail("no layer uses it; remove it or add its layer", name)

    def fail(self, what, where=None):
        raise ValueError("%s: %s: %s" % (self.path, where or self.where, what))

    def _walk(self, layers):
        if type(layers) is not list or not 0 < len(layers) <= MAX_LAYERS:
            self.fail("layers must be a list of 1..%d layers" % MAX_LAYERS)
        op, allowed = None, NEXT_IN_BACKBONE[None]
        for i in range(len(layers)):
            self.where = "graph: layer %d" % i
            # What stays would lie between garbage else, and leave no large block free for a learner.
            gc.collect()
            last, op = op, self._op(layers[i])
            self.where += " (%s)" % op
            if op not in allowed:
                self._refuse(op, last, allowed)
            self._check_fields(layers[i], op)
            (BACKBONE_HANDLERS if self.latent is None else ABOVE_HANDLERS)[op](self, layers[i])
            allowed = NEXT_IN_BACKBONE.get(op, BACKBONE_OPS) if self.latent is None else NEXT_ABOVE[op]
        self.where = "graph"
        if self.latent is None or op not in ("avg_pool", "dense"):
            self.fail("must end in latent, expand, avg_pool, with an optional dense")
        if self.labels is not None and self.head is None:
            self.fail("there are labels, but no dense layer; remove them", "labels")

    def _op(self, layer):
        op = layer.get("op") if type(layer) is dict else None
        if type(op) is not str or op not in FIELDS:
            self.fail("op must be one of " + ", ".join(sorted(FIELDS)))
        return op

    def _refuse(self, op, last, allowed):
        if last == "latent" and op == "bconv2d":
            self.fail(
                "its shortcut would cross the latent, but a replayed sample has only its bits, so that replayed and "
                'fresh samples would see different values; put {"op": "expand"} before it'
            )
        where = "after " + last if last else "at the start"
        self.fail("%s comes %s" % (", ".join(allowed) if allowed else "nothing", where))

    def _check_fields(self, layer, op):
        for field in FIELDS[op]:
            if field not in layer:
                self.fail("field %s is missing" % field)
        for field in layer:
            if field != "op" and field not in FIELDS[op]:
                self.fail("field %s is unknown; remove it, or update BitReplay" % str(field)[:MAX_NAME])
        if "tensor" in layer and not is_text(layer["tensor"]):
            self.fail("tensor must be a string of 1..%d characters" % MAX_NAME)

    # What the handlers are made of.

    def integer(self, layer, field):
        low, high = RANGES[field]
        value = layer[field]
        if type(value) is not int or not low <= value <= high:
            self.fail("%s must be an integer in %d..%d" % (field, low, high))
        return value

    def take(self, layer, part, dtype, shape):
        """The data of one of a layer's tensors, which must have this dtype and shape."""
        name = layer["tensor"] + "." + part
        tensor = self.tensors.pop(name, None)
        if tensor is None:
            self.fail("is missing, or two layers use it; %s needs %s %s" % (self.where, dtype, shape), name)
        if tensor.dtype != dtype or tensor.shape != shape:
            self.fail("is %s %s, but %s needs %s %s" % (tensor.dtype, tensor.shape, self.where, dtype, shape), name)
        return tensor.data

    def on_stream(self):
        if self.stream is None:
            self.fail("there is no stream yet")
        return STREAM, count(self.stream)

    def on_bits(self):
        if self.bits is None:
            self.fail("there are no bits yet; put a binarize before it")
        return self.slot, count(self.bits) // 8

    def convolution(self, layer, shape, groups):
        """The geometry u16[8] of a convolution, and its output's shape."""
        height, width, cin = shape
        cout, kernel, stride, padding = [self.integer(layer, f) for f in ("cout", "kernel", "stride", "padding")]
        if padding >= kernel or min(height, width) + 2 * padding < kernel:
            self.fail("a kernel of %d with padding %d does not fit the %dx%d input" % (kernel, padding, height, width))
        out = ((height + 2 * padding - kernel) // stride + 1, (width + 2 * padding - kernel) // stride + 1, cout)
        if max(out[:2]) > MAX_SIDE:
            self.fail("its output is %dx%d, at most %dx%d can follow" % (out[0], out[1], MAX_SIDE, MAX_SIDE))
        return array("H", [height, width, cin, cout, kernel, stride, padding, groups]), out

    def binary(self, layer):
        """(geometry, output shape, terms of a sum) of a convolution of the bits."""
        self.on_bits()
        cin, groups = self.bits[2], self.integer(layer, "groups")
        geometry, out = self.convolution(layer, self.bits, groups)
        if cin % (32 * groups) or out[2] % groups:
            self.fail("groups must divide cout %d, and cin %d into multiples of 32" % (out[2], cin))
        terms = geometry[4] * geometry[4] * (cin // groups)
        self.binary_macs += count(out) * terms
        return geometry, out, terms

    def affine(self, layer, limits):
        """(slope, bias, shift) of a layer whose accumulators are at most limits[channel] in size."""
        slope = self.take(layer, "slope", "I16", (len(limits), 2))
        bias = self.take(layer, "bias", "I32", (len(limits),))
        shift = self.integer(layer, "shift")
        slopes, biases = array("h", bytes(slope)), array("i", bytes(bias))
        for c in range(len(limits)):
            largest = limits[c] * max(abs(slopes[2 * c]), abs(slopes[2 * c + 1]))
            if largest + abs(biases[c]) + (1 << (shift - 1)) >= 1 << 31:
                self.fail(
                    "channel %d can overflow 32 bits; export with smaller slopes, bias and shift" % c,
                    layer["tensor"] + ".slope",
                )
        return slope, bias, shift

    def pool(self, layer):
        """The shape u16[5] of a pooling, and its output's shape."""
        size, repeat = self.integer(layer, "size"), self.integer(layer, "repeat")
        height, width, channels = self.stream
        if size & (size - 1) or height % size or width % size:
            self.fail("size must be 1, 2, 4 or 8 and divide the %dx%d stream" % (height, width))
        if repeat > size or repeat * channels > MAX_CHANNELS:
            self.fail("repeat must be at most size, and repeat * channels at most %d" % MAX_CHANNELS)
        return array("H", [height, width, channels, size, repeat]), (height // size, width // size, channels * repeat)


def count(shape):
    return shape[0] * shape[1] * shape[2]


def _filters(geometry):
    """The shape of a binary convolution's packed weights."""
    return geometry[3], geometry[4], geometry[4], geometry[2] // geometry[7] // 32


def zero(view):
    """Sets the stream to zero."""
    for i in range(0, len(view), len(ZEROS)):
        rest = len(view) - i
        view[i : i + len(ZEROS)] = ZEROS if rest >= len(ZEROS) else bytes(rest)


# The backbone.


def _conv2d(g, layer):
    geometry, out = g.convolution(layer, g.image, 1)
    kernel, cin = geometry[4], geometry[2]
    weight = g.take(layer, "weight", "I8", (out[2], kernel, kernel, cin))
    size = kernel * kernel * cin
    limits = [128 * sum(map(abs, array("b", bytes(weight[i : i + size])))) for i in range(0, len(weight), size)]
    g.int8_macs += count(out) * size
    slope, bias, shift = g.affine(layer, limits)
    g.stream = out
    g.calls.append((kernels.conv2d, (geometry, None, weight, slope, bias, shift, g.on_stream())))


def _binarize(g, layer):
    source, channels = g.on_stream(), g.stream[2]
    if channels % 32:
        g.fail("the stream's %d channels are not a multiple of 32" % channels)
    g.bits = g.stream
    g.calls.append((kernels.binarize, (source, g.take(layer, "threshold", "I8", (channels,)), g.on_bits())))


def _bconv2d(g, layer):
    geometry, out, terms = g.binary(layer)
    weight = g.take(layer, "weight", "U32", _filters(geometry))
    affine = g.affine(layer, [terms] * out[2])
    if type(layer["residual"]) is not bool:
        g.fail("residual must be true or false")
    if layer["residual"] and g.stream != out:
        g.fail(
            "residual: the stream is %s, but the output %s; pool the stream, or use residual false" % (g.stream, out)
        )
    g.stream = out
    if not layer["residual"]:
        g.calls.append((zero, (g.on_stream(),)))
    g.calls.append((kernels.bconv2d, (geometry, g.on_bits(), weight) + affine + (g.on_stream(),)))


def _bconv2d_sign(g, layer):
    geometry, out, _ = g.binary(layer)
    if out[2] % 32:
        g.fail("cout must be a multiple of 32")
    weight = g.take(layer, "weight", "U32", _filters(geometry))
    threshold = g.take(layer, "threshold", "I16", (out[2],))
    flip = g.take(layer, "flip", "U32", (out[2] // 32,))
    source = g.on_bits()
    g.bits, g.slot = out, BITS + OTHER_BITS - g.slot
    g.calls.append((kernels.bconv2d_sign, (geometry, source, weight, threshold, flip, g.on_bits())))


def _pool(kernel):
    def handle(g, layer):
        source = g.on_stream()
        shape, g.stream = g.pool(layer)
        g.calls.append((kernel, (shape, source, g.on_stream())))

    return handle


def _latent(g, layer):
    g.latent = g.bits


# What is above the latent.


def _expand(g, layer):
    g.expand_value = g.integer(layer, "value")
    g.stream = g.latent


def _trainable(g, layer):
    geometry, out, terms = g.binary(layer)
    cin, groups = geometry[2], geometry[7]
    if list(geometry[3:7]) != [cin, 1, 1, 0] or layer["residual"] is not True:
        g.fail("the trainable layer needs kernel 1, stride 1, padding 0, cout %d and residual true" % cin)
    weight = g.take(layer, "weight", "I8", (cin, cin // groups))
    g.trainable = TrainableLayer(geometry, weight, *g.affine(layer, [terms] * cin))


def _features(g, layer):
    g.pool_shape, out = g.pool(layer)
    if out != (1, 1, g.latent[2]):
        g.fail("must pool the %dx%d stream to 1x1 with repeat 1; a latent's side is 1, 2, 4 or 8" % g.latent[:2])


def _dense(g, layer):
    if g.labels is None:
        g.fail("must name the classes of the dense layer", "labels")
    weight = g.take(layer, "weight", "I8", (len(g.labels), g.latent[2]))
    shift = g.take(layer, "shift", "I8", (len(g.labels),))
    for s in array("b", bytes(shift)):
        if not -16 <= s <= 6:
            g.fail("must be -16..6, got %d" % s, layer["tensor"] + ".shift")
    g.head = weight, shift


BACKBONE_HANDLERS = {
    "conv2d": _conv2d,
    "binarize": _binarize,
    "bconv2d": _bconv2d,
    "bconv2d_sign": _bconv2d_sign,
    "avg_pool": _pool(kernels.avg_pool),
    "max_pool": _pool(kernels.max_pool),
    "latent": _latent,
}
ABOVE_HANDLERS = {"expand": _expand, "bconv2d": _trainable, "avg_pool": _features, "dense": _dense}
