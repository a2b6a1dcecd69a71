# Numbers that are the same on every target, whatever its floats are.

import math


def fixed(x):
    """x > 0 as (mantissa, exponent): about mantissa * 2^exponent, with a mantissa of four bits, 8..15."""
    fraction, exponent = math.frexp(x)
    mantissa = int(fraction * 16 + 0.5)
    if mantissa == 16:
        mantissa, exponent = 8, exponent + 1
    return mantissa, exponent - 4


def isqrt(n):
    """The integer part of the square root of n >= 0."""
    root = 1 << (len(bin(n)) - 1) // 2
    while root * root > n or (root + 1) * (root + 1) <= n:
        root = (root + n // root) // 2
    return root


def decayed(mantissa, exponent, step, steps):
    """A rate in this of so many steps: it falls in a straight line to a tenth. (mantissa, exponent), as fixed().

    0 steps: it stays.
    """
    if not steps:
        return mantissa, exponent
    mantissa = 256 * mantissa * (10 * steps - 9 * step) // (10 * steps)
    down = 3  # of eight bits that are there to be rounded
    while 15 << down < mantissa:
        down += 1
    # Rounded up: to halve it again and again, rounding up, is the same.
    return -(-mantissa >> down), exponent - 8 + down


def rows(buffer, count):
    """Views of the `count` equal parts of a buffer."""
    view = memoryview(buffer)
    size = len(view) // count
    return [view[i * size : (i + 1) * size] for i in range(count)]


def log2(n, d):
    """The integer part of the logarithm of n / d, both 1..2^30, to the base 2. Allocates nothing."""
    power = 0
    while n >> power > d:
        power += 1
    while n >> power < d if power >= 0 else n << -power < d:
        power -= 1
    return power
