# Times kernels at the shapes of a model, on MicroPython.
#
# argument: a JSON file {"model", "graph" (its own), "repeats"}. Prints a line {"kernel", "shape", "us"} for each, the
# best of `repeats` runs, a call's own cost in Python included (0.2 us on a PC, some 20 on a Pico); binary convolutions
# have "binary_macs" too, those executed, as padding is skipped, and "padded_macs". For each q_b a line {"q_b",
# "bit_serial_us", "sign_and_add_us"}: dW of all channels of the trained layer for a minibatch of 32, the best of
# interleaved runs, with the transposition on the bit-serial side.

import gc
import json
import sys
from array import array
from time import ticks_diff, ticks_us

import _bitreplay as kernels
import bitreplay

BATCH, CLASSES = 32, 10
PERIOD = 4099  # of made data: longer than what a branch predictor learns by heart
LONG = 200  # microseconds that a measurement takes at least: the clock counts whole ones

try:
    from machine import disable_irq, enable_irq
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


def noise(size, rng):
    """Random bytes; where there are many, they repeat."""
    data = bytearray(size)
    for i in range(min(size, PERIOD)):
        data[i] = kernels.random(rng, 256)
    for i in range(PERIOD, size, PERIOD):
        data[i : i + PERIOD] = data[: min(PERIOD, size - i)]
    return data


def executed(side, out, kernel, stride, padding):
    """Taps of a row of windows that lie inside the image."""
    starts = [i * stride - padding for i in range(out)]
    return sum([min(side, start + kernel) - max(0, start) for start in starts])


def sign(net, rng, pool):
    """(line, function) of bconv2d_sign, as wide as the latent."""
    n, side = net.latent_shape[2], 2 * net.latent_shape[0]
    geometry = array("H", [side, side, n, n, 3, 1, 1, 1])
    x, threshold, flip = noise(side * side * n // 8, rng), array("h", [0] * n), bytes(n // 8)
    shape = "%dx%dx%d to %dx%dx%d" % (side, side, n, side, side, n)
    yield case("bconv2d_sign", shape, geometry, x, pool[: 9 * n * n // 8], threshold, flip, bytearray(len(x)))


def layers(graph, net, rng, pool):
    """(line, function) of each convolution of the backbone, on made inputs; weights are taken from pool."""
    height, width, channels = net.image_shape
    for layer in graph["layers"]:
        if layer["op"] == "latent":
            return
        if layer["op"] not in ("conv2d", "bconv2d"):
            continue
        cout, kernel, stride, padding = layer["cout"], layer["kernel"], layer["stride"], layer["padding"]
        geometry = array("H", [height, width, channels, cout, kernel, stride, padding, 1])
        slope, bias = array("h", [1] * (2 * cout)), array("i", [0] * cout)
        oh, ow = (height + 2 * padding - kernel) // stride + 1, (width + 2 * padding - kernel) // stride + 1
        bits = 1 if layer["op"] == "bconv2d" else 8
        x = noise(height * width * channels * bits // 8, rng)
        weight = pool[: cout * kernel * kernel * channels * bits // 8]
        arguments = (geometry, x, weight, slope, bias, layer["shift"], bytearray(oh * ow * cout))
        line = {"kernel": layer["op"], "shape": "%dx%dx%d to %dx%dx%d" % (height, width, channels, oh, ow, cout)}
        if bits == 1:
            taps = executed(height, oh, kernel, stride, padding) * executed(width, ow, kernel, stride, padding)
            line["binary_macs"] = taps * channels * cout
            line["padded_macs"] = oh * ow * kernel * kernel * channels * cout
        function = kernels.conv2d if layer["op"] == "conv2d" else kernels.bconv2d
        yield line, lambda f=function, a=arguments: f(*a)
        height, width, channels = oh, ow, cout


def case(kernel, shape, *arguments):
    function = getattr(kernels, kernel)
    return {"kernel": kernel, "shape": shape}, lambda: function(*arguments)


def others(net, rng):
    """The same for the other kernels, as the model and a learner with 16-bit head weights call them."""
    height, width, n = net.latent_shape
    groups, side = net.trainable.geometry[7], 2 * height
    positions, inputs, stream = BATCH * height * width, n // groups, height * width * n
    x, xt = noise(positions * n // 8, rng), bytearray(positions * n // 8)
    kernels.transpose(x, n // 32, xt)
    latent, wide, bits = x[: stream // 8], noise(side * side * n, rng), bytearray(side * side * n // 8)
    yield case("binarize", "%dx%dx%d" % (side, side, n), wide, noise(n, rng), bits)
    pooled = "%dx%dx%d to %dx%dx%d" % (side, side, n, height, width, n)
    for kernel in ("avg_pool", "max_pool"):
        yield case(kernel, pooled, array("H", [side, side, n, 2, 1]), wide, bytearray(stream))
    yield case("add", "%dx%dx%d" % (side, side, n), noise(len(wide), rng), wide)
    y = bytearray(stream)
    yield case("expand", "%dx%dx%d" % (height, width, n), latent, net.expand_value, y)
    layer = net.trainable
    shape = "%dx%dx%d, 1x1, %d groups" % (height, width, n, groups)
    yield case("bconv2d", shape, layer.geometry, latent, net.pack_signs(), layer.slope, layer.bias, layer.shift, y)

    features, e, active = noise(BATCH * n, rng), noise(2 * BATCH * CLASSES, rng), b"\1" * CLASSES
    head, velocity, score = noise(2 * CLASSES * n, rng), bytearray(2 * CLASSES * n), array("i", [0] * CLASSES)
    quantized, shift = noise(CLASSES * n, rng), bytearray(CLASSES)
    shape = "%d classes, %d features" % (CLASSES, n)
    yield case("dense", shape, features[:n], quantized, shift, score)
    yield case("softmax", "%d classes" % CLASSES, score, active, 0, e[: 2 * CLASSES])
    yield case("head_backward", "minibatch of %d, one feature" % BATCH, e, head, 16, 0, bytearray(2 * BATCH))
    hyper = array("b", [16, 10, -4, 3, 0])
    yield case("head_update", "minibatch of %d" % BATCH, e, features, active, head, velocity, hyper, rng)
    yield case("head_quantize", shape, head, 16, 8, quantized, shift)
    yield case("head_sum", "%d features" % n, head[: 2 * n], 16)
    yield case("consolidate", "%d features" % n, bytearray(2 * n), head[: 2 * n], 16, 0, 16384)
    yield case("random", "one draw", rng, 1000)

    yield case("transpose", "%dx%d bits" % (positions, n), x, n // 32, xt)
    g = array("i", [kernels.random(rng, 60000) - 30000 for _ in range(positions)])
    planes, dw = bytearray(4 * positions // 8), array("i", [0] * inputs)
    yield case("quantize_gradient", "%d positions, 4 bits" % positions, g, 4, 1, planes, rng)
    one = "%d positions, %d inputs" % (positions, inputs)
    yield case("dot_planes", one + ", 4 bits", planes, 4, xt[: len(xt) // groups], dw)
    yield case("dot_signs", one, noise(2 * positions, rng), x[: len(x) // groups], array("i", dw))
    row, packed = noise(inputs, rng), bytearray(inputs // 8)
    yield case("update_weights", "%d weights" % inputs, row, dw, 10, -20, packed, rng)
    hyper = array("b", [layer.shift, net.expand_value, 4, 1, 10, -14 - layer.shift, 16])
    first = layer.geometry, x, xt, e, head, bytearray(layer.weight), net.pack_signs(), layer.slope, layer.bias, hyper
    scratch = bytearray(4 * (positions + 4 * positions // 32 + inputs + (BATCH + 1) // 2))
    yield case("bconv_backward", "minibatch of %d, 4 bits" % BATCH, *first, scratch, rng)


def gradients(net, repeats, rng):
    """Bit-serial and sign-and-add products of a b-bit gradient and the latents of a minibatch."""
    height, width, channels = net.latent_shape
    positions, groups = BATCH * height * width, net.trainable.geometry[7]
    words, part_words, rows = channels // 32, channels // groups // 32, channels // groups
    x, xt = noise(positions * channels // 8, rng), bytearray(positions * channels // 8)
    # The first group's words of each position, for sign-and-add.
    part, part_t = bytearray(len(x) // groups), memoryview(xt)[: len(xt) // groups]
    for j in range(positions):
        part[4 * part_words * j : 4 * part_words * (j + 1)] = x[4 * words * j : 4 * (words * j + part_words)]
    outs = array("i", [0] * rows), array("i", [0] * rows)
    g = array("i", [kernels.random(rng, 60000) - 30000 for _ in range(positions)])
    for bits in (2, 4, 8, 16):
        planes = array("I", [0] * (bits * positions // 32))
        kernels.quantize_gradient(g, bits, 1, planes, rng)
        q = array("h", [value(planes, bits, positions, j) for j in range(positions)])

        def serial(bits=bits, planes=planes):
            kernels.transpose(x, words, xt)
            for _ in range(channels):
                kernels.dot_planes(planes, bits, part_t, outs[0])

        def signs(q=q):
            for _ in range(channels):
                kernels.dot_signs(q, part, outs[1])

        times = best((serial, signs), repeats)
        if outs[0] != outs[1]:
            raise ValueError("dot_planes and dot_signs differ")
        print(json.dumps({"q_b": bits, "bit_serial_us": times[0], "sign_and_add_us": times[1]}))


def value(planes, bits, positions, j):
    """The number at position j of bit planes."""
    ones = [planes[t * positions // 32 + j // 32] >> (j % 32) & 1 for t in range(bits)]
    return sum([one << t for t, one in enumerate(ones)]) - (ones[-1] << bits)


def backbone(net, rng):
    image, latent, features = noise(net.image_bytes, rng), noise(net.latent_bytes, rng), bytearray(net.features)
    packed = net.pack_signs()
    yield {"kernel": "backbone", "shape": "one image"}, lambda: net.latent(image, latent)
    yield {"kernel": "trained layer", "shape": "one latent"}, lambda: net.features_of(latent, packed, features)


def largest(graph, net):
    """Bytes of the largest weights that pool must offer."""
    channels, most = net.image_shape[2], 9 * net.latent_shape[2] * net.latent_shape[2] // 8
    for layer in graph["layers"]:
        if layer["op"] in ("conv2d", "bconv2d"):
            most = max(most, layer["cout"] * layer["kernel"] ** 2 * channels // (1 if layer["op"] == "conv2d" else 8))
            channels = layer["cout"]
    return most


def measure(cases, repeats):
    for line, function in cases:
        gc.collect()
        line["us"] = best([function], repeats)[0]
        print(json.dumps(line))


def main(config):
    repeats, rng = config["repeats"], array("I", [1])
    net = bitreplay.load(config["model"])
    graph = config["graph"]
    pool = memoryview(noise(largest(graph, net), rng))
    measure(layers(graph, net, rng, pool), repeats)
    measure(sign(net, rng, pool), repeats)
    del pool
    measure(others(net, rng), repeats)
    measure(backbone(net, rng), repeats)
    gradients(net, repeats, rng)


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
