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
