"""Buffers and ranges of arguments, with the messages of the C binding."""

from collections import namedtuple
from operator import index

import numpy as np

MAX_CHANNELS = 1024
MAX_SIDE = 256
MAX_KERNEL = 7
MAX_FIRST_CIN = 16
MAX_BATCH = 64
MAX_POSITIONS = 4096
MAX_DENSE = 1024
MAX_FRAME = 512  # samples of a spectrum
TABLE_WORDS = 4 * 256  # of 32 numbers, whose sums the C kernels look up
MAX_ELEMENTS = 1 << 24  # more than any buffer holds

# Of a convolution's sides, h is vertical, w horizontal.
Geometry = namedtuple(
    "Geometry",
    "height width cin cout kernel_h kernel_w stride_h stride_w padding_h padding_w groups out_height out_width",
)


def input_buffer(name, buffer, dtype, count):
    """A buffer of exactly `count` elements, as an array that shares its memory."""
    view = memoryview(buffer)
    expected = count * np.dtype(dtype).itemsize
    if view.nbytes != expected:
        raise ValueError(f"{name}: expected {expected} bytes, got {view.nbytes}")
    return np.frombuffer(view, dtype)


def output_buffer(name, buffer, dtype, count):
    """As `input_buffer`, for a buffer that is written."""
    if memoryview(buffer).readonly:
        raise TypeError(f"{name}: must be writable")
    return input_buffer(name, buffer, dtype, count)


def scratch_buffer(buffer):
    """Working memory of the C kernel: of any size, and left as it is here."""
    if memoryview(buffer).readonly:
        raise TypeError("scratch: must be writable")
    given = memoryview(buffer).nbytes
    if given % 4:
        raise ValueError(f"scratch: must be words of 4 bytes, got {given} bytes")


def counted(name, buffer, size, limit):
    """The number of elements of `size` bytes in a buffer, 1..limit."""
    given = memoryview(buffer).nbytes
    if given == 0 or given % size or given // size > limit:
        raise ValueError(f"{name}: {given} bytes are not 1..{limit} elements of {size} bytes")
    return given // size


def in_range(name, value, low, high):
    value = index(value)
    if low > high:
        raise ValueError(f"{name}: no value is possible beside the other arguments")
    if not low <= value <= high:
        raise ValueError(f"{name}: must be {low}..{high}")
    return value


def checked_geometry(buffer, binary):
    """The u16[11] shape of a convolution, checked, with its output's height and width."""
    given = [int(v) for v in input_buffer("geometry", buffer, np.uint16, 11)]
    height, width, cin, cout, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, groups = given
    for name, value, low, high in (
        ("height", height, 1, MAX_SIDE),
        ("width", width, 1, MAX_SIDE),
        ("cin", cin, 1, MAX_CHANNELS if binary else MAX_FIRST_CIN),
        ("cout", cout, 1, MAX_CHANNELS),
        ("kernel_h", kernel_h, 1, MAX_KERNEL),
        ("kernel_w", kernel_w, 1, MAX_KERNEL),
        ("stride_h", stride_h, 1, 2),
        ("stride_w", stride_w, 1, 2),
        ("padding_h", padding_h, 0, kernel_h - 1),
        ("padding_w", padding_w, 0, kernel_w - 1),
        ("groups", groups, 1, cout if binary else 1),
    ):
        in_range(f"geometry: {name}", value, low, high)
    if height + 2 * padding_h < kernel_h or width + 2 * padding_w < kernel_w:
        raise ValueError("geometry: kernel is larger than the padded image")
    if binary and (cin % (32 * groups) or cout % groups):
        raise ValueError("geometry: cin / groups must be a multiple of 32, and cout of groups")
    out_height = ((height + 2 * padding_h - kernel_h) >> (stride_h - 1)) + 1
    return Geometry(*given, out_height, ((width + 2 * padding_w - kernel_w) >> (stride_w - 1)) + 1)


def signs(words, dtype=np.float32):
    """Packed bits [..., words] as an array [..., words * 32] of +1 and -1."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")
    return bits.astype(dtype) * 2 - 1


def pack(bits):
    """Bits [..., n] as words [..., n / 32]."""
    return np.packbits(bits, axis=-1, bitorder="little").view(np.uint32)


def saturate(values, bits):
    return np.clip(values, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def wrap32(values):
    """Integers modulo 2^32, as the signed 32-bit values (in an int64 array)."""
    return np.asarray(values, np.int64).astype(np.int32).astype(np.int64)


def round_half_up(values, shift):
    return (values + (1 << shift >> 1)) >> shift


def normalize(values):
    """A gradient of 16 bits for integers below 2^31 - 2^16, and its exponent k: values are about g * 2^k."""
    k = int(abs(values).max()).bit_length() - 15
    return (saturate(round_half_up(values, k), 16) if k > 0 else values << -k), k


def gradient_exponents(exponents):
    """The exponents of the stream's gradient and of the bits', i16[2]."""
    return output_buffer("exponents", exponents, np.int16, 2)


def wrap16(value):
    """An integer modulo 2^16, as an i16."""
    return (value + 32768) % 65536 - 32768


def bit_lengths(values):
    """The bit length of each integer in 0..2^53 - 1."""
    return np.frexp(np.asarray(values, np.float64))[1].astype(np.int64)
