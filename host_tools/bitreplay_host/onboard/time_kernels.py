# Times kernels at the shapes of a model, on MicroPython.
#
# argument: a JSON file {"model", "graph" (its own), "repeats"}. Prints a line {"kernel", "shape", "us"} for each, the
# best of `repeats` runs, a call's own cost in Python included (0.2 us on a PC, some 20 on a Pico); binary convolutions
# have "binary_macs" too, those executed, as padding is skipped, and "padded_macs". For each q_b a line {"q_b",
# "bit_serial_us", "sign_and_add_us"}: dW of all channels of a tap of the layer above the latent for a minibatch of 32,
# the best of interleaved runs, with the transposition on the bit-serial side.

import gc
import json
import sys
from array import array
from time import ticks_diff, ticks_us

import _bitreplay as kernels
import bitreplay
from kernel_arguments import KERNELS, SIZES, output_side, values

BATCH, CLASSES = 32, 10
TRAINED = 8  # channels of a layer: what is trained of it, and the time of that, grows with them
PERIOD = 4099  # of synthetic data: longer than what a branch predictor learns by heart
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


def case(kernel, text, shape, rng, **given):
    """(line, function) of a kernel. given: settings and buffers by name, of which as much as there is of it is taken.

    Other inputs are noise, and outputs zeros.
    """

    def number(name, low, high):
        return given[name]

    def content(argument):
        size = argument.count * SIZES[argument.typecode]
        if argument.name == "rng":
            return rng
        if argument.name not in given:
            return noise(size, rng) if argument.role == "input" else bytearray(size)
        buffer = given[argument.name]
        return memoryview(buffer)[:size] if type(buffer) is bytearray else buffer

    function, arguments = getattr(kernels, kernel), values(KERNELS[kernel](*shape), number, content)
    return {"kernel": kernel, "shape": text}, lambda: function(*arguments)


def sign(net, rng, pool):
    """(line, function) of bconv2d_sign, as wide as the latent."""
    n, side = net.latent_shape[2], 2 * net.latent_shape[0]
    text = "%dx%dx%d to %dx%dx%d" % (side, side, n, side, side, n)
    threshold, flip = bytearray(2 * n), bytearray(n // 8)
    shape = side, side, n, n, 3, 1, 1, 1
    yield case("bconv2d_sign", text, shape, rng, weight=pool, threshold=threshold, flip=flip)


def layers(graph, net, rng, pool):
    """(line, function) of each convolution of the backbone, on synthetic inputs; weights are taken from pool."""
    height, width, channels = net.image_shape
    for layer in graph["layers"]:
        if layer["op"] == "latent":
            return
        if layer["op"] not in ("conv2d", "bconv2d"):
            continue
        cout, kernel, stride, padding = layer["cout"], layer["kernel"], layer["stride"], layer["padding"]
        oh, ow = [output_side(side, kernel, stride, padding) for side in (height, width)]
        slope, bias = array("h", [1] * (2 * cout)), array("i", [0] * cout)
        shape, text = (
            (height, width, channels, cout, kernel, stride, padding, 1),
            (height, width, channels, oh, ow, cout),
        )
        given = {"weight": pool, "slope": slope, "bias": bias, "shift": layer["shift"]}
        line, function = case(layer["op"], "%dx%dx%d to %dx%dx%d" % text, shape, rng, **given)
        if layer["op"] == "bconv2d":
            taps = executed(height, oh, kernel, stride, padding) * executed(width, ow, kernel, stride, padding)
            line["binary_macs"] = taps * channels * cout
            line["padded_macs"] = oh * ow * kernel * kernel * channels * cout
        yield line, function
        height, width, channels = oh, ow, cout


def trained(graph, net):
    """The shape of the first binary convolution above the latent: kernel_arguments.GEOMETRY; and its text."""
    layers = graph["layers"]
    first = [layer["op"] for layer in layers].index("latent")
    layer = [layer for layer in layers[first:] if layer["op"].startswith("bconv2d")][0]
    height, width, n = net.latent_shape
    kernel, groups = layer["kernel"], layer.get("groups", 1)
    text = "%dx%dx%d, %dx%d, %d groups" % (height, width, n, kernel, kernel, groups)
    return (height, width, n, layer["cout"], kernel, layer["stride"], layer["padding"], groups), text


def stream(net, graph, rng):
    """The same for what is between convolutions, and for a trained layer on one latent."""
    height, width, n = net.latent_shape
    side = 2 * height
    wide = noise(side * side * n, rng)
    for kernel in ("binarize", "near_threshold"):
        yield case(kernel, "%dx%dx%d" % (side, side, n), (side * side, n), rng, x=wide)
    text, shape = "%dx%dx%d to %dx%dx%d" % (side, side, n, height, width, n), (side, side, n, 2, 1)
    for kernel in ("avg_pool", "max_pool"):
        yield case(kernel, text, shape, rng, x=wide)
    yield case("add", "%dx%dx%d" % (side, side, n), (len(wide),), rng, y=wide)
    text = "%dx%dx%d" % (height, width, n)
    yield case("expand", text, (height * width, n), rng)
    yield case("global_avg_pool", text, (height * width, n), rng)
    shape, text = trained(graph, net)
    slope, bias = array("h", [1] * (2 * shape[3])), array("i", [0] * shape[3])
    for kernel in ("bconv2d", "bconv2d_masks"):
        yield case(kernel, text, shape, rng, slope=slope, bias=bias, shift=8)


def head(net, rng):
    """The same for the head, as a learner with 16-bit weights calls it."""
    n = net.latent_shape[2]
    text = "%d classes, %d features" % (CLASSES, n)
    errors, weight, active = noise(2 * BATCH * CLASSES, rng), noise(2 * CLASSES * n, rng), b"\1" * CLASSES
    score = bytearray(4 * CLASSES)
    yield case("dense", text, (n, CLASSES), rng, y=score)
    yield case("softmax", "%d classes" % CLASSES, (CLASSES,), rng, z=score, active=active, label=0)
    text, shape = "minibatch of %d" % BATCH, (BATCH, CLASSES, n, 16)
    yield case("head_backward", "%d classes, %d features" % (CLASSES, n), shape[1:], rng, e=errors, weight=weight)
    given = {"e": errors, "active": active, "weight": weight}
    yield case("head_update", text, shape, rng, mantissa=10, exponent=-4, momentum=3, decay=0, **given)
    text = "%d classes, %d features" % (CLASSES, n)
    yield case("head_quantize", text, (CLASSES, n, 16), rng, weight=weight, q_f=8)
    yield case("head_sum", "%d features" % n, (n, 16), rng, weight=weight)
    yield case("consolidate", "%d features" % n, (n, 16), rng, tw=weight, mean=0, alpha=16384)
    yield case("random", "one draw", (), rng, n=1000)


def training(net, graph, rng):
    """The same for the backward pass of that layer, and of what is between layers."""
    height, width, n = net.latent_shape
    layer, text_of_layer = trained(graph, net)
    inputs, batch = n // layer[7], min(BATCH, 4096 // (height * width))
    positions = batch * height * width
    x, xt = noise(positions * n // 8, rng), bytearray(positions * n // 8)
    yield case("transpose", "%dx%d bits" % (positions, n), (positions, n // 32), rng, x=x, y=xt)
    g = array("i", [kernels.random(rng, 60000) - 30000 for _ in range(positions)])
    planes = bytearray(4 * positions // 8)
    text = "%d positions, 4 bits" % positions
    yield case("quantize_gradient", text, (positions, 4), rng, g=g, stochastic=1, planes=planes)
    text, dw = "%d positions, %d inputs" % (positions, inputs), bytearray(4 * inputs)
    yield case("dot_planes", text + ", 4 bits", (positions // 32, 4, inputs), rng, planes=planes, rows=xt, out=dw)
    yield case("dot_signs", text, (positions, inputs // 32), rng, x=x)
    text, given = "%d weights" % inputs, {"weight": noise(inputs, rng), "dw": dw}
    yield case("update_weights", text, (inputs,), rng, mantissa=10, exponent=-20, **given)

    text, noisy = "%dx%dx%d" % (height, width, n), noise(2 * height * width * n, rng)
    text_of_pool = "%dx%dx%d to %dx%dx%d" % (height, width, n, 2 * height, 2 * width, n)
    yield case("avg_pool_backward", text_of_pool, (2 * height, 2 * width, n, 2, 1), rng)
    yield case("gradient_mask", text, (height * width * n // 32,), rng, g=noisy)
    yield case("gradient_add", text, (height * width * n // 32,), rng, g=noisy, shift_g=0, shift_d=2)
    yield case("expand_backward", text, (height * width, n), rng, shift_g=0, shift_d=2)
    oh, ow = [output_side(side, layer[4], layer[5], layer[6]) for side in (height, width)]
    count, width_of_rows = min(TRAINED, layer[3]), (batch * oh * ow + 31) // 32 * 32
    text = "%dx%dx%d, %d channels" % (oh, ow, layer[3], count)
    yield case("gradient_record", text, (oh * ow, layer[3], count, width_of_rows), rng, first=0)
    yield case("bconv2d_dx", text_of_layer + ", 4 bits", layer + (4,), rng, stochastic=1)
    text = "%s, minibatch of %d, %d channels, 4 bits" % (text_of_layer, batch, count)
    given = {"g": noise(2 * count * width_of_rows, rng), "weight": noise(count * layer[4] ** 2 * inputs, rng)}
    given.update({"stochastic": 1, "mantissa": 10, "exponent": -40, "update": 1})
    yield case("bconv2d_dw", text, layer + (batch, count, 4), rng, x=x, **given)


def gradients(net, graph, repeats, rng):
    """Bit-serial and sign-and-add products of a b-bit gradient and the latents of a minibatch."""
    height, width, channels = net.latent_shape
    positions, groups = min(BATCH, 4096 // (height * width)) * height * width, trained(graph, net)[0][7]
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
    pool = noise(largest(graph, net), rng)
    measure(layers(graph, net, rng, pool), repeats)
    measure(sign(net, rng, pool), repeats)
    del pool
    measure(stream(net, graph, rng), repeats)
    measure(head(net, rng), repeats)
    measure(training(net, graph, rng), repeats)
    measure(backbone(net, rng), repeats)
    gradients(net, graph, repeats, rng)


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
