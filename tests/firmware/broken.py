"""A module that replaces `_bitreplay` on MicroPython by one of which a kernel is wrong."""

# To be formatted: kernel, body (a line of Python, which may call right.KERNEL) and the names of all kernels.
BROKEN = """
import sys
import _bitreplay as right

class Broken:
    calls = 0

for name in {names}:
    setattr(Broken, name, staticmethod(getattr(right, name)))

def wrong(*arguments):
    Broken.calls += 1
    {body}

Broken.{kernel} = staticmethod(wrong)
sys.modules["_bitreplay"] = Broken
"""
