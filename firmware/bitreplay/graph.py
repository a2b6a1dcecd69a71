# A model's graph: checked against docs/formats.md and turned into Layers.

import gc
from array import array

MAX_CHANNELS, MAX_SIDE, MAX_LAYERS, MAX_NAME = 1024, 256, 256, 64

FIELDS = {
    "conv2d": ("tensor", "cout", "kernel", "stride", "padding", "shift"),
    "binarize": ("tensor",),
    "bconv2d": ("tensor", "cout", "kernel", "stride", "padding", "groups", "shift", "residual"),
    "bconv2d_sign": ("tensor", "cout", "kernel", "stride", "padding", "groups"),
    "avg_pool": ("size", "repeat"),
    "max_pool": ("size", "repeat"),
    "latent": (),
    "expand": ("tensor",),
    "global_avg_pool": (),
    "flatten": (),
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
}

BINARY_OPS = ("binarize", "bconv2d", "bconv2d_sign", "avg_pool", "max_pool")
FEATURE_OPS = ("global_avg_pool", "flatten")

# What an op reads and writes of the two registers, beside the shortcut of a bconv2d.
READS = {"binarize": "stream", "bconv2d": "bits", "bconv2d_sign": "bits", "latent": "bits", "expand": "bits"}
READS.update({"avg_pool": "stream", "max_pool": "stream", "global_avg_pool": "stream", "flatten": "stream"})
WRITES = {"conv2d": "stream", "binarize": "bits", "bconv2d": "stream", "bconv2d_sign": "bits", "expand": "stream"}
WRITES.update({"avg_pool": "stream", "max_pool": "stream"})


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


class Layer:
    """A layer: op, name (of its tensors, or None), shape_in and shape (height, width, channels of what it reads and
    writes), and by op: geometry u16[8], weight, affine (slope, bias, shift), residual; threshold, flip; levels; pool u16[5].
    """

    def __init__(self, op, name, shape_in, shape):
        self.op, self.name, self.shape_in, self.shape = op, name, shape_in, shape
        self.residual = False


class Graph:
    """What a graph's layers mean. tensors is emptied: every tensor must be used, once."""

    def __init__(self, path, image, layers, labels, tensors):
        self.path, self.where = path, "graph"
        self.labels, self.tensors = labels, tensors
        self.backbone, self.above = [], []  # Layers, below and above the latent
        self.image = image
        self.stream = self.bits = None  # shapes of the registers
        self.latent = self.pooling = self.features = None
        self.head: tuple = None  # weight, shift
        self.binary_macs = self.int8_macs = 0
        self._walk(layers)
        for name in tensors:
            self.fail("no layer uses it; remove it or add its layer", name)
        self._check_flow(layers)

    def fail(self, what, where=None):
        raise ValueError("%s: %s: %s" % (self.path, where or self.where, what))

    def _walk(self, layers):
        if type(layers) is not list or not 0 < len(layers) <= MAX_LAYERS:
            self.fail("layers must be a list of 1..%d layers" % MAX_LAYERS)
        op = None
        for i in range(len(layers)):
            self.where = "graph: layer %d" % i
            # What stays would lie between garbage else, and leave no large block free for a learner.
            gc.collect()
            last, op = op, self._op(layers[i])
            self.where += " (%s)" % op
            allowed = self._allowed(last)
            if op not in allowed:
                where = "after " + last if last else "at the start"
                self.fail("%s comes %s" % (", ".join(allowed) if allowed else "nothing", where))
            self._check_fields(layers[i], op)
            found = HANDLERS[op](self, layers[i])
            if found:
                (self.backbone if self.latent is None else self.above).append(found)
        self.where = "graph"
        if self.pooling is None:
            self.fail("must end in latent, expand, ..., global_avg_pool or flatten, with an optional dense")
        if self.labels is not None and self.head is None:
            self.fail("there are labels, but no dense layer; remove them", "labels")

    def _allowed(self, last):
        """What may follow an op, or start a graph."""
        if last is None:
            return ("conv2d",)
        if self.pooling:
            return ("dense",) if last in FEATURE_OPS else ()
        if self.latent:
            return BINARY_OPS + ("expand",) + FEATURE_OPS
        return BINARY_OPS + ("latent",) if last in ("binarize", "bconv2d_sign") else BINARY_OPS

    def _check_flow(self, layers):
        """Every layer's output is read by another one, or the layer would do nothing."""
        needed = set()
        for i in range(len(layers) - 1, -1, -1):
            layer = layers[i]
            op = layer["op"]
            self.where = "graph: layer %d (%s)" % (i, op)
            if op in WRITES:
                if WRITES[op] not in needed:
                    self.fail("nothing reads what it makes; remove it, or what makes it needless")
                needed.remove(WRITES[op])
            if op in READS:
                needed.add(READS[op])
            if op == "bconv2d" and layer["residual"]:
                needed.add("stream")

    def _op(self, layer):
        op = layer.get("op") if type(layer) is dict else None
        if type(op) is not str or op not in FIELDS:
            self.fail("op must be one of " + ", ".join(sorted(FIELDS)))
        return op

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

    def read(self, register):
        """The shape of what is in a register."""
        shape = getattr(self, register)
        if shape is None:
            if self.latent and register == "stream":
                self.fail(
                    "there is no stream yet: only bits cross the latent, so that replayed and fresh samples are the same; "
                    'put {"op": "expand", ...} before it'
                )
            self.fail("there are no bits yet; put a binarize before it")
        return shape

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
        bits, groups = self.read("bits"), self.integer(layer, "groups")
        geometry, out = self.convolution(layer, bits, groups)
        cin = bits[2]
        if cin % (32 * groups) or out[2] % groups:
            self.fail("groups must divide cout %d, and cin %d into multiples of 32" % (out[2], cin))
        if self.latent and out[2] % (32 * groups):
            self.fail("above the latent groups must divide cout %d into multiples of 32" % out[2])
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
        height, width, channels = self.read("stream")
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


def _conv2d(g, layer):
    geometry, out = g.convolution(layer, g.image, 1)
    found = Layer("conv2d", layer["tensor"], g.image, out)
    kernel, cin = geometry[4], geometry[2]
    found.geometry, found.weight = geometry, g.take(layer, "weight", "I8", (out[2], kernel, kernel, cin))
    size = kernel * kernel * cin
    weight = found.weight
    limits = [128 * sum(map(abs, array("b", bytes(weight[i : i + size])))) for i in range(0, len(weight), size)]
    g.int8_macs += count(out) * size
    found.affine = g.affine(layer, limits)
    g.stream = out
    return found


def _binarize(g, layer):
    shape = g.read("stream")
    if shape[2] % 32:
        g.fail("the stream's %d channels are not a multiple of 32" % shape[2])
    found = Layer("binarize", layer["tensor"], shape, shape)
    found.threshold = g.take(layer, "threshold", "I8", (shape[2],))
    g.bits = shape
    return found


def _bconv2d(g, layer):
    geometry, out, terms = g.binary(layer)
    found = Layer("bconv2d", layer["tensor"], g.bits, out)
    found.geometry, found.weight = geometry, g.take(layer, "weight", "U32", _filters(geometry))
    found.affine = g.affine(layer, [terms] * out[2])
    found.residual = layer["residual"]
    if type(found.residual) is not bool:
        g.fail("residual must be true or false")
    if found.residual and g.read("stream") != out:
        g.fail(
            "residual: the stream is %s, but the output %s; pool the stream, or use residual false" % (g.stream, out)
        )
    g.stream = out
    return found


def _bconv2d_sign(g, layer):
    geometry, out, _ = g.binary(layer)
    if out[2] % 32:
        g.fail("cout must be a multiple of 32")
    found = Layer("bconv2d_sign", layer["tensor"], g.bits, out)
    found.geometry, found.weight = geometry, g.take(layer, "weight", "U32", _filters(geometry))
    found.threshold = g.take(layer, "threshold", "I16", (out[2],))
    found.flip = g.take(layer, "flip", "U32", (out[2] // 32,))
    g.bits = out
    return found


def _pool(g, layer):
    pool, out = g.pool(layer)
    found = Layer(layer["op"], None, g.stream, out)
    found.pool, g.stream = pool, out
    return found


def _latent(g, layer):
    g.latent, g.stream = g.read("bits"), None


def _expand(g, layer):
    shape = g.read("bits")
    found = Layer("expand", layer["tensor"], shape, shape)
    found.levels = g.take(layer, "levels", "I8", (shape[2], 2))
    g.stream = shape
    return found


def _features(g, layer):
    shape = g.read("stream")
    g.pooling = layer["op"]
    g.features = count(shape) if g.pooling == "flatten" else shape[2]
    if g.features > MAX_CHANNELS:
        g.fail("makes %d features, and at most %d can be learned from" % (g.features, MAX_CHANNELS))


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
    "latent": _latent,
    "expand": _expand,
    "global_avg_pool": _features,
    "flatten": _features,
    "dense": _dense,
}
