# Numbers that are the same on every target, whatever its floats are.

import math


def fixed(x):
    """x > 0 as (rate, exponent): about rate * 2^exponent, with four bits, so rate in 8..15."""
    mantissa, exponent = math.frexp(x)
    rate = int(mantissa * 16 + 0.5)
    if rate == 16:
        rate, exponent = 8, exponent + 1
    return rate, exponent - 4


def isqrt(n):
    """The integer part of the square root of n >= 0."""
    root = 1 << (len(bin(n)) - 1) // 2
    while root * root > n or (root + 1) * (root + 1) <= n:
        root = (root + n // root) // 2
    return root
