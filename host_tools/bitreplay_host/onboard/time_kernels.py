# Times kernels at the shapes of a model, on MicroPython.
#
# argument: a JSON file {"model", "repeats", "cache"}. Prints a line {"kernel", "shape", "us"} for each, the
# best of `repeats` runs, a call's own cost in Python included (0.2 us on a PC, some 20 on a Pico); the backbone's
# binary convolutions have "binary_macs" too, those executed, as padding is skipped, and "padded_macs". If "cache" is
# true, which takes an RP2040, each has "misses": of the flash's cache, in one more run. For each binary
# layer that can be trained, and number of bits, two lines {"gradient": "dW" or "dX", "shape", "q_b", "tables_us",
# "sign_and_add_us"}: a tap's products, dW of all channels for a minibatch, dX of a sample, the best of interleaved
# runs, with the transposition on the side of tables.

import gc
import json
import sys
from array import array
from time import ticks_diff, ticks_us

import _bitreplay as kernels
import bitreplay
from bitreplay import trainer

with open(sys.argv[1]) as file:
    CONFIG = json.load(file)
# First of all: what is compiled next leaves no large piece of a small heap.
NET: bitreplay.Network = bitreplay.load(CONFIG["model"])
NET.latent(bytes(NET.image_bytes), bytearray(NET.latent_bytes))  # so that it has memory for tables, if there is room
import kernel_calls  # noqa: E402
from kernel_calls import columns, convolutions, noise  # noqa: E402

kernel_calls.NET = NET

CACHE_HITS, CACHE_ACCESSES = 0x1400000C, 0x14000010  # counters of an RP2040, which a write clears
LONG = 200  # microseconds that a measurement takes at least: the clock counts whole ones

try:
    from machine import disable_irq, enable_irq, mem32
except ImportError:

    def disable_irq():  # type: ignore[misc]
        pass

    def enable_irq(state):  # type: ignore[misc]
        pass


def elapsed(function, calls):
    state = disable_irq()
    try:
        start = ticks_us()
        for _ in range(calls):
            function()
        end = ticks_us()
    finally:
        enable_irq(state)
    return ticks_diff(end, start)


def best(functions, repeats):
    """Microseconds of a call of each function, the best of so many interleaved runs."""
    calls = [1 + LONG // (elapsed(function, 1) + 1) for function in functions]
    least = [1 << 29] * len(functions)
    for _ in range(repeats):
        for i in range(len(functions)):
            least[i] = min(least[i], elapsed(functions[i], calls[i]) / calls[i])
    return least


def cache_counters():
    return mem32[CACHE_ACCESSES], mem32[CACHE_HITS]


def misses(function):
    """Of the flash's cache, in a call that follows others.

    What is read between the two counters is alike before the call and behind it, so that no difference is left.
    """
    state = disable_irq()
    try:
        mem32[CACHE_ACCESSES] = mem32[CACHE_HITS] = 0
        before = cache_counters()
        function()
        after = cache_counters()
    finally:
        enable_irq(state)
    return after[0] - before[0] - (after[1] - before[1])


def gradients(net, repeats, rng):
    """Products of b-bit gradients and bits, by tables and by sign-and-add, for each trained layer."""
    binary = [layer.name for layer in net.above if layer.op == "bconv2d"]
    reached = binary[len(binary) - trainer.most(net) :]
    for text, layer in convolutions(net):
        if layer.name in reached:
            inputs, outputs, groups = layer.geometry[2], layer.geometry[3], layer.geometry[10]
            inputs, positions = inputs // groups, layer.shape[0] * layer.shape[1]
            compare("dW", text, columns(layer), inputs, groups, outputs, repeats, rng)
            compare("dX", text, outputs // groups, inputs, groups, positions * groups, repeats, rng)


def compare(gradient, text, n, inputs, groups, calls, repeats, rng):
    """So many products of n b-bit numbers and n rows of bits, which are transposed once a group."""
    gc.collect()
    words = inputs // 32
    x, xt = noise(n * inputs // 8, rng), bytearray(n * inputs // 8)
    out, both, scratch = array("i", [0] * inputs), array("i", [0] * (2 * inputs)), bytearray(4096)
    for bits in (2, 4, 8, 16):
        largest = (1 << (bits - 1)) - 1
        q = array("h", [kernels.random(rng, 2 * largest + 1) - largest for _ in range(n)])

        def tables(two=q + q):
            for _ in range(groups):
                kernels.transpose(x, words, xt)
            for _ in range((calls + 1) // 2):
                kernels.dot_tables(two, xt, scratch, both)

        def signs(q=q):
            for _ in range(calls):
                kernels.dot_signs(q, x, out)

        times = best((tables, signs), repeats)
        if both != out + out:
            raise ValueError("dot_tables and dot_signs differ")
        line = {"gradient": gradient, "shape": text, "q_b": bits}
        line["tables_us"], line["sign_and_add_us"] = times
        print(json.dumps(line))


def measure(cases, repeats):
    for line, function in cases:
        gc.collect()
        line["us"] = best([function], repeats)[0]
        if CONFIG["cache"]:
            line["misses"] = misses(function)
        print(json.dumps(line))


def main():
    repeats, rng, net = CONFIG["repeats"], array("I", [1]), NET
    pool = kernel_calls.weights(net, rng)
    for cases in (kernel_calls.layers, kernel_calls.sign, kernel_calls.training):
        measure(cases(net, rng, pool), repeats)
    del pool
    for cases in (kernel_calls.stream, kernel_calls.parts, kernel_calls.head, kernel_calls.whole):
        measure(cases(net, rng), repeats)
    gradients(net, repeats, rng)


main()
