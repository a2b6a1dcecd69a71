# What every kernel takes, given its shape (docs/numbers.md). Works on MicroPython and CPython.
#
# KERNELS has a function for each kernel, from its shape to its arguments in order. Whoever makes calls, to compare
# implementations, to time them or to break them, takes the arguments from here and says what is in the buffers.

from array import array
from collections import namedtuple

from _bitreplay import bconv2d_dw_scratch, bconv2d_dx_scratch

# role: "scalar"; or of a buffer "input", "settings" (an input whose content is checked), "output" (which is read too
# where the specification says so), "scratch". typecode: of array. low, high: of a scalar or of each element; where
# elements differ in that, fields are their (name, low, high) instead.
Argument = namedtuple("Argument", ("name", "role", "typecode", "count", "low", "high", "fields"))

RANGES = {
    "b": (-128, 127),
    "B": (0, 255),
    "h": (-32768, 32767),
    "H": (0, 65535),
    "i": (-(1 << 31), (1 << 31) - 1),
    "I": (0, (1 << 32) - 1),
}
SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4}  # of elements, in bytes
SCRATCH_WORDS = 5120  # of a binary convolution
MASTER = {16: "h", 32: "i"}  # weights of the head
WINDOW = "kernel_h", "kernel_w", "stride_h", "stride_w", "padding_h", "padding_w"
GEOMETRY = ("height", "width", "cin", "cout") + WINDOW + ("groups",)
POOL = "height", "width", "channels", "size_h", "size_w", "repeat"


def values(arguments, number, content):
    """A value for each argument. number(name, low, high) gives those of scalars and fields that the shape leaves open,
    content(argument) the buffers that have no fields."""

    def one(name, low, high):
        return low if low == high else number(name, low, high)

    found = []
    for a in arguments:
        if a.role == "scalar":
            found.append(one(a.name, a.low, a.high))
        elif a.fields:
            found.append(array(a.typecode, [one(*field) for field in a.fields]))
        else:
            found.append(content(a))
    return found


def _scalar(name, low, high):
    return Argument(name, "scalar", None, 1, low, high, None)


def _buffer(name, typecode, count, role="input"):
    return Argument(name, role, typecode, count, RANGES[typecode][0], RANGES[typecode][1], None)


def _output(name, typecode, count):
    return _buffer(name, typecode, count, "output")


def _settings(name, typecode, count, low, high):
    return Argument(name, "settings", typecode, count, low, high, None)


def _fields(name, typecode, fields):
    return Argument(name, "settings", typecode, len(fields), None, None, fields)


def _shape(name, names, numbers):
    return _fields(name, "H", [(names[i], numbers[i], numbers[i]) for i in range(len(names))])


RNG = Argument("rng", "output", "I", 1, 1, RANGES["I"][1], None)
EXPONENTS = _output("exponents", "h", 2)  # of a gradient


def square(height, width, cin, cout, kernel, stride, padding, groups=1):
    """The geometry of a convolution that is the same in both directions."""
    return height, width, cin, cout, kernel, kernel, stride, stride, padding, padding, groups


def output_sides(geometry):
    """Height and width of a convolution's output."""
    return [(geometry[i] + 2 * geometry[8 + i] - geometry[4 + i]) // geometry[6 + i] + 1 for i in range(2)]


def executed_taps(geometry):
    """Taps that lie inside the image, of a column of windows and of a row of them."""
    found, outputs = [], output_sides(geometry)
    for i in range(2):
        side, kernel, stride, padding = geometry[i], geometry[4 + i], geometry[6 + i], geometry[8 + i]
        starts = [n * stride - padding for n in range(outputs[i])]
        found.append(sum([min(side, start + kernel) - max(0, start) for start in starts]))
    return found


def _pixels(geometry):
    height, width = output_sides(geometry)
    return height * width


def _filter(geometry):
    """Weights of an output channel."""
    return geometry[4] * geometry[5] * geometry[2] // geometry[10]


def _affine(cout):
    return [_buffer("slope", "h", 2 * cout), _buffer("bias", "i", cout), _scalar("shift", 1, 24)]


def conv2d(geometry):
    height, width, cin, cout = geometry[:4]
    x, weight = _buffer("x", "B", height * width * cin), _buffer("weight", "b", cout * _filter(geometry))
    y = _output("y", "b", _pixels(geometry) * cout)
    return [_shape("geometry", GEOMETRY, geometry), x, weight] + _affine(cout) + [y]


def _binary(geometry):
    height, width, cin, cout = geometry[:4]
    x, weight = _buffer("x", "I", height * width * cin // 32), _buffer("weight", "I", cout * _filter(geometry) // 32)
    return [_shape("geometry", GEOMETRY, geometry), x, weight]


def _scratch(geometry):
    """As much as the binary convolutions of models have a use for, where they may have one."""
    words, outputs = geometry[2] // geometry[10] // 32, geometry[3] // geometry[10]
    useful = words % 2 == 0 and outputs * geometry[4] >= 64
    return _buffer("scratch", "I", SCRATCH_WORDS if useful else 0, "scratch")


def bconv2d(geometry):
    cout = geometry[3]
    return _binary(geometry) + _affine(cout) + [_scratch(geometry), _output("y", "b", _pixels(geometry) * cout)]


def bconv2d_masks(geometry):
    words = _pixels(geometry) * geometry[3] // 32
    *before, _, y = bconv2d(geometry)
    # As much as a layer of one tap has a use for.
    useful = geometry[4:8] == (1, 1, 1, 1)
    scratch = _buffer("scratch", "I", 1024 + geometry[3] // geometry[10] if useful else 0, "scratch")
    return before + [scratch, y, _output("passes", "I", words), _output("negative", "I", words)]


def bconv2d_sign(geometry):
    cout = geometry[3]
    threshold, flip = _buffer("threshold", "h", cout), _buffer("flip", "I", cout // 32)
    y = _output("y", "I", _pixels(geometry) * cout // 32)
    return _binary(geometry) + [threshold, flip, _scratch(geometry), y]


def near_threshold(n, channels):
    x, threshold = _buffer("x", "b", n * channels), _buffer("threshold", "b", channels)
    return [x, threshold, _output("y", "I", n * channels // 32)]


def binarize(n, channels):
    x, threshold, y = near_threshold(n, channels)
    return [x, threshold, _buffer("flip", "I", channels // 32), y]


def expand(n, channels):
    x, levels = _buffer("x", "I", n * channels // 32), _buffer("levels", "b", 2 * channels)
    return [x, levels, _output("y", "b", n * channels)]


def global_avg_pool(n, channels):
    return [_buffer("x", "b", n * channels), _output("y", "b", channels)]


def avg_pool(shape):
    height, width, channels, size_h, size_w, repeat = shape
    y = _output("y", "b", height // size_h * (width // size_w) * channels * repeat)
    return [_shape("shape", POOL, shape), _buffer("x", "b", height * width * channels), y]


def max_pool(shape):
    return avg_pool(shape)


def max_pool_bits(shape):
    height, width, channels, size_h, size_w, _ = shape
    words = channels // 32
    y = _output("y", "I", height // size_h * (width // size_w) * words)
    return [_shape("shape", POOL, shape), _buffer("x", "I", height * width * words), y]


def dense(n, classes):
    return [
        _buffer("x", "b", n),
        _buffer("weight", "b", classes * n),
        _settings("shift", "b", classes, -16, 6),
        _output("y", "i", classes),
    ]


def random():
    return [RNG, _scalar("n", 1, 65536)]


def _active(classes):
    return _settings("active", "B", classes, 0, 1)


def draw_balanced(count, classes, n):
    """Classes of as many samples each, but for the last one."""
    last = [(c + 1) * (count // classes) - 1 for c in range(classes - 1)] + [count - 1]
    ends = _fields("ends", "H", [("end", one, one) for one in last])
    return [_buffer("order", "H", count), ends, _output("numbers", "H", n), RNG]


def gather_rows(n, first, second, size):
    """first, second: how many rows there are."""
    numbers, out = _settings("numbers", "H", n, 0, first + second - 1), _output("out", "B", n * size)
    return [numbers, _buffer("first", "B", first * size), _buffer("second", "B", second * size), out]


def softmax(classes):
    """At least one class is active, and label is -1 or one of these."""
    z, label = _buffer("z", "i", classes), _scalar("label", -1, classes - 1)
    return [z, _active(classes), label, _output("e", "h", classes)]


def _bits(bits):
    return _scalar("bits", bits, bits)


def head_backward(classes, n, bits, copies):
    e, weight = _buffer("e", "h", classes), _buffer("weight", MASTER[bits], classes * n)
    return [e, weight, _bits(bits), _output("df", "h", copies * n), EXPONENTS]


def head_update(samples, classes, n, bits):
    hyper = ("bits", bits, bits), ("mantissa", 1, 15), ("exponent", -31, 15), ("momentum", 0, 31), ("decay", 0, 31)
    return [
        _buffer("e", "h", samples * classes),
        _buffer("f", "b", samples * n),
        _active(classes),
        _output("weight", MASTER[bits], classes * n),
        _output("velocity", MASTER[bits], classes * n),
        _fields("hyper", "b", hyper),
        RNG,
    ]


def head_quantize(classes, n, bits):
    outputs = [_output("out", "b", classes * n), _output("shift", "b", classes)]
    return [_buffer("weight", MASTER[bits], classes * n), _bits(bits), _scalar("q_f", 2, 8)] + outputs


def head_begin(classes, n, bits):
    here = _settings("here", "B", classes, 0, 1)
    outputs = [_output(name, MASTER[bits], classes * n) for name in ("weight", "velocity")]
    return [_buffer("cw", "h", classes * n), here, _bits(bits)] + outputs


def head_add(n, bits):
    return [_buffer("f", "b", n), _scalar("factor", -32767, 32767), _bits(bits), _output("weight", MASTER[bits], n)]


def nearest(words, n):
    return [_buffer("x", "I", words), _buffer("rows", "I", n * words), _output("found", "I", 2)]


def logmel(n, spans):
    """spans: (first bin, how many) of each band."""
    fields = []
    for first, bins in spans:
        fields += [("first bin", first, first), ("bins", bins, bins)]
    return [
        _buffer("samples", "h", n),
        _settings("window", "h", n, 0, 32767),
        _settings("cosine", "h", n + n // 4, -16384, 16384),
        _fields("spans", "H", fields),
        _settings("weights", "H", sum([bins for _, bins in spans]), 0, 1024),
        _buffer("logarithm", "B", 256),
        _buffer("scratch", "I", 2 * n + 6, "scratch"),
        _output("out", "H", len(spans)),
    ]


def logmel_image(columns, bands, channels):
    x, y = _buffer("x", "H", columns * bands), _output("y", "B", columns * bands * channels)
    first, channels = _scalar("first", 0, columns - 1), _scalar("channels", channels, channels)
    return [x, _scalar("bands", bands, bands), first, channels, y]


def head_sum(n, bits):
    return [_buffer("weight", MASTER[bits], n), _bits(bits)]


def consolidate(n, bits):
    scalars = [_bits(bits), _scalar("mean", -32768, 32767), _scalar("alpha", 0, 1 << 15)]
    return [_output("cw", "h", n), _buffer("tw", MASTER[bits], n)] + scalars


def transpose(rows, words):
    return [_buffer("x", "I", rows * words), _scalar("words", words, words), _output("y", "I", rows * words)]


def dot_tables(words, count):
    rows, scratch = _buffer("rows", "I", count * words), _buffer("scratch", "i", 1024, "scratch")
    return [_buffer("q", "h", 64 * words), rows, scratch, _output("out", "i", 2 * count)]


def dot_signs(n, words):
    return [_buffer("q", "h", n), _buffer("x", "I", n * words), _output("out", "i", 32 * words)]


def update_weights(n):
    scalars = [_scalar("mantissa", 1, 15), _scalar("exponent", -31, 8)]
    return [_output("weight", "b", n), _buffer("dw", "i", n)] + scalars + [_output("packed", "I", n // 32), RNG]


def avg_pool_backward(shape):
    return [_shape("shape", POOL, shape), _output("g", "h", shape[0] * shape[1] * shape[2]), EXPONENTS]


def gradient_mask(words):
    return [_output("g", "h", 32 * words), _buffer("mask", "I", words)]


def gradient_add(n, channels):
    g, d = _output("g", "h", n * channels), _buffer("d", "h", n * channels)
    mask, flip = _buffer("mask", "I", n * channels // 32), _buffer("flip", "I", channels // 32)
    return [g, d, mask, flip, _scalar("add", 0, 1), EXPONENTS]


def expand_backward(n, channels):
    g, levels = _buffer("g", "h", n * channels), _buffer("levels", "b", 2 * channels)
    return [g, levels, _output("d", "h", n * channels), _scalar("add", 0, 1), EXPONENTS]


def _channels(count, cout):
    """Those that are trained, evenly spaced."""
    return _fields("channels", "H", [("channel", t * cout // count, t * cout // count) for t in range(count)])


def gradient_record(n, cout, count, width):
    return [
        _buffer("g", "h", n * cout),
        _buffer("negative", "I", n * cout // 32),
        _buffer("slope", "h", 2 * cout),
        _channels(count, cout),
        _buffer("exponents", "h", 2),
        _output("out", "h", count * width),
        _output("kept", "h", width // n),
        _scalar("sample", 0, width // n - 1),
    ]


def bconv2d_dx(geometry, bits):
    height, width, cin, cout = geometry[:4]
    described, _, weight = _binary(geometry)
    n = _pixels(geometry) * cout
    gradient = [_buffer("g", "h", n), _buffer("negative", "I", n // 32), _buffer("slope", "h", 2 * cout)]
    scratch = bconv2d_dx_scratch(array("H", geometry), bits)
    outputs = [_buffer("scratch", "i", scratch, "scratch"), _output("d", "i", height * width * cin), RNG, EXPONENTS]
    shift, how = _scalar("shift", 1, 24), [_bits(bits), _scalar("stochastic", 0, 1)]
    return [described] + gradient + [shift, weight] + how + outputs


def bconv2d_dw(geometry, samples, count, bits):
    described, x, packed = _binary(geometry)
    cout, positions = geometry[3], (samples * _pixels(geometry) + 31) // 32 * 32
    hyper = ("bits", bits, bits), ("stochastic", 0, 1), ("mantissa", 1, 15), ("exponent", -128, 127), ("update", 0, 1)
    scratch = bconv2d_dw_scratch(array("H", geometry), samples, count)
    return [
        described,
        _buffer("x", "I", samples * x.count),
        _output("g", "h", count * positions),
        _settings("shifts", "B", samples, 0, 31),
        _buffer("slope", "h", 2 * cout),
        _channels(count, cout),
        _output("weight", "b", count * _filter(geometry)),
        _output("packed", "I", packed.count),
        _fields("hyper", "b", hyper),
        _buffer("scratch", "i", scratch, "scratch"),
        RNG,
        _output("square", "i", 2),
    ]


LAYERS = conv2d, bconv2d, bconv2d_masks, bconv2d_sign, binarize, near_threshold, expand, global_avg_pool, dense
POOLS = avg_pool, max_pool, max_pool_bits
OTHERS = random, draw_balanced, gather_rows, nearest, logmel, logmel_image
HEAD = softmax, head_backward, head_update, head_quantize, head_begin, head_add, head_sum, consolidate
SIGNS = transpose, dot_tables, dot_signs, update_weights
GRADIENTS = avg_pool_backward, gradient_mask, gradient_add, expand_backward, gradient_record, bconv2d_dx, bconv2d_dw
KERNELS = {kernel.__name__: kernel for kernel in LAYERS + POOLS + OTHERS + HEAD + SIGNS + GRADIENTS}
