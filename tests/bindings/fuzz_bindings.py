# Runs in MicroPython: random calls of every kernel, valid ones and others (arguments: noise.py).
#
# A call must return or raise an error that names an argument. It must write its outputs and nothing else, nothing if
# it is refused, and what it writes must not depend on what lies around its buffers.

import random
import sys
from array import array

import _bitreplay
import noise
from fuzz_shapes import SHAPES
from kernel_arguments import KERNELS, SIZES, values
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


NAMES = sorted(KERNELS)
IN_PLACE = "avg_pool", "max_pool"


# A valid call of each kernel.


def number(name, low, high):
    return random.randint(low, high)


def contents(argument):
    if argument.role == "settings":
        return array(argument.typecode, [number("", argument.low, argument.high) for _ in range(argument.count)])
    if argument.name == "rng":
        return array("I", [random.getrandbits(32) | 1 << random.randrange(32)])
    return content(argument.count * SIZES[argument.typecode])


def valid(kernel):
    """The arguments of a call, Buffer and Scalar."""
    described, arguments = KERNELS[kernel](*SHAPES[kernel]()), []
    found = values(described, number, contents)
    for i, argument in enumerate(described):
        if argument.role == "scalar":
            arguments.append(Scalar(argument.name, found[i]))
        else:
            written = argument.role in ("output", "scratch")
            item, small = SIZES[argument.typecode], argument.role == "settings"
            arguments.append(Buffer(argument.name, bytes(found[i]), item, output=written, small=small))
    if kernel == "softmax":
        _, active, label, _ = arguments
        active.data[random.randrange(len(active.data))] = 1
        if label.value >= 0 and not active.data[label.value]:
            label.value = -1
    if kernel in IN_PLACE and random.getrandbits(1):
        _, x, y = arguments
        y.alias = x, 0
    return arguments


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
        regions = [one for one in wholes[i][1] if one[0] < one[1]]  # an empty one overlaps nothing
        outputs = [(start, end) for start, end, output in regions if output]
        for start, end in outputs:
            others = [one for one in regions if one[2] is not None and one[0] < end and start < one[1]]
            in_place = kernel in IN_PLACE and len(others) == 2 and others[0][0] == others[1][0]
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
    arguments = valid(kernel)
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
