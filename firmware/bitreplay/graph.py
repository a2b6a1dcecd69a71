# A model's graph: its layers' shapes and tensors, checked against docs/formats.md. dataflow.py checks their order.

import gc
from array import array

from . import dataflow
from .safetensors import fail

# Buffers. The packed bits have two that take turns, as no kernel works in place on bits. The latent is the caller's.
STREAM, BITS, OTHER_BITS, LATENT = 0, 1, 2, 3
MAX_CHANNELS, MAX_SIDE = 1024, 256
NO_FLIP = bytes(MAX_CHANNELS // 8)  # of a binarize

RANGES = {
    "cout": (1, MAX_CHANNELS),
    "kernel": (1, 7),
    "stride": (1, 2),
    "padding": (0, 6),
    "groups": (1, 32),
    "shift": (1, 24),
    "size": (1, 8),
    "repeat": (1, 8),
}


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


class Layer:
    """A layer: op, name (its tensors' prefix, or None), what it reads and what it writes, and what its op needs.

    source, target: the buffers (STREAM, BITS, OTHER_BITS, LATENT); source is None for an image. shape_in, shape: the
    height, width and channels of what is there. All that is data is a view of the file.
    """

    geometry = weight = slope = bias = shift = residual = threshold = flip = levels = None
    pool = None  # the shape u16[6] of a pooling

    @property
    def affine(self):
        return self.slope, self.bias, self.shift

    def __init__(self, op, name, source, shape_in):
        self.op, self.name = op, name
        self.source, self.shape_in = source, shape_in
        self.target = self.shape = None


class Graph:
    """What a graph's layers mean. tensors is emptied: every tensor must be used, once."""

    def __init__(self, path, image, layers, labels, tensors):
        self.path, self.where = path, "graph"
        self.labels, self.tensors = labels, tensors
        self.image = image
        self.backbone, self.above = [], []  # Layers
        self.layers = self.backbone  # where the next one goes
        self.stream = self.bits = None  # shapes of the registers
        self.slot = BITS  # the buffer of the bits
        self.sizes = [0, 0, 0, 0]  # of the buffers, in bytes
        self.latent = self.pooling = self.features = None
        self.head: tuple = None  # weight, shift
        self.binary_macs = self.int8_macs = 0
        dataflow.check(path, layers)
        self._walk(layers)
        if self.labels is not None and self.head is None:
            self.fail("there are labels, but no dense layer; remove them", "labels")
        for name in tensors:
            self.fail("no layer uses it; remove it or add its layer", name)

    def fail(self, what, where=None):
        fail(self.path, where or self.where, what)

    def _walk(self, layers):
        for i in range(len(layers)):
            # What stays would lie between garbage else, and leave no large block free for a learner.
            gc.collect()
            op = layers[i]["op"]
            self.where = dataflow.place(i, op)
            # What the last layer of the backbone writes is the latent.
            self.is_last = i + 1 < len(layers) and layers[i + 1]["op"] == "latent"
            HANDLERS[op](self, layers[i])
        self.where = "graph"

    # What the handlers are made of.

    def layer(self, layer, source, shape_in):
        """A new Layer."""
        found = Layer(layer["op"], layer.get("tensor"), source, shape_in)
        self.layers.append(found)
        return found

    def to_stream(self, layer, shape):
        layer.target, layer.shape, self.stream = STREAM, shape, shape
        self.sizes[STREAM] = max(self.sizes[STREAM], count(shape))

    def to_bits(self, layer, shape):
        # A buffer that is not read meanwhile.
        if self.is_last:
            self.slot = LATENT
        elif self.slot == LATENT:
            self.slot = BITS
        elif layer.source != STREAM:
            self.slot = BITS + OTHER_BITS - self.slot
        layer.target, layer.shape, self.bits = self.slot, shape, shape
        self.sizes[self.slot] = max(self.sizes[self.slot], count(shape) // 8)

    def integer(self, layer, field):
        low, high = RANGES[field]
        value = layer[field]
        if type(value) is not int or not low <= value <= high:
            self.fail("%s must be an integer in %d..%d" % (field, low, high))
        return value

    def pair(self, layer, field):
        """Both integers of a field, [vertical, horizontal]; an integer stands for both."""
        value, (low, high) = layer[field], RANGES[field]
        pair = value if type(value) is list else [value, value]
        if len(pair) != 2 or not all(type(n) is int and low <= n <= high for n in pair):
            self.fail("%s must be an integer in %d..%d, or a list of two" % (field, low, high))
        return pair

    def take(self, layer, part, dtype, shape):
        """The data of one of a layer's tensors, which must have this dtype and shape."""
        name = layer["tensor"] + "." + part
        tensor = self.tensors.pop(name, None)
        if tensor is None:
            self.fail("is missing, or two layers use it; %s needs %s %s" % (self.where, dtype, shape), name)
        if tensor.dtype != dtype or tensor.shape != shape:
            self.fail("is %s %s, but %s needs %s %s" % (tensor.dtype, tensor.shape, self.where, dtype, shape), name)
        return tensor.data

    def convolution(self, layer, shape, groups):
        """The geometry u16[11] of a convolution, and its output's shape."""
        cout = self.integer(layer, "cout")
        kernel, stride, padding = [self.pair(layer, field) for field in ("kernel", "stride", "padding")]
        sides = []
        for i in range(2):
            left = shape[i] + 2 * padding[i] - kernel[i]
            if padding[i] >= kernel[i] or left < 0:
                found = kernel[i], padding[i], shape[0], shape[1]
                self.fail("a kernel of %d with padding %d does not fit the %dx%d input" % found)
            sides.append(left // stride[i] + 1)
        if max(sides) > MAX_SIDE:
            self.fail("its output is %dx%d, at most %dx%d can follow" % (sides[0], sides[1], MAX_SIDE, MAX_SIDE))
        numbers = list(shape) + [cout] + kernel + stride + padding + [groups]
        return array("H", numbers), (sides[0], sides[1], cout)

    def pool(self, layer, source, shape, repeat):
        """(new Layer with the shape of its pooling, output shape) of what is there."""
        height, width, channels = shape
        size_h, size_w = self.pair(layer, "size")
        if size_h & (size_h - 1) or size_w & (size_w - 1) or height % size_h or width % size_w:
            self.fail("size must be 1, 2, 4 or 8 and divide the %dx%d input" % (height, width))
        found = self.layer(layer, source, shape)
        found.pool = array("H", [height, width, channels, size_h, size_w, repeat])
        return found, (height // size_h, width // size_w, channels * repeat)

    def binary(self, layer):
        """(new Layer with its geometry, output shape, terms of a sum) of a convolution of the bits."""
        cin, groups = self.bits[2], self.integer(layer, "groups")
        geometry, out = self.convolution(layer, self.bits, groups)
        if cin % (32 * groups) or out[2] % groups:
            self.fail("groups must divide cout %d, and cin %d into multiples of 32" % (out[2], cin))
        if self.latent and layer["op"] == "bconv2d" and out[2] % (32 * groups):
            self.fail("above the latent, groups must divide cout %d into multiples of 32, too" % out[2])
        kernel_h, kernel_w = geometry[4], geometry[5]
        terms = kernel_h * kernel_w * (cin // groups)
        self.binary_macs += count(out) * terms
        found = self.layer(layer, self.slot, self.bits)
        found.geometry = geometry
        found.weight = self.take(layer, "weight", "U32", (out[2], kernel_h, kernel_w, cin // groups // 32))
        return found, out, terms

    def affine(self, found, layer, limits):
        """Gives a Layer whose accumulators are at most limits[channel] in size its slope, bias and shift."""
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
        found.slope, found.bias, found.shift = slope, bias, shift


def count(shape):
    return shape[0] * shape[1] * shape[2]


def _conv2d(g, layer):
    geometry, out = g.convolution(layer, g.image, 1)
    cin, kernel_h, kernel_w = geometry[2], geometry[4], geometry[5]
    found = g.layer(layer, None, g.image)
    found.geometry = geometry
    found.weight = weight = g.take(layer, "weight", "I8", (out[2], kernel_h, kernel_w, cin))
    size = kernel_h * kernel_w * cin
    limits = [128 * sum(map(abs, array("b", bytes(weight[i : i + size])))) for i in range(0, len(weight), size)]
    g.int8_macs += count(out) * size
    g.affine(found, layer, limits)
    g.to_stream(found, out)


def _binarize(g, layer):
    channels = g.stream[2]
    if channels % 32:
        g.fail("the stream's %d channels are not a multiple of 32" % channels)
    found = g.layer(layer, STREAM, g.stream)
    found.threshold = g.take(layer, "threshold", "I8", (channels,))
    found.flip = memoryview(NO_FLIP)[: channels // 8]
    if "flip" in layer:
        found.flip = g.take(layer, "flip", "U32", (channels // 32,))
    g.to_bits(found, g.stream)


def _bconv2d(g, layer):
    found, out, terms = g.binary(layer)
    g.affine(found, layer, [terms] * out[2])
    found.residual = layer["residual"]
    if found.residual and g.stream != out:
        g.fail(
            "residual: the stream is %s, but the output %s; pool the stream, or use residual false" % (g.stream, out)
        )
    g.to_stream(found, out)


def _bconv2d_sign(g, layer):
    if g.integer(layer, "cout") % 32:
        g.fail("cout must be a multiple of 32")
    found, out, _ = g.binary(layer)
    found.threshold = g.take(layer, "threshold", "I16", (out[2],))
    found.flip = g.take(layer, "flip", "U32", (out[2] // 32,))
    g.to_bits(found, out)


def _pool(g, layer):
    repeat = g.integer(layer, "repeat")
    found, (height, width, channels) = g.pool(layer, STREAM, g.stream, repeat)
    size_h, size_w = found.pool[3], found.pool[4]
    # As the output takes the place of its input.
    if repeat > (size_h if g.stream[1] == 1 else size_w) or channels > MAX_CHANNELS:
        g.fail(
            "repeat must be at most size (the horizontal one, but where the stream is 1 wide), and repeat * channels "
            "at most %d" % MAX_CHANNELS
        )
    g.to_stream(found, (height, width, channels))


def _pool_bits(g, layer):
    found, out = g.pool(layer, g.slot, g.bits, 1)
    g.to_bits(found, out)


def _latent(g, layer):
    g.latent, g.layers = g.bits, g.above


def _expand(g, layer):
    found = g.layer(layer, g.slot, g.bits)
    found.levels = g.take(layer, "levels", "I8", (g.bits[2], 2))
    g.to_stream(found, g.bits)


def _features(g, layer):
    g.pooling = layer["op"]
    g.features = g.stream[2] if g.pooling == "global_avg_pool" else count(g.stream)
    if g.features > MAX_CHANNELS:
        g.fail("makes %d features, at most %d are learned from; pool the stream before" % (g.features, MAX_CHANNELS))


def _dense(g, layer):
    if g.labels is None:
        g.fail("must name the classes of the dense layer", "labels")
    weight = g.take(layer, "weight", "I8", (len(g.labels), g.features))
    shift = g.take(layer, "shift", "I8", (len(g.labels),))
    for s in array("b", bytes(shift)):
        if not -16 <= s <= 6:
            g.fail("must be -16..6, got %d" % s, layer["tensor"] + ".shift")
    g.head = weight, shift


HANDLERS = {
    "conv2d": _conv2d,
    "binarize": _binarize,
    "bconv2d": _bconv2d,
    "bconv2d_sign": _bconv2d_sign,
    "avg_pool": _pool,
    "max_pool": _pool,
    "max_pool_bits": _pool_bits,
    "latent": _latent,
    "expand": _expand,
    "global_avg_pool": _features,
    "flatten": _features,
    "dense": _dense,
}
