"""Of figures.py, the tables of what was measured on boards, and how its JSON is read."""

import functools
import json
from pathlib import Path

from bitreplay_host.experiments import experiment
from bitreplay_host.measure import bench

MEASURED = Path(__file__).resolve().parent


@functools.cache
def measured(name):
    return json.loads((MEASURED / f"{name}.json").read_text())


def runs(name):
    """What finals() says of the file's runs."""
    return experiment.finals(measured(name)["runs"])


def final(name, method="replay_head", **settings):
    """The one variant of a method, that has these settings."""
    (one,) = [v for v in runs(name) if v["method"] == method and settings.items() <= v.items()]
    return one


def both(one):
    return f"{one['mean']:.2f} ± {one['std']:.2f}"


def deep_pico_table():
    result = measured("pico-deep")
    for one in result["taught"]:
        trained = bench.lesson_row(one)[0]
        times = f"{one['minibatch_ms']:.0f} ms", f"{one['class_s']:.0f} s"
        yield [trained, one["batch"], *times, f"{one['learner_bytes']:,}", f"{one['heap_free']:,}"]


def deep_pico_gradients():
    lines = measured("pico-deep")["gradients"]
    for one in (line for line in lines if line["q_b"] == 4):
        ratio = one["sign_and_add_us"] / one["tables_us"]
        yield [one["gradient"], one["shape"], f"**{ratio:.2f}**"]


def natmod_speed():
    firmware, module = measured("firmware-small"), measured("stock-small")

    def row(what, first, second, form):
        return [what, form(first), form(second), f"{second / first:.2f}"]

    def kernel(name, shape, what):
        kernels = [*firmware["kernels"], *module["kernels"]]
        cycles = [k["cycles"] for k in kernels if (k["name"], k["shape"]) == (name, shape)]
        return row(what, *cycles, "{:,}".format)

    for name, shape in ("bconv2d", "16x16x32 to 16x16x32"), ("bconv2d", "8x8x64 to 8x8x64"):
        yield kernel(name, shape, f"{name} {shape}")
    yield kernel("conv2d", "32x32x3 to 16x16x32", "conv2d 32x32x3 to 16x16x32")
    layer = "2x2x128 to 2x2x128, 1x1, 2 groups"
    yield kernel("bconv2d_dx", f"{layer}, 4 bits", f"bconv2d_dx {layer}, 4 bits")
    dw = f"{layer}, minibatch of 8, 8 channels, 4 bits"
    yield kernel("bconv2d_dw", dw, f"bconv2d_dw {dw}")
    yield kernel("head_update", "minibatch of 32", "head_update, minibatch of 32")
    yield kernel("random", "one draw", "random, one draw: all but a call from Python")
    yield row("an inference", firmware["inference_ms"], module["inference_ms"], "{:.1f} ms".format)
    what = "a class of 50 images, 200 replayed, 4 epochs, with a layer"
    yield row(what, *(deepest(result)["class_s"] for result in (firmware, module)), "{:.1f} s".format)


def pico_targets():
    pico = measured("pico")
    mine, padded = per_word(pico)
    yield (
        "binary convolution <= 11.8 cycles per 32 MACs over the net's layers",
        f"**{mine:.1f}** of the MACs that are executed, {padded:.1f} if padding is counted as it often is",
        "17.8",
    )
    yield "an inference <= 155 ms", f"**{pico['inference_ms']:.1f} ms**", "248 ms"
    what = "a new class of 100 images, 500 replayed, 4 epochs <= 30 s"
    yield what, f"**{deepest(pico)['class_s']:.1f} s**, half of it to see the images", "76.8 s"
    yield "dW of 4 bits >= 6 times as fast as sign-and-add", f"**{ratio(pico, 4):.1f}**", "1.2"
    yield "dW of 8 bits >= 4 times as fast as sign-and-add", f"**{ratio(pico, 8):.1f}**", "0.65"
    yield ">= 24 KB of heap left", f"**{deepest(pico)['heap_free'] / 1024:.0f} KB**", "25 KB"


def deepest(result):
    """The learner of most layers that was taught a class."""
    return result["taught"][-1]


def per_word(result):
    """Cycles per 32 MACs of all binary convolutions, and with padding."""
    layers = [k for k in result["kernels"] if "binary_macs" in k]
    cycles = sum(k["cycles"] for k in layers)
    return [32 * cycles / sum(k[macs] for k in layers) for macs in ("binary_macs", "padded_macs")]


def ratio(result, bits):
    """Of dW, over all layers."""
    lines = [g for g in result["gradients"] if (g["gradient"], g["q_b"]) == ("dW", bits)]
    return sum(g["sign_and_add_us"] for g in lines) / sum(g["tables_us"] for g in lines)


def natmod_memory():
    found = measured("stock-memory")
    for what, key in ("the package imported", "start"), ("with the model", "loaded"), ("with the learner", "made"):
        yield [what, *(f"{found[key][name]:,}" for name in ("used", "free", "block"))]
