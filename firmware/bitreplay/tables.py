# Memory for the tables that make binary convolutions faster (docs/pico.md): any that is idle while a network runs.
#
# A learner that trains layers lends some that its gradients have, else it is a piece of the heap, which is given back
# before a learner is made. Where there is none, nothing but time is lost.

import gc

import _bitreplay as kernels

NONE = bytearray()
MOST = 20480  # bytes
LEAST = 14336  # bytes that are worth it: a 3x3 convolution's for 64 filters
PLENTY = 49152  # bytes of the heap that stay free


def wanted(layers):
    """Bytes for which these Layers have a use on this processor."""
    words = 0
    for layer in layers:
        if layer.op in ("bconv2d", "bconv2d_sign"):
            words = max(words, kernels.bconv2d_scratch(layer.geometry))
    return min(4 * words, MOST)


def take(size):
    """So many bytes of the heap, if plenty of it stays free; else NONE."""
    if size == 0:
        return NONE
    gc.collect()
    block = gc.mem_free() - size  # type: ignore[attr-defined]
    if block < PLENTY:
        return NONE
    before = []
    while block > LEAST:
        # At the end of what is free in one piece: what is made later would divide that else.
        try:
            before.append(bytearray(block))
            return bytearray(size)
        except MemoryError:
            before.clear()
            block -= block >> 3
    return NONE


def lend(calls, memory):
    for kernel, arguments in calls:
        if kernel in (kernels.bconv2d, kernels.bconv2d_sign):
            arguments[-2] = memory


class Tables:
    """The memory for the tables of some Layers, and the calls that work in it."""

    def __init__(self, layers):
        self.size = wanted(layers)
        self.memory = None  # not looked for yet
        self.served = []

    def set(self, memory):
        """From now on it is this memory, which holds nothing whenever calls are made; None: what the heap has."""
        for calls in self.served:
            lend(calls, NONE)
        self.served = []
        self.memory = memory if self.size and memory and len(memory) >= LEAST else None

    def serve(self, calls):
        """To be called before calls, a list of (kernel, list of arguments), are made, so that they have it."""
        if self.memory is None:
            self.memory = take(self.size)
        for others in self.served:
            if others is calls:
                return
        lend(calls, self.memory)
        self.served.append(calls)
