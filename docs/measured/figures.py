"""The figures that pages repeat of what commands measured: blocks of what was printed, rows of tables, sentences.

write.py writes them into the pages; tests/docs/test_figures.py compares.
"""

import functools
import hashlib
import statistics

import bitreplay
from bitreplay_host import models, paths
from bitreplay_host.experiments import curves, demo
from bitreplay_host.experiments.class_incremental import TITLES
from bitreplay_host.measure import bench, instructions, memory
from draw import WORLDS, study
from on_boards import (
    MEASURED,
    both,
    deep_pico_gradients,
    deep_pico_table,
    deepest,
    final,
    measured,
    natmod_memory,
    natmod_speed,
    pico_targets,
    ratio,
    runs,
)
from targets import depth_targets, gains, spread, verdict

ROOT = MEASURED.parents[1]
RESULTS = "docs/results.md"


def page(name):
    return (ROOT / name).read_text()


@functools.cache
def network(name):
    """A shipped model's: one for all that is told of it."""
    return models.load(paths.model(name))


def title(method):
    return TITLES[method].replace("*", r"\*")


def print_blocks():
    """(page, what a command prints and the page has as a block of code)."""
    yield RESULTS, curves.accuracy_table(measured("demo")["worlds"]["cifar10"]["curves"], range(2, 11))
    yield "README.md", curves.accuracy_table(measured("demo")["worlds"]["quickdraw"]["curves"], range(10, 41, 10))
    yield RESULTS, demo.memory_table(measured("demo")["memory"])
    yield "docs/pico.md", memory.describe(measured("memory"))
    yield "docs/pico.md", bench.describe(measured("pico"))
    yield "docs/natmod.md", instructions.describe(measured("instructions"))


def methods_table():
    return [[title(v["method"]), f"{v['mean']:.2f}", f"{v['std']:.2f}"] for v in runs("methods")]


def replay_table():
    for size in 250, 500, 1000, 2000:
        head = final("replay", replay=size)
        used = {r["memory"]["replay"] for r in measured("replay")["runs"] if r["replay"] == size}
        assert len(used) == 1
        yield [size, f"{used.pop():,}", both(head)]


def head_bits_table():
    yield [8, "16 bits", both(final("methods")), ""]
    yield [8, "32 bits", both(final("head-bits-32")), "`--head-bits 32`"]
    for bits in 4, 2:
        yield [bits, "16 bits", both(final(f"q-f-{bits}")), f"`--q-f {bits}`"]


def float_table():
    yield [title("replay_head"), *(both(final("float32", arithmetic=a)) for a in ("integer", "float32"))]


def two_classes_table():
    return [[title(v["method"]), f"{v['mean']:.2f}"] for v in runs("two-classes")]


def ten_by_ten_table():
    for v in runs("cifar100-10x10"):
        forgetting = "" if v["method"] == "joint" else mean_of("cifar100-10x10", v["method"], "forgetting")
        yield [title(v["method"]), both(v), mean_of("cifar100-10x10", v["method"], "average"), forgetting]


def mean_of(name, method, metric):
    return f"{statistics.mean(r[metric] for r in measured(name)['runs'] if r['method'] == method):.1f}"


def small_table():
    def row(what, method, size, wide):
        small = final("small", method, **({"replay": size} if size else {}))
        return [what, f"{small['mean']:.1f} %", f"{final('methods', method)['mean']:.1f} %" if wide else ""]

    yield row(title("naive"), "naive", None, True)
    yield row(title("cwr"), "cwr", None, True)
    yield row("replay of 200 latents + head", "replay_head", 200, False)
    yield row("replay of 1000 latents + head", "replay_head", 1000, True)
    yield row(title("joint"), "joint", None, True)


def equal_bytes_table():
    sizes = {"replay_head": 65, "replay_int8": 513, "replay_float32": 2049}
    for number in 4100, 16400, 65600, 262400:
        found = [(number // size, final("equal-bytes", m, replay=number // size)) for m, size in sizes.items()]
        yield [f"{number:,}", *(f"{one['mean']:.1f} ± {one['std']:.1f} ({count:,})" for count, one in found)]


def claims():
    """Words of docs/papers.md."""
    means = {m: final("methods", m)["mean"] for m in ("naive", "cwr", "joint")}
    yield rf"naive fine-tuning {means['naive']:.2f} %, CWR\* alone {means['cwr']:.2f} %, joint"
    yield f"joint training of the head {means['joint']:.2f} %"
    eight, four, two, wide = (final(name)["mean"] for name in ("methods", "q-f-4", "q-f-2", "head-bits-32"))
    real = final("float32", arithmetic="float32")["mean"]
    yield f"{eight:.2f}, {four:.2f}, {two:.2f} %; 32 bits: {wide:.2f} %; float32: {real:.2f} %"
    yield f"2 bits cost {eight - two:.1f} points"
    bits = [final("digits-bits", "replay_deep", q_b=q_b)["mean"] for q_b in (4, 16)]
    yield f"{bits[0]:.2f} and {bits[1]:.2f} %; the head alone {final('digits-bytes-head', replay=1016)['mean']:.2f} %"
    three = [final("drawings-float32", "replay_deep", arithmetic=a)["mean"] for a in ("integer", "float32")]
    yield f"integers {three[0]:.2f} %, float32 {three[1]:.2f} %"
    small = [final("equal-bytes", m, replay=n)["mean"] for m, n in (("replay_head", 4036), ("replay_int8", 511))]
    yield f"{small[0]:.1f} % with bits, {small[1]:.1f} % with int8"
    yield f"{small[1] - small[0]:.1f} points lost"
    times = [ratio(measured("pico"), q_b) for q_b in (2, 4)]
    yield f"by tables against sign-and-add, {times[0]:.1f} and {times[1]:.1f} times"
    at = [final("equal-bytes", m, replay=n)["mean"] for m, n in (("replay_head", 252), ("replay_int8", 31))]
    yield f"by {at[0] - at[1]:.1f} points at 16 KB"


TOLD = {  # of the study, by README: images a class, KB
    "fsdd": (100, 128),
    "quickdraw": (80, 256),
    "fashion": (100, 256),
    "cifar10": (500, 512),
    "cifar100": (100, 512),
}
COLUMNS = [  # of the study's tables: (method, train)
    *[("naive", "head"), ("cwr", "head"), ("replay_head", "head"), ("replay_deep", "all")],
    *[("joint", "head"), ("joint", "all"), ("ncm", "head"), ("nearest", "head"), ("slda", "head")],
]


def study_table(dataset):
    found = study(dataset)
    for images, size in sorted(key for key in found if key[1]):
        values = found[images, 0] | found[images, size]
        yield [images, size, *(spread(values[column]) if column in values else "" for column in COLUMNS)]


def depth_table():
    for dataset, (images, size) in TOLD.items():
        name, values = WORLDS[dataset], study(dataset)[images, size]
        head, deep = values["replay_head", "head"], values["replay_deep", "all"]
        _, gain = gains(dataset, images, size)
        yield [name, images, f"{size} KB", spread(head), spread(deep), f"**{gain:+.1f}**"]


def bits_table():
    for bits in 4, 16:
        yield [bits, both(final("digits-bits", "replay_deep", q_b=bits))]


def bytes_table():
    for head, deep in zip(runs("digits-bytes-head"), runs("digits-bytes"), strict=True):
        yield [f"{head['replay']} and {deep['replay']}", both(head), both(deep)]


def peers_table():
    """TinyMaix was measured once: boards/peers/README.md."""
    name, pico = "backbone", measured("pico")
    net, size = network(name), paths.model(name).stat().st_size
    accuracy = (
        f"{final('methods')['mean']:.1f} learned class by class, {final('methods', 'joint')['mean']:.1f} jointly"
    )
    macs = net.binary_macs + net.int8_macs
    cycles = pico["inference_ms"] * pico["clock_hz"] / 1e3
    counted = f"{net.binary_macs / 1e6:.1f} M binary, {net.int8_macs / 1e6:.2f} M int8"
    yield [f"`{name}`", accuracy, f"{size:,}", counted, f"{cycles / 1e6:.1f}", f"{cycles / macs:.2f}"]
    yield ["TinyMaix's int8 net", "58", "not noted", "3.08 M int8", "24.1", "7.8"]


def head_table():
    for name, settings in HEAD.items():
        for size in 500, 1000:
            one = final(name, replay=size)
            before, after, new = one["old_before"], one["old"], one["new"]
            yield [settings, size, f"{before:.1f}", f"{after:.1f}", f"{before - after:.1f}", f"{new:.1f}"]


HEAD = {"head-4": "`--epochs 4`", "head-10": "`--epochs 10`", "head-rate": "`--epochs 4 --rate 0.02`"}
NETS = {  # kinds of nets: what docs/results.md tells of those that were trained once; measured are cycles alone
    "reactnet": (
        "`reactnet`: learned thresholds and slopes (the shipped models' kind)",
        "40,980",
        "**33.73**",
        "28.30",
        "97.6 %",
    ),
    "folded": ("the same, two more epochs with `--folded`", "40,980", "33.51", "", "**100.0 %**"),
    "birealnet": ("`birealnet`: neither", "40,988", "28.41", "21.20", "98.3 %"),
    "quicknet": ("`quicknet`: ReLU, pools of maxima", "40,980", "31.05", "19.95", "81.8 %"),
    "vgg": ("`vgg`: no shortcuts", "38,432", "28.57", "**28.57**", "98.3 %"),
}


def nets_table():
    for name, told in NETS.items():
        timed = measured(f"nets/{name}")
        yield [*told, f"{timed['inference_ms'] * timed['clock_hz'] / 1e9:.2f}"]


TABLES = [
    (RESULTS, depth_targets),
    (RESULTS, head_table),
    (RESULTS, nets_table),
    (RESULTS, peers_table),
    (RESULTS, methods_table),
    (RESULTS, replay_table),
    (RESULTS, head_bits_table),
    (RESULTS, float_table),
    (RESULTS, two_classes_table),
    (RESULTS, ten_by_ten_table),
    ("docs/pico.md", pico_targets),
    ("docs/pico.md", deep_pico_table),
    ("docs/pico.md", deep_pico_gradients),
    ("docs/natmod.md", natmod_speed),
    ("docs/natmod.md", natmod_memory),
    ("README.md", depth_table),
    (RESULTS, bits_table),
    (RESULTS, bytes_table),
    ("models/small.md", small_table),
    ("docs/papers.md", equal_bytes_table),
]

STUDIES = [
    (f"### {title[0].upper()}{title[1:]}", functools.partial(study_table, name)) for name, title in WORLDS.items()
]


def sentences():
    """(page, words of its text that repeat what was measured)."""
    head, cwr, joint = (final("methods", m)["mean"] for m in ("replay_head", "cwr", "joint"))
    pico_page = "docs/pico.md"
    yield (
        RESULTS,
        rf"replay + head >= 8 points above CWR\* alone | {head:.2f} against {cwr:.2f}: **+{head - cwr:.1f}**",
    )
    yield RESULTS, f"within 3 points of joint training | {joint:.2f} - {head:.2f} = **{joint - head:.1f}**"
    yield RESULTS, f">= 64 % in absolute terms | **{head:.1f} %**"
    yield RESULTS, f"joint training of the head on the same images ends at {joint:.1f} %"
    real = final("float32", arithmetic="float32")["mean"]
    yield RESULTS, f"integers within 0.5 points of float32 | {head:.2f} against {real:.2f}: **{real - head:.2f}**"
    pico, board = measured("pico"), measured("demo")["memory"]["board"]
    yield RESULTS, f"on an emulated Pico {ratio(pico, 2):.1f}x and {ratio(pico, 4):.1f}x"
    needed, peak = board["formula"]["total"], board["measured"]["peak"] - board["measured"]["file"]
    yield RESULTS, f"**{needed:,} bytes** by formula"
    yield RESULTS, f"measured {peak:,} with Python's objects"
    yield "README.md", f"with 500 latents and 100 fresh samples, {needed:,}."
    for name, world in measured("demo")["worlds"].items():
        shallow, deep = (world["final_accuracy"][m] for m in ("replay_head", "replay_deep"))
        yield RESULTS, f"| {name} | {shallow:.1f} | {deep:.1f} | {deep - shallow:+.1f} |"
        if name == "cifar10":
            yield "README.md", f'the head ends at {shallow:.1f} % and "deep" at {deep:.1f} %'
    for name, settings in ("digits-small-head", {}), ("digits-small", {"channels": 0.25}):
        method = "replay_head" if not settings else "replay_deep"
        yield "README.md", f"{final(name, method, **settings)['mean']:.1f} %"
    deep = deepest(measured("pico-deep"))
    yield "README.md", f"in {deep['class_s']:.0f} seconds, and {deep['heap_free'] / 1024:.0f} KB of RAM are left"
    ten, all_at_once = (final("cifar100-10x10", m)["mean"] for m in ("replay_head", "joint"))
    yield RESULTS, f"{all_at_once - ten:.1f} points behind joint training of the same layer"
    words = "10x10 CIFAR-100, 2000 latents, within 4 points of joint training"
    yield RESULTS, f"{words} | {all_at_once:.2f} - {ten:.2f} = **{all_at_once - ten:.1f}**"
    lda = statistics.mean(study("cifar10")[500, 0]["slda", "head"])
    yield RESULTS, f">= 66 % and 2 points above streaming LDA | **{head:.1f} %**, LDA {lda:.1f} %"
    yield RESULTS, f"Replay + head ends at {head:.1f}, LDA at {lda:.1f}."
    heads = (final(name, replay=500) for name in ("head-4", "head-10", "head-rate"))
    four, ten, rated = (one["old_before"] - one["old"] for one in heads)
    yield RESULTS, f"for ten new ones, 500 latents | **{four:.2f}** | {verdict(four <= 3)}"
    yield RESULTS, f"{four:.2f} with four epochs, {ten:.2f} with ten, {rated:.2f} with the rate 0.02"
    reservoir = final("reservoir")
    yield RESULTS, f"with 1000 latents ends at {reservoir['mean']:.2f} (std {reservoir['std']:.2f})"
    yield RESULTS, f"1000 latents of 128 bytes ({final_bytes('methods'):,} bytes with their labels)"

    seconds, left = deepest(pico)["class_s"], deepest(pico)["heap_free"] / 1024
    yield "README.md", f"with 500 replayed, in {seconds:.0f} seconds; {left:.0f} KB of RAM are left"
    yield "README.md", f"the same class in {pico['taught'][0]['class_s']:.0f} seconds"
    board = needs("backbone", replay=500, fresh=100)
    whole, own = board["total"], board["total"] - board["activations"]
    yield "docs/learning.md", f"network's activations, by formula | {whole:,} |"
    yield "docs/learning.md", f"subtracts an estimate of Python's objects | {whole:,} |"
    yield "docs/learning.md", f"the network's activations are there already | {own:,} |"
    yield "docs/learning.md", f"{board['activations']:,} and {own:,}; more as measured |"
    yield "README.md", f"classifies an image in {pico['inference_ms']:.0f} ms"
    (draw,) = [k["cycles"] for k in pico["kernels"] if k["name"] == "random"]
    yield pico_page, f"of which MicroPython takes {round(draw, -2):,} cycles (`random`)"
    totals = instructions.describe(measured("instructions")).split()
    totals = dict(zip(totals[-10::2], map(float, totals[-9::2]), strict=True))
    words = f"takes {totals['xtensawin']:.1f} instructions per 32 MACs on Xtensa and {totals['rv32imc']:.1f} on RISC-V"
    yield "docs/natmod.md", f"{totals['rv32imc-zbb']:.1f} with the bit manipulation of RISC-V"
    yield "docs/natmod.md", words
    yield from cards()
    for words in claims():
        yield "docs/papers.md", words


def final_bytes(name):
    (size,) = {r["memory"]["replay"] for r in measured(name)["runs"] if r["method"] == "replay_head"}
    return size


def needs(name, **settings):
    """The bytes of a learner on a shipped model."""
    return bitreplay.Learner(network(name), **settings).memory()


def cards():
    """What the models' cards say of bytes."""

    for name in "backbone", "small", "imu", "speech", "backbone_4x4", "small_8x8":
        content, net = paths.model(name).read_bytes(), network(name)
        yield f"models/{name}.md", f"| sha256 | `{hashlib.sha256(content).hexdigest()}` |"
        yield f"models/{name}.md", f"| file | {len(content):,} bytes"
        yield f"models/{name}.md", f"| binary MACs | {net.binary_macs / 1e6:.1f} M, counting taps in the padding"
        yield f"models/{name}.md", f"`int8` weights ({net.int8_macs / 1e6:.2f} M MACs) |"
        yield f"models/{name}.md", f"| activations | {needs(name)['activations']:,} bytes |"
    layers = [k for k in measured("instructions")["kernels"] if "binary_macs" in k]
    executed = sum(k["layers"] * k["binary_macs"] for k in layers) / 1e6
    yield "models/backbone.md", f"(the kernels skip those: {executed:.1f} M are computed)"
    sizes = [
        needs("small", replay=r, fresh=f, classes=10, train=train)["total"]
        for train in (0, 1)
        for r, f in ((200, 50), (100, 20))
    ]
    text = f"| a learner | {sizes[0]:,} bytes with `replay=200, fresh=50, classes=10`, these activations included; "
    yield "models/small.md", f"{text}{sizes[1]:,} with 100 and 20; {sizes[2]:,} and {sizes[3]:,} with `train=1` |"
    for name in "imu", "speech":
        head, layer = (needs(name, replay=200, fresh=100, classes=10, train=train) for train in (0, 1))
        head, layer = (found["total"] - found["activations"] for found in (head, layer))
        text = f"| a learner | {head:,} bytes more, with 200 latents for replay, 100 fresh samples and 10 classes; "
        yield f"models/{name}.md", f"{text}{layer:,} with `train=1` |"
    for name in "backbone_4x4", "small_8x8":
        sizes = [needs(name, replay=200, fresh=50, classes=10, train=train)["total"] for train in range(4)]
        text = "| a learner | with `replay=200, fresh=50, classes=10`, these activations included: "
        text += f"{sizes[0]:,} bytes that train the head, {sizes[1]:,} with one layer (`train=1`), "
        yield f"models/{name}.md", f"{text}{sizes[2]:,} with 2, {sizes[3]:,} with 3 |"
