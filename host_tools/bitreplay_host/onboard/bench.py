# Times kernels at the shapes of a model, on MicroPython.
#
# argument: a JSON file {"model", "graph" (its graph), "repeats"}. Prints {"kernel", "shape", "us"} lines, the best of
# `repeats` interleaved runs, and for each q_b {"q_b", "bit_serial_us", "sign_and_add_us"}: dW of all channels of the
# trained layer for a minibatch of 32, with the transposition on the bit-serial side.

import json
import sys
from array import array
from time import ticks_diff, ticks_us

import _bitreplay as kernels
import bitreplay

BATCH = 32


def best(functions, repeats):
    """Microseconds of each function, the best of so many interleaved runs."""
    least = [1 << 29] * len(functions)
    for _ in range(repeats):
        for i in range(len(functions)):
            start = ticks_us()
            functions[i]()
            least[i] = min(least[i], ticks_diff(ticks_us(), start))
    return least


def noise(size, rng):
    data = bytearray(size)
    for i in range(size):
        data[i] = kernels.random(rng, 256)
    return data


def layers(graph, net, rng):
    """(kernel, shape, function) of each convolution of the backbone, on made inputs."""
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
        weight = noise(cout * kernel * kernel * channels * bits // 8, rng)
        arguments = (geometry, x, weight, slope, bias, layer["shift"], bytearray(oh * ow * cout))
        shape = "%dx%dx%d to %dx%dx%d" % (height, width, channels, oh, ow, cout)
        function = kernels.conv2d if layer["op"] == "conv2d" else kernels.bconv2d
        yield layer["op"], shape, lambda f=function, a=arguments: f(*a)
        height, width, channels = oh, ow, cout


def gradients(net, repeats, rng):
    """Bit-serial and sign-and-add products of a b-bit gradient and the latents of a minibatch."""
    height, width, channels = net.latent_shape
    positions, groups = BATCH * height * width, net.tail.geometry[7]
    words, rows = channels // 32, channels // groups
    x, xt = noise(positions * channels // 8, rng), bytearray(positions * channels // 8)
    part, part_t = x[: len(x) // groups], memoryview(xt)[: len(xt) // groups]
    out = array("i", [0] * rows)
    g = array("i", [kernels.random(rng, 60000) - 30000 for _ in range(positions)])
    q = array("h", [kernels.random(rng, 200) - 100 for _ in range(positions)])
    for bits in (2, 4, 8, 16):
        planes = bytearray(bits * positions // 8)
        kernels.quantize_gradient(g, bits, 1, planes, rng)

        def serial(bits=bits, planes=planes):
            kernels.transpose(x, words, xt)
            for _ in range(channels):
                kernels.dot_planes(planes, bits, part_t, out)

        def signs():
            for _ in range(channels):
                kernels.dot_signs(q, part, out)

        times = best((serial, signs), repeats)
        print(json.dumps({"q_b": bits, "bit_serial_us": times[0], "sign_and_add_us": times[1]}))


def main(config):
    repeats, rng = config["repeats"], array("I", [1])
    net = bitreplay.load(config["model"])
    timed = list(layers(config["graph"], net, rng))
    image, latent, features = noise(net.image_bytes, rng), noise(net.latent_bytes, rng), bytearray(net.features)
    packed = net.pack_tail()
    timed.append(("backbone", "one image", lambda: net.latent(image, latent)))
    timed.append(("trained layer", "one latent", lambda: net.features_of(latent, packed, features)))
    for (kernel, shape, _), us in zip(timed, best([function for _, _, function in timed], repeats)):
        print(json.dumps({"kernel": kernel, "shape": shape, "us": us}))
    gradients(net, repeats, rng)
    learner = bitreplay.Learner(net, replay=BATCH, fresh=BATCH, classes=10)
    for i in range(BATCH):
        learner.see_latent(noise(net.latent_bytes, rng), i % 10)
    (us,) = best([lambda: learner.learn(epochs=1, progress=False)], repeats)
    print(json.dumps({"kernel": "learn", "shape": "%d samples, all of it" % BATCH, "us": us}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
