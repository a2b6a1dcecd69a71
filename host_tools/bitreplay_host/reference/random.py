"""The generator: xorshift32 (Marsaglia, Xorshift RNGs, 2003)."""

from functools import cache

import numpy as np

from .arguments import in_range, output_buffer

BLOCK = 1024


def state(rng):
    """The generator's state, u32[1], checked."""
    s = output_buffer("rng", rng, np.uint32, 1)
    if s[0] == 0:
        raise ValueError("rng: state must not be 0")
    return s


@cache
def unit_sequences():
    """The first BLOCK draws from each state that has a single bit set: u32[32, BLOCK]."""
    s = np.uint32(1) << np.arange(32, dtype=np.uint32)
    sequences = np.empty((32, BLOCK), np.uint32)
    for i in range(BLOCK):
        s ^= s << np.uint32(13)
        s ^= s >> np.uint32(17)
        s ^= s << np.uint32(5)
        sequences[:, i] = s
    return sequences


def draws(s, n):
    """The next n draws, as int64; the state s is advanced.

    xorshift is linear over GF(2), so a state's sequence is the xor of the sequences of its set bits.
    """
    out = np.empty(n, np.int64)
    for start in range(0, n, BLOCK):
        count = min(BLOCK, n - start)
        set_bits = [bit for bit in range(32) if int(s[0]) >> bit & 1]
        block = np.bitwise_xor.reduce(unit_sequences()[set_bits, :count], axis=0)
        out[start : start + count] = block
        s[0] = block[-1]
    return out


def random(rng, n):
    """One draw from 0..n-1, uniform.

    rng u32[1], not 0; 1 <= n <= 65536. Returns ((draw >> 16) * n) >> 16.
    ValueError for an n out of range or a state of 0.
    """
    s = state(rng)
    n = in_range("n", n, 1, 65536)
    return (int(draws(s, 1)[0]) >> 16) * n >> 16
