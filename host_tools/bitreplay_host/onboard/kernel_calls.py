# Calls of kernels at the shapes of a model, to be timed.
#
# A function for each part of a learner yields (line, function): what is told of a call, and what makes it.

from array import array

import _bitreplay as kernels
import bitreplay
from bitreplay import budget, trainer
from bitreplay.above import Above
from kernel_arguments import KERNELS, SIZES, executed_taps, output_sides, values

# In whose memory they work: time_kernels.py loads it before this is compiled.
NET: bitreplay.Network = None  # type: ignore[assignment]
CLASSES = 10
CHANNELS = 8  # that are trained, where not all are
PERIOD = 4099  # of synthetic data: longer than what a branch predictor learns by heart


def noise(size, rng):
    """Random bytes."""
    return fill(bytearray(size), rng)


def fill(data, rng):
    """The same in this buffer; where there are many, they repeat."""
    size = len(data)
    for i in range(min(size, PERIOD)):
        data[i] = kernels.random(rng, 256)
    for i in range(PERIOD, size, PERIOD):
        data[i : i + PERIOD] = data[: min(PERIOD, size - i)]
    return data


def case(kernel, text, shape, rng, **given):
    """(line, function) of a kernel. given: settings and buffers by name, of which as much as there is of it is taken.

    Other inputs are noise, and settings and outputs zeros.
    """

    def number(name, low, high):
        return given[name]

    def content(argument):
        size = argument.count * SIZES[argument.typecode]
        if argument.name == "rng":
            return rng
        if argument.name not in given:
            # In the network's own memory, as a learner has it: a small heap has no other piece of that size.
            if argument.role == "scratch" and size <= len(NET.scratch[0]):
                return memoryview(NET.scratch[0])[:size]
            return noise(size, rng) if argument.role == "input" else bytearray(size)
        buffer = given[argument.name]
        return memoryview(buffer)[:size] if type(buffer) in (bytearray, memoryview) else buffer

    calls = ((getattr(kernels, kernel), values(KERNELS[kernel](*shape), number, content)),)
    # As a learner calls it, by run: this looks for no room in the heap.
    return {"kernel": kernel, "shape": text}, lambda: kernels.run(calls, (), 1)


def frozen(net):
    """(kernel, geometry, shift) of each convolution of the backbone; a sign has no shift."""
    for kernel, arguments in [(kernels.conv2d, net._first)] + net._calls + [net._last]:
        for name in ("conv2d", "bconv2d", "bconv2d_sign"):
            if kernel is getattr(kernels, name):
                yield name, tuple(arguments[0]), None if name == "bconv2d_sign" else arguments[5]


def describe(geometry):
    """A convolution's shape as text, less its kernel."""
    return "%dx%dx%d to %dx%dx%d" % (geometry[:3] + tuple(output_sides(geometry)) + geometry[3:4])


def sign(net, rng, pool):
    """(line, function) of bconv2d_sign, in the shape of the last bconv2d, if the backbone has only such."""
    names, shapes, _ = zip(*frozen(net))
    if names[-1] == "bconv2d" and "bconv2d_sign" not in names:
        yield convolution("bconv2d_sign", shapes[-1], None, rng, pool)


def layers(net, rng, pool):
    """(line, function) of each convolution of the backbone, on synthetic inputs; weights are taken from pool."""
    for kernel, shape, shift in frozen(net):
        line, function = convolution(kernel, shape, shift, rng, pool)
        if kernel != "conv2d":
            (rows, columns), (oh, ow) = executed_taps(shape), output_sides(shape)
            filter_macs = shape[3] * shape[2] // shape[10]
            line["binary_macs"] = rows * columns * filter_macs
            line["padded_macs"] = oh * ow * shape[4] * shape[5] * filter_macs
        yield line, function


def convolution(kernel, shape, shift, rng, pool):
    """(line, function) of one of the backbone."""
    cout = shape[3]
    given: dict = {"threshold": bytearray(2 * cout), "flip": bytearray(cout // 8)}
    if kernel != "bconv2d_sign":
        given = {"slope": array("h", [1] * (2 * cout)), "bias": array("i", [0] * cout), "shift": shift}
    given["y"] = NET.scratch[0]
    if kernel != "conv2d":
        given["scratch"] = NET.tables.memory  # type: ignore[attr-defined]
    return case(kernel, describe(shape), (shape,), rng, weight=pool, **given)


def convolutions(net):
    """The binary convolutions above the latent, those of one shape once: [(text, layer)]."""
    found = []
    for layer in net.above:
        if layer.op == "bconv2d":
            geometry = layer.geometry
            text = describe(tuple(geometry)) + ", %dx%d" % (geometry[4], geometry[5])
            if geometry[10] > 1:
                text += ", %d groups" % geometry[10]
            if text not in [other for other, _ in found]:
                found.append((text, layer))
    return found


def stream(net, rng):
    """The same for what is between convolutions, forward and backward."""
    height, width, n = net.latent_shape
    wide, text = noise(4 * height * width * n, rng), "%dx%dx%d" % (2 * height, 2 * width, n)
    for kernel in ("binarize", "near_threshold"):
        yield case(kernel, text, (4 * height * width, n), rng, x=wide)
    pooled, shape = "%s to %dx%dx%d" % (text, height, width, n), ((2 * height, 2 * width, n, 2, 2, 1),)
    for kernel in ("avg_pool", "max_pool"):
        yield case(kernel, pooled, shape, rng, x=wide)
    yield case("max_pool_bits", pooled, shape, rng)
    text = "%dx%dx%d" % (height, width, n)
    yield case("expand", text, (height * width, n), rng)
    yield case("global_avg_pool", text, (height * width, n), rng, x=wide)
    g = noise(2 * height * width * n, rng)
    yield case("avg_pool_backward", pooled, shape, rng)
    yield case("gradient_mask", text, (height * width * n // 32,), rng, g=g)
    yield case("gradient_add", text, (height * width, n), rng, g=g, add=1)
    yield case("expand_backward", text, (height * width, n), rng, g=g, add=1)


def head(net, rng):
    """The same for the head, as a learner with 16-bit weights calls it."""
    n = net.features
    text = "%d classes, %d features" % (CLASSES, n)
    errors, weight, active = noise(2 * budget.HEAD_BATCH * CLASSES, rng), noise(2 * CLASSES * n, rng), b"\1" * CLASSES
    score = bytearray(4 * CLASSES)
    yield case("dense", text, (n, CLASSES), rng, y=score)
    yield case("softmax", "%d classes" % CLASSES, (CLASSES,), rng, z=score, active=active, label=0)
    yield case("head_backward", text, (CLASSES, n, 16, 1), rng, e=errors, weight=weight)
    given = {"e": errors, "active": active, "weight": weight, "mantissa": 10, "exponent": -4, "momentum": 3}
    for batch in [budget.HEAD_BATCH] + [trainer.minibatch(layer) for _, layer in convolutions(net)[:1]]:
        shape = batch, CLASSES, n, 16
        yield case("head_update", "minibatch of %d" % batch, shape, rng, decay=0, **given)
    yield case("head_quantize", text, (CLASSES, n, 16), rng, weight=weight, q_f=8)
    yield case("head_begin", text, (CLASSES, n, 16), rng, here=active)
    yield case("head_add", "%d features" % n, (n, 16), rng, weight=weight, factor=1)
    yield case("head_sum", "%d features" % n, (n, 16), rng, weight=weight)
    yield case("consolidate", "%d features" % n, (n, 16), rng, tw=weight, mean=0, alpha=16384)
    rows = fill(memoryview(net.scratch[0])[:8192], rng)  # in its memory, too
    latents = len(rows) // net.latent_bytes
    yield case("nearest", "%d latents" % latents, (net.latent_bytes // 4, latents), rng, rows=rows)
    yield case("random", "one draw", (), rng, n=1000)
    batch, size = budget.HEAD_BATCH, net.latent_bytes
    yield case("draw_balanced", "minibatch of %d" % batch, (600, CLASSES, batch), rng, order=array("H", range(600)))
    yield case("gather_rows", "minibatch of %d" % batch, (batch, latents, 0, size), rng, first=rows)


def parts(net, rng):
    """The same for what gradients of binary layers are made of, at the shape of the first of them, if there is one."""
    found = convolutions(net)
    if not found:
        return
    layer = found[0][1]
    positions, inputs = columns(layer), layer.geometry[2] // layer.geometry[10]
    x, xt = noise(positions * inputs // 8, rng), bytearray(positions * inputs // 8)
    yield case("transpose", "%dx%d bits" % (positions, inputs), (positions, inputs // 32), rng, x=x, y=xt)
    text, dw = "%d positions, %d inputs" % (positions, inputs), bytearray(4 * inputs)
    q = noise(4 * positions, rng)
    yield case(
        "dot_tables", "two rows of " + text, (positions // 32, inputs), rng, q=q, rows=xt, out=bytearray(8 * inputs)
    )
    yield case("dot_signs", text, (positions, inputs // 32), rng, q=q, x=x, out=dw)
    given = {"weight": noise(inputs, rng), "dw": dw}
    yield case("update_weights", "%d weights" % inputs, (inputs,), rng, mantissa=10, exponent=-20, **given)


def columns(layer):
    """Positions of a minibatch at a layer's output."""
    return trainer.columns(trainer.minibatch(layer), layer.shape[0] * layer.shape[1])


def training(net, rng, pool):
    """The same for each binary convolution above the latent, forward and backward; weights are taken from pool."""
    for text, layer in convolutions(net):
        shape, cout = tuple(layer.geometry), layer.geometry[3]
        slope, bias, shift = layer.affine
        given = {"weight": pool, "slope": slope, "bias": bias, "shift": shift}
        yield case("bconv2d", text, (shape,), rng, scratch=NET.tables.memory, **given)  # type: ignore[attr-defined]
        yield case("bconv2d_masks", text, (shape,), rng, **given)
        positions, count = layer.shape[0] * layer.shape[1], min(CHANNELS, cout)
        record = positions, cout, count, columns(layer)
        yield case("gradient_record", "%s, %d channels" % (text, count), record, rng, slope=slope, sample=0)
        yield case("bconv2d_dx", text + ", 4 bits", (shape, 4), rng, weight=pool, slope=slope, shift=8, stochastic=1)
        batch = trainer.minibatch(layer)
        told = "%s, minibatch of %d, %d channels, 4 bits" % (text, batch, count)
        g = noise(2 * count * columns(layer), rng)
        packed = noise(len(memoryview(layer.weight)), rng)
        given = {"slope": slope, "packed": packed, "mantissa": 10, "exponent": -40, "update": 1, "stochastic": 1}
        yield case("bconv2d_dw", told, (shape, batch, count, 4), rng, g=g, **given)


def whole(net, rng):
    """The same for the backbone, and for all that is above it."""
    image, latent, features = noise(net.image_bytes, rng), noise(net.latent_bytes, rng), bytearray(net.features)
    above = Above(net)
    yield {"kernel": "backbone", "shape": "one image"}, lambda: net.latent(image, latent)
    yield {"kernel": "layers above", "shape": "one latent"}, lambda: above.features(latent, features)


def weights(net, rng):
    """Bits for the weights of all layers: the largest of the model's own, which lie in flash, or noise."""
    own = [arguments[2] for kernel, arguments in net._calls if kernel is kernels.bconv2d]
    size = largest(net)
    found = max(own + [b""], key=len)
    return found if len(found) >= size else noise(size, rng)


def largest(net):
    """Bytes of the largest weights that are needed."""
    most = max([len(memoryview(layer.weight)) for _, layer in convolutions(net)] + [0])
    for kernel, shape, _ in frozen(net):
        weights = shape[3] * shape[4] * shape[5] * shape[2]
        most = max(most, weights // (1 if kernel == "conv2d" else 8 * shape[10]))
    return most
