# For the fuzzers, in MicroPython and CPython: random contents that cost little, and the loop over the cases.

import json
import random
import time
from array import array

WORDS = [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 24, (1 << 30) - 1, 1 << 30, (1 << 31) - 1]
CONSTANTS = b"\0", b"\xff", b"\x80", b"\x7f", b"\0\x80", b"\xff\x7f", b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\1\0"

# Random bytes one by one would take most of the time: they are cut from two pools.
random.seed(12345)
NOISE = array("I", [random.getrandbits(32) for _ in range(16384)])
EXTREMES = array("I", [(random.choice(WORDS) * random.choice((1, -1))) & 0xFFFFFFFF for _ in range(16384)])
POOLS = [memoryview(bytearray(pool)) for pool in (NOISE, EXTREMES)]


def content(size):
    """A bytearray: noise, extreme values, or a constant."""
    kind = random.randrange(6)
    if kind == 0:
        constant = random.choice(CONSTANTS)
        return bytearray((constant * (size // len(constant) + 1))[:size])
    out = bytearray(size)
    pool = POOLS[kind == 1]
    for i in range(0, size, 16384):
        n = min(16384, size - i)
        start = 4 * random.randrange((len(pool) - n) // 4 + 1)
        out[i : i + n] = pool[start : start + n]
    return out


def run(case, seed, limit, which, *arguments):
    """Runs case(number, *arguments) for some numbers, and prints how often it returned each outcome, as JSON.

    limit: "N cases" or "N seconds". which: "part/parts", every so many-th case from that one on; or the number of the
    one case that is run again, and told. Every case has its own random numbers, and its number is printed before it
    runs, so that it is known if the process dies.
    """
    part, _, parts = which.partition("/")
    counts, number = {}, int(part)
    most, unit = limit.split(" ")
    end = time.time() + int(most)
    while not parts or (number < int(most) if unit == "cases" else time.time() < end):
        random.seed((int(seed) * 0x9E3779B1 + number * 0x85EBCA77) & 0xFFFFFFFF)
        for _ in range(4):
            random.getrandbits(32)
        print(number)
        if not parts:
            print(case(number, *arguments, tell=True))
            return
        outcome = case(number, *arguments)
        counts[outcome] = counts.get(outcome, 0) + 1
        number += int(parts)
    print(json.dumps(counts))
