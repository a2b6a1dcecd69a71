# Runs in MicroPython: random calls of every kernel, valid ones and others (arguments: noise.py).
#
# A call must return or raise an error that names an argument. It must write its outputs and nothing else, nothing if
# it is refused, and what it writes must not depend on what lies around its buffers.

import random
import sys
from array import array

import _bitreplay
import noise
from noise import content

MARGIN = 64
PATTERNS = b"\xa5" * 1024, b"\x5a" * 1024
INTS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 64, 127, 128, 255, 1024, 1025, 32767, 32768, 65536, 65537]
LARGE = [1 << 30, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64, 1 << 100]
INTS += LARGE + [-n for n in INTS + LARGE]


class Buffer:
    """An argument that is a buffer: its elements have `item` bytes. small: its values are settings."""

    def __init__(self, name, data, item, output=False, small=False):
        self.name, self.data, self.item, self.output, self.small = name, bytearray(data), item, output, small
        self.offset, self.alias, self.readonly, self.whole = 0, None, False, None


class Scalar:
    def __init__(self, name, value):
        self.name, self.value = name, value


def u8(name, count, **more):
    return Buffer(name, content(count), 1, **more)


def u16(name, count, **more):
    return Buffer(name, content(2 * count), 2, **more)


def u32(name, count, **more):
    return Buffer(name, content(4 * count), 4, **more)


def master(name, bits, count, **more):
    return (u16 if bits == 16 else u32)(name, count, **more)


def settings(name, typecode, values):
    data = array(typecode, values)
    return Buffer(name, bytes(data), 2 if typecode == "H" else 1, small=True)


def rng():
    return Buffer("rng", array("I", [random.getrandbits(32) | 1 << random.randrange(32)]), 4, output=True)


def dims(*limits):
    """A number for each (usual, limit): 1..usual, but now and then one of them is at its limit."""
    values = [random.randint(1, usual) for usual, _ in limits]
    if random.getrandbits(4) == 0:
        i = random.randrange(len(limits))
        values[i] = limits[i][1]
    return values


# A valid call of each kernel.


def geometry(height, width, cin, cout, kernel, groups):
    """The argument, and the number of pixels of the output."""
    padding, stride = random.randrange(kernel), random.randint(1, 2)
    height, width = max(height, kernel - 2 * padding), max(width, kernel - 2 * padding)
    pixels = 1
    for side in (height, width):
        pixels *= (side + 2 * padding - kernel) // stride + 1
    g = settings("geometry", "H", [height, width, cin, cout, kernel, stride, padding, groups])
    return g, height * width, pixels


def affine(cout):
    return [u16("slope", 2 * cout), u32("bias", cout), Scalar("shift", random.randint(1, 24))]


def conv2d():
    height, width, cin, cout, kernel = dims((8, 256), (8, 256), (4, 16), (9, 1024), (7, 7))
    g, area, pixels = geometry(height, width, cin, cout, kernel, 1)
    buffers = [g, u8("x", area * cin), u8("weight", cout * kernel * kernel * cin)]
    return buffers + affine(cout) + [u8("y", pixels * cout, output=True)]


def binary(multiple):
    """(geometry, x, weight), cout and the output's pixels of a binary convolution; cout is a multiple."""
    height, width, groups, words, couts, kernel = dims((5, 256), (5, 256), (3, 32), (2, 32), (9, 1024), (4, 7))
    if multiple > 1:
        groups, couts = 1 << random.randrange(4), min(couts, 3) * multiple
    words, couts = min(words, 32 // groups), max(1, min(couts, 1024 // groups))
    cin, cout = 32 * groups * words, groups * couts
    g, area, pixels = geometry(height, width, cin, cout, kernel, groups)
    return [g, u32("x", area * cin // 32), u32("weight", cout * kernel * kernel * words)], cout, pixels


def bconv2d():
    buffers, cout, pixels = binary(1)
    return buffers + affine(cout) + [u8("y", pixels * cout, output=True)]


def bconv2d_sign():
    buffers, cout, pixels = binary(32)
    buffers += [u16("threshold", cout), u32("flip", cout // 32)]
    return buffers + [u32("y", pixels * cout // 32, output=True)]


def binarize():
    n, words = dims((20, 2000), (3, 32))
    return [u8("x", n * words * 32), u8("threshold", words * 32), u32("y", n * words, output=True)]


def expand():
    (n,) = dims((40, 5000))
    return [u32("x", n), Scalar("value", random.randint(1, 127)), u8("y", 32 * n, output=True)]


def pool():
    size = 1 << random.randrange(4)
    height, width, channels = dims((3, 256 // size), (3, 256 // size), (9, 1024))
    height, width, repeat = height * size, width * size, random.randint(1, size)
    shape = settings("shape", "H", [height, width, channels, size, repeat])
    x = u8("x", height * width * channels)
    y = u8("y", height * width // size // size * channels * repeat, output=True)
    if random.getrandbits(1):
        y.alias = x, 0
    return [shape, x, y]


def add():
    (n,) = dims((100, 70000))
    return [u8("x", n), u8("y", n, output=True)]


def dense():
    n, classes = dims((40, 1024), (20, 1024))
    shift = settings("shift", "b", [random.randint(-16, 6) for _ in range(classes)])
    return [u8("x", n), u8("weight", n * classes), shift, u32("y", classes, output=True)]


def random_():
    return [rng(), Scalar("n", random.randint(1, 65536))]


def activity(classes, at_least):
    flags = array("B", [random.getrandbits(1) for _ in range(classes)])
    if at_least:
        flags[random.randrange(classes)] = 1
    return settings("active", "B", flags)


def softmax():
    (classes,) = dims((30, 1024))
    active = activity(classes, True)
    label = random.randrange(classes)
    label = Scalar("label", label if active.data[label] else -1)
    return [u32("z", classes), active, label, u16("e", classes, output=True)]


def head_backward():
    samples, classes, n = dims((20, 4096), (12, 1024), (20, 1024))
    bits = random.choice((16, 32))
    scalars = [Scalar("bits", bits), Scalar("feature", random.randrange(n))]
    weight = master("weight", bits, classes * n)
    return [u16("e", samples * classes), weight] + scalars + [u16("df", samples, output=True)]


def head_update():
    samples, classes, n = dims((9, 64), (9, 1024), (20, 1024))
    bits = random.choice((16, 32))
    exponent, momentum, decay = random.randint(-31, 15), random.randint(0, 31), random.randint(0, 31)
    return [
        u16("e", samples * classes),
        u8("f", samples * n),
        activity(classes, False),
        master("weight", bits, classes * n, output=True),
        master("velocity", bits, classes * n, output=True),
        settings("hyper", "b", [bits, random.randint(1, 15), exponent, momentum, decay]),
        rng(),
    ]


def head_quantize():
    classes, n = dims((12, 1024), (20, 1024))
    bits = random.choice((16, 32))
    scalars = [Scalar("bits", bits), Scalar("q_f", random.randint(2, 8))]
    outputs = [u8("out", classes * n, output=True), u8("shift", classes, output=True)]
    return [master("weight", bits, classes * n)] + scalars + outputs


def head_sum():
    (n,) = dims((500, 65536))
    bits = random.choice((16, 32))
    return [master("weight", bits, n), Scalar("bits", bits)]


def consolidate():
    (n,) = dims((500, 70000))
    bits = random.choice((16, 32))
    scalars = [Scalar("bits", bits), Scalar("mean", random.randint(-32768, 32767))]
    return [u16("cw", n, output=True), master("tw", bits, n)] + scalars + [Scalar("alpha", random.randint(0, 1 << 15))]


def transpose():
    rows, words = dims((4, 128), (4, 32))
    return [u32("x", 32 * rows * words), Scalar("words", words), u32("y", 32 * rows * words, output=True)]


def quantize_gradient():
    (words,) = dims((6, 128))
    bits = random.randint(2, 16)
    scalars = [Scalar("bits", bits), Scalar("stochastic", random.getrandbits(1))]
    return [u32("g", 32 * words)] + scalars + [u32("planes", bits * words, output=True), rng()]


def dot_planes():
    words, rows = dims((6, 128), (20, 5000))
    bits = random.randint(2, 16)
    buffers = [u32("rows", rows * words), u32("out", rows, output=True)]
    return [u32("planes", bits * words), Scalar("bits", bits)] + buffers


def dot_signs():
    n, words = dims((4, 128), (3, 32))
    return [u16("q", 32 * n), u32("x", 32 * n * words), u32("out", 32 * words, output=True)]


def update_weights():
    (words,) = dims((9, 500))
    scalars = [Scalar("mantissa", random.randint(1, 15)), Scalar("exponent", random.randint(-31, 8))]
    weight = u8("weight", 32 * words, output=True)
    return [weight, u32("dw", 32 * words)] + scalars + [u32("packed", words, output=True), rng()]


def bconv_backward():
    height, width = random.choice(((1, 1), (2, 2), (4, 4), (2, 1), (1, 8), (4, 3), (8, 8), (16, 2)))
    words, groups, samples, classes = dims((2, 8), (2, 4), (2, 8), (5, 300))
    cin, area = 32 * words * groups, height * width
    while samples * area % 32:
        samples += 1
    positions, filters = samples * area, cin * 32 * words
    bits, head_bits = random.randint(2, 16), random.choice((16, 32))
    hyper = [random.randint(1, 24), random.randint(1, 127), bits, random.getrandbits(1), random.randint(1, 15)]
    hyper += [random.randint(-64, 8), head_bits]
    return [
        settings("geometry", "H", [height, width, cin, cin, 1, 1, 0, groups]),
        u32("x", positions * cin // 32),
        u32("xt", positions * cin // 32),
        u16("e", samples * classes),
        master("head", head_bits, classes * cin),
        u8("weight", filters, output=True),
        u32("packed", filters // 32, output=True),
        u16("slope", 2 * cin),
        u32("bias", cin),
        settings("hyper", "b", hyper),
        u32("scratch", positions + bits * positions // 32 + 32 * words + (samples + 1) // 2, output=True),
        rng(),
    ]


KERNELS = {
    "conv2d": conv2d,
    "bconv2d": bconv2d,
    "bconv2d_sign": bconv2d_sign,
    "binarize": binarize,
    "expand": expand,
    "avg_pool": pool,
    "max_pool": pool,
    "add": add,
    "dense": dense,
    "random": random_,
    "softmax": softmax,
    "head_backward": head_backward,
    "head_update": head_update,
    "head_quantize": head_quantize,
    "head_sum": head_sum,
    "consolidate": consolidate,
    "transpose": transpose,
    "quantize_gradient": quantize_gradient,
    "dot_planes": dot_planes,
    "dot_signs": dot_signs,
    "update_weights": update_weights,
    "bconv_backward": bconv_backward,
}
NAMES = sorted(KERNELS)


# What is changed in half of the calls.


def resize(arguments, a):
    size, item = len(a.data), a.item
    sizes = 0, 1, size - 1, size + 1, size - item, size + item, size // 2, 2 * size, size + 4, 17 * item
    size = max(0, min(random.choice(sizes), 300000))
    a.data = bytearray((bytes(a.data) + bytes(content(size)))[:size])


def set_value(arguments, a):
    """Another value for one element, most of all where these are settings."""
    settings = [b for b in arguments if isinstance(b, Buffer) and b.small and b.data]
    if settings:
        a = random.choice(settings)
    if len(a.data) >= a.item:
        i = random.randrange(len(a.data) // a.item) * a.item
        value = random.choice(INTS) & (1 << 8 * a.item) - 1
        a.data[i : i + a.item] = value.to_bytes(a.item, "little")


def clear(arguments, a):
    a.data = bytearray(len(a.data))


def shift(arguments, a):
    a.offset = random.randint(1, 8)


def alias(arguments, a):
    """The buffer lies where another one is, or right behind it, or before."""
    others = [b for b in arguments if isinstance(b, Buffer) and b is not a and b.alias is None]
    if others and not any(isinstance(b, Buffer) and b.alias and b.alias[0] is a for b in arguments):
        other = random.choice(others)
        size, length = len(a.data), len(other.data)
        places = 0, length, -size, length - a.item, a.item - size, random.randint(-size, length)
        a.alias = other, random.choice(places)


def protect(arguments, a):
    a.readonly = True


BUFFER_CHANGES = resize, resize, set_value, set_value, clear, shift, alias, alias, protect


def change(arguments):
    i = random.randrange(len(arguments))
    a = arguments[i]
    kind = random.randrange(12)
    if kind == 0:
        wrong = None, 1.5, "text", b"", [1], 1 << 70, True, {}, object(), int, range(3)
        arguments[i] = Scalar(a.name, random.choice(wrong))
    elif kind == 1:
        arguments.pop(i)
    elif kind == 2:
        arguments.insert(i, a if isinstance(a, Scalar) else Scalar(a.name, 1))
    elif isinstance(a, Scalar):
        a.value = random.choice(INTS)
    else:
        random.choice(BUFFER_CHANGES)(arguments, a)


# Running.


def place(arguments):
    """Puts the buffers into bytearrays, the number of which is their `whole`: a list of (whole, regions of views)."""
    wholes = []
    # A buffer that is no argument any more may still be the place of another one.
    for a in arguments + [a.alias[0] for a in arguments if isinstance(a, Buffer) and a.alias]:
        if isinstance(a, Buffer) and a.alias is None and a.whole is None:
            whole = bytearray(MARGIN + a.offset + len(a.data) + MARGIN)
            fill(whole, 0, len(whole), PATTERNS[0])
            a.whole = len(wholes)
            wholes.append((whole, []))
            a.start = MARGIN + a.offset
    for a in arguments:
        if isinstance(a, Buffer):
            if a.alias is not None:
                other, distance = a.alias
                whole = wholes[other.whole][0]
                a.whole = other.whole
                a.start = max(0, min(other.start + distance + a.offset, len(whole) - len(a.data)))
                a.end = min(a.start + len(a.data), len(whole))
            else:
                a.end = a.start + len(a.data)
                wholes[a.whole][0][a.start : a.end] = a.data
            # A read-only buffer is a copy.
            wholes[a.whole][1].append((a.start, a.end, None if a.readonly else a.output))
    return wholes


def views(arguments, wholes):
    passed = []
    for a in arguments:
        if isinstance(a, Scalar):
            passed.append(a.value)
        elif a.readonly:
            passed.append(bytes(memoryview(wholes[a.whole])[a.start : a.end]))
        else:
            passed.append(memoryview(wholes[a.whole])[a.start : a.end])
    return passed


def fill(whole, start, end, pattern):
    for i in range(start, end, len(pattern)):
        n = min(len(pattern), end - i)
        whole[i : i + n] = pattern[:n]


def between(regions, size):
    """The parts of 0..size that are in none of the regions."""
    position, gaps = 0, []
    for start, end in sorted(regions):
        if start > position:
            gaps.append((position, start))
        position = max(position, end)
    if size > position:
        gaps.append((position, size))
    return gaps


def same(a, b, parts):
    a, b = memoryview(a), memoryview(b)
    return all(a[start:end] == b[start:end] for start, end in parts)


def describe(kernel, arguments):
    print(kernel)
    for a in arguments:
        if isinstance(a, Scalar):
            print("   ", a.name, "=", a.value)
            continue
        where = f"{a.alias[1]} bytes after the start of {a.alias[0].name}" if a.alias else f"offset {a.offset}"
        values = list(memoryview(array("H", bytes(a.data)))) if a.small and a.item == 2 else a.data[:64].hex()
        print("   ", a.name, len(a.data), "bytes,", where, "read-only" if a.readonly else "", values)


def attempt(kernel, arguments, names):
    """Makes the call; returns whether it was taken. names: those of the arguments."""
    wholes = place(arguments)
    run = [whole for whole, _ in wholes]
    before = [bytearray(whole) for whole in run]
    try:
        result = getattr(_bitreplay, kernel)(*views(arguments, run))
    except (ValueError, TypeError) as error:
        # Settings that are part of a buffer have names, too.
        assert str(error).split(":")[0].split(" ")[0] in names + ["bits", "shift", "function"], str(error)
        assert run == before, "a refused call wrote"
        return False
    for i in range(len(wholes)):
        outputs = [(start, end) for start, end, output in wholes[i][1] if output]
        for start, end in outputs:
            others = [one for one in wholes[i][1] if one[2] is not None and one[0] < end and start < one[1]]
            in_place = kernel.endswith("pool") and len(others) == 2 and others[0][0] == others[1][0]
            assert len(others) == 1 or in_place, "an output overlaps another buffer"
        assert same(run[i], before[i], between(outputs, len(run[i]))), "what is no output was written"
    # Again, with something else around the buffers.
    for i in range(len(wholes)):
        for start, end in between([(start, end) for start, end, _ in wholes[i][1]], len(before[i])):
            fill(before[i], start, end, PATTERNS[1])
    again = getattr(_bitreplay, kernel)(*views(arguments, before))
    assert again == result, "the result depends on what is around the buffers"
    for i in range(len(wholes)):
        parts = [(start, end) for start, end, _ in wholes[i][1]]
        assert same(run[i], before[i], parts), "what is written depends on what is around the buffers"
    return True


def case(number, tell=False):
    kernel = NAMES[number % len(NAMES)]
    arguments = KERNELS[kernel]()
    names = [a.name for a in arguments]
    changes = random.choice((0, 0, 0, 1, 2, 3))
    for _ in range(changes):
        if arguments:
            change(arguments)
    if tell:
        describe(kernel, arguments)
    taken = attempt(kernel, arguments, names)
    assert taken or changes, "a valid call was refused"
    return kernel + (" taken" if taken else " refused")


noise.run(case, *sys.argv[1:])
