"""What each choice of trained layers would take on a board: RAM by the learner's own formula, and time.

Time is that of an emulated Pico, where a file of docs/measured has it for this model and choice, or follows from how
many operations of each kind there are, and cycles of each on its core. For other boards it is scaled by their clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bitreplay import budget, trainer
from bitreplay.graph import count

from .. import paths
from ..onboard import kernel_arguments
from ..tables import table
from . import instructions

LEAST = 0.25  # share of the channels below which fewer layers are the better choice, if more of these can be trained
SPARE = 24 * 1024  # bytes of heap that a program should have beside the learner


@dataclass(frozen=True)
class Board:
    """heap, block: bytes free in all and in one piece before a model is loaded, with BitReplay in the firmware."""

    title: str
    clock: int
    heap: int
    block: int
    source: str


BOARDS = {
    "RPI_PICO": Board("Raspberry Pi Pico", 125_000_000, 213_600, 196_672, "measured, emulated (docs/pico.md)"),
    "RPI_PICO_W": Board("Raspberry Pi Pico W", 125_000_000, 190_000, 176_000, "the least reported of an RP2040"),
    "RPI_PICO2": Board("Raspberry Pi Pico 2", 150_000_000, 483_808, 467_584, "a Pico's and the RAM that it has more"),
    "ESP32": Board("ESP32", 160_000_000, 112_000, 56_000, "reported: 112 to 134 KB in pieces, half taken as one"),
    "ESP32_C3": Board("ESP32-C3", 160_000_000, 200_000, 136_000, "reported: 64 and 136 KB"),
    "ESP32_S3": Board("ESP32-S3 without PSRAM", 240_000_000, 139_000, 139_000, "reported: the largest block"),
    "ESP32_S3_PSRAM": Board("ESP32-S3 with PSRAM", 240_000_000, 8_000_000, 7_900_000, "reported, with 8 MB of PSRAM"),
}

# Bytes of Python's objects beside buffers: of a model, a learner, each layer that it trains (`bitreplay report`).
MODEL_OBJECTS, LEARNER_OBJECTS, LAYER_OBJECTS = 7500, 4500, 500

# Cycles on a Cortex-M0+: of `bitreplay bench` (docs/measured), and 1.38 for each of the instructions that
# `bitreplay bench --board instructions` counts where that is newer.
CYCLES_PER_INSTRUCTION = 1.38
INT8_MAC = 9.0  # of the first layer
OUTPUT, WORD = 112.0, 14.3  # of a binary convolution: each output, and each 32 MACs
OUTPUT_BY_TABLES, WORD_BY_TABLES = 17.0, 11.2  # of one by tables over activations
MASKS = 1.09  # times as many with its masks
BINARIZE, EXPAND, POOL, POOL_BITS = 27.0, 18.0, 44.0, 0.5  # of an element forward
MASK, ADD, POOL_BACK, RECORD = 12.0, 72.0, 60.0, 36.0  # and backward
QUANTIZE, NORMALIZE = 96.0, 38.0  # of an element of a gradient
TABLES, LOOK_UP = 3800.0, 28.0  # of 32 numbers of two rows: their tables, and the products with a row of signs
LANE = 32767  # the largest sum of one of them
DX_SUM, DW_SUM = 11.0, 30.0  # of what a product is added to, and of a weight that moves
TRANSPOSE = 102.0  # of 32 bits
DENSE, SOFTMAX, HEAD_BACK = 13.5, 900.0, 46.0  # of a weight, a class, a weight
HEAD_STEP, HEAD_SAMPLE = 202.0, 14.3  # of a weight, and of that for each sample
CALL = 5000.0  # of a kernel by MicroPython


@dataclass(frozen=True)
class Choice:
    """What a learner would take. train: layers, 0 is the head. seconds: of a class; measured: by a Pico's cycles."""

    train: int
    channels: float
    total: int
    block: int
    free: int
    fits: bool
    minibatch: float
    seconds: float
    measured: bool

    @property
    def roomy(self) -> bool:
        """Whether it leaves a program enough."""
        return self.fits and self.free >= SPARE


def choices(net: Any, backbone: list[Any], board: Board, settings: dict[str, int], epochs: int) -> list[Choice]:
    """All choices, from the head alone up. settings: replay, fresh and classes of a learner."""
    return [choice(net, backbone, board, {**settings, **trained}, epochs) for trained in alternatives(net)]


def alternatives(net: Any) -> list[dict[str, Any]]:
    """What can be trained of a model: arguments of Learner, train as a number."""
    return [{"train": train, "channels": share} for train, share in budget.choices(net)]


def needs(net: Any, settings: dict[str, Any]) -> tuple[int, int]:
    """Bytes of RAM of a learner and the network's scratch, and of the largest buffer."""
    config = settings | budget.BITS
    return budget.memory(net, config)["total"], max(budget.buffers(net, config).values())


def choice(net: Any, backbone: list[Any], board: Board, settings: dict[str, Any], epochs: int) -> Choice:
    """settings: replay, fresh, classes, train and channels of a learner."""
    config = settings | budget.BITS
    (total, block), train = needs(net, settings), config["train"]
    objects = MODEL_OBJECTS + LEARNER_OBJECTS + LAYER_OBJECTS * train
    free = board.heap - total - objects
    found = measured(net, config)
    image, minibatch = found or (image_cycles(backbone), minibatch_cycles(net, config))
    batch = budget.batch(net, config)
    minibatches = epochs * -(-(config["fresh"] + config["replay"]) // batch)
    seconds = (config["fresh"] * image + minibatches * minibatch) / board.clock
    fits = free >= 0 and block <= board.block
    return Choice(train, config["channels"], total, block, free, fits, minibatch / board.clock, seconds, bool(found))


def measured(net: Any, config: dict[str, Any]) -> tuple[float, float] | None:
    """The cycles of an image that is seen and of a minibatch, if a Pico's were measured for this model and choice."""
    train, channels = config["train"], config["channels"]
    for result in results():
        if result["model"]["sha256"] != net.digest:
            continue
        for one in result["taught"]:
            layers = {"head": 0, "all": trainer.most(net)}.get(one["train"], one["train"])
            if one["batch"] != budget.batch(net, config):
                continue
            if (layers, one["channels"]) == (train, channels) or layers == train == 0:
                return tuple(one[name] * result["clock_hz"] / 1e3 for name in ("image_ms", "minibatch_ms"))
    return None


def results() -> Iterator[dict]:
    """What `bitreplay bench --board emulated` wrote to docs/measured, where there is a clone."""
    for path in sorted(paths.clone("docs/measured").glob("pico*.json")) if paths.CLONE else ():
        result = json.loads(path.read_text())
        if "taught" in result and "emulated" in result["target"]:
            yield result


def convolution(geometry: tuple[int, ...]) -> float:
    """Cycles of a binary convolution."""
    height, width = kernel_arguments.output_sides(geometry)
    # As core/bconv2d_tables.c chooses, for the shapes of models.
    by_tables = geometry[2] % (64 * geometry[10]) == 0 and geometry[4] > 1 and width >= 4
    output, word = (OUTPUT_BY_TABLES, WORD_BY_TABLES) if by_tables else (OUTPUT, WORD)
    return output * height * width * geometry[3] + word * instructions.executed_macs(geometry) / 32


def image_cycles(backbone: list[Any]) -> float:
    """Cycles of an image, to its latent."""
    first, *others = backbone
    return INT8_MAC * instructions.executed_macs(tuple(first.geometry)) + sum(map(forward, others))


def minibatch_cycles(net: Any, config: dict[str, Any]) -> float:
    """Cycles of a minibatch of a learner with this config."""
    batch = budget.batch(net, config)
    parts = {part.index: part for part in trainer.parts(net, config, batch)}
    lowest, weights = min(parts, default=len(net.above)), config["classes"] * net.features
    sample = DENSE * weights + SOFTMAX * config["classes"] + CALL * (len(net.above) + 4)
    cycles = weights * (HEAD_STEP + HEAD_SAMPLE * batch)
    if parts:
        sample += HEAD_BACK * weights
    for i, layer in enumerate(net.above):
        sample += forward(layer) * (MASKS if i >= lowest else 1)
        if i >= lowest:
            sample += CALL * 2 + backward(layer)
            if i in parts:
                sample += RECORD * len(parts[i].channels) * parts[i].positions
                cycles += CALL + dw_cycles(parts[i], config["q_b"])
            if i in parts and parts[i].passes:
                sample += dx_cycles(layer, config["q_b"])
    return cycles + batch * sample


def forward(layer: Any) -> float:
    """Cycles of a layer, but the first."""
    if layer.op in ("bconv2d", "bconv2d_sign"):
        return convolution(tuple(layer.geometry))
    each = {"binarize": BINARIZE, "expand": EXPAND, "max_pool_bits": POOL_BITS}.get(layer.op, POOL)
    return each * count(layer.shape_in)


def backward(layer: Any) -> float:
    """Cycles of what passes a gradient on, but for dX."""
    each = {"bconv2d": MASK, "avg_pool": POOL_BACK}.get(layer.op, ADD)
    return each * count(layer.shape if layer.op == "bconv2d" else layer.shape_in)


def products(numbers: int, bits: int, signs: float) -> float:
    """Cycles of two rows of numbers times so many rows of signs: in pairs where their sums fit 16 bits."""
    passes = 1 if numbers * ((1 << (bits - 1)) - 1) <= LANE else 2
    return passes * numbers / 32 * (TABLES + LOOK_UP * signs)


def dx_cycles(layer: Any, bits: int) -> float:
    """Cycles of dX of a sample: for each tap inside the image its products, 32 output channels at a time."""
    inputs, outputs, groups = layer.geometry[2], layer.geometry[3], layer.geometry[10]
    rows, columns = kernel_arguments.executed_taps(layer.geometry)
    transposed = layer.geometry[4] * layer.geometry[5] * outputs * inputs / groups / 32 * TRANSPOSE
    found = products(32, bits, inputs / groups) / 2 + DX_SUM * inputs / groups
    ends = QUANTIZE * count(layer.shape) + NORMALIZE * count(layer.shape_in)
    return transposed + rows * columns * outputs / 32 * found + ends


def dw_cycles(part: Any, bits: int) -> float:
    """Cycles of dW of a minibatch, with the update: for each tap the products of two trained channels at a time."""
    geometry, channels, taps = part.layer.geometry, len(part.channels), part.layer.geometry[4] * part.layer.geometry[5]
    transposed = taps * geometry[2] * part.columns / 32 * TRANSPOSE
    found = channels * taps * products(part.columns, bits, part.fan_in / taps) / 2
    return transposed + found + DW_SUM * channels * part.fan_in + QUANTIZE * channels * part.columns


def recommend(found: list[Choice], longest: float | None = None) -> Choice | None:
    """The most layers of which a quarter of the channels or more can be trained, then the most channels.

    Of what leaves a program enough memory and takes at most so many seconds. If there is no such layer, the most
    layers with a smaller share; the head alone if nothing else is left.
    """
    good = [c for c in found if c.roomy and (longest is None or c.seconds <= longest)]
    return max(good, key=lambda c: (c.channels >= LEAST and c.train > 0, c.train, c.channels), default=None)


def describe(
    net: Any, name: str, settings: dict[str, int], epochs: int, found: list[Choice], best: Choice | None
) -> str:
    """The choices as a table, and the most that fits."""
    board = BOARDS[name]
    text = f"{net.name} on {board.title} ({name}): {board.heap} bytes of heap, {board.block} in one piece, "
    text += f"{board.source}\n{settings['replay']} latents of {net.latent_bytes} bytes to replay, "
    text += f"{settings['fresh']} fresh ones, {settings['classes']} classes, {epochs} epochs\n\n"
    rows = []
    for c in found:
        fits = "yes" if c.roomy else "hardly" if c.fits else "no"
        how = ("measured" if name == "RPI_PICO" else "scaled") if c.measured else "estimated"
        share = f"{c.channels:g}" if c.train else ""
        rows.append(
            [
                label(c.train),
                share,
                c.total,
                c.block,
                c.free,
                fits,
                f"{1e3 * c.minibatch:.0f}",
                f"{c.seconds:.0f}",
                how,
            ]
        )
    head = ["train", "channels", "bytes", "in one piece", "bytes left", "fits", "a minibatch, ms", "a class, s", ""]
    text += table(head, rows) + "\n\n"
    text += f"bytes: the learner's buffers, and {net.scratch_bytes} to run the network; `bitreplay report` has both.\n"
    text += "bytes left: of the heap, without these bytes and Python's objects, which are estimated.\n"
    text += f"fits: hardly, if less than {SPARE} bytes are left. Times: {times(name, found)}\n\n"
    if best is None:
        return text + reason(found)
    text += f"the most that fits: {call(best, settings)}\n"
    return text + DEPTH if best.train else text.rstrip()


DEPTH = 'More layers pay for data unlike the model\'s own, as drawings and sounds; for photographs take train="head".'


def reason(found: list[Choice]) -> str:
    """Why nothing is recommended."""
    if any(c.roomy for c in found):
        return "Nothing of this is quick enough: make --seconds larger, or --replay, --fresh or --epochs smaller."
    why = "leaves a program enough memory" if any(c.fits for c in found) else "fits"
    return f"Nothing of this {why}: make --replay or --fresh smaller, or take another model."


def times(name: str, found: list[Choice]) -> str:
    """Where they come from."""
    pico = (
        "cycles of an emulated Pico" if any(c.measured for c in found) else "operations, and a Pico's cycles of each"
    )
    return pico if name == "RPI_PICO" else f"{pico}, scaled by the clock: an estimate"


def label(train: int) -> str:
    """What Learner takes as `train`."""
    return str(train) if train else "head"


def call(chosen: Choice, settings: dict[str, int]) -> str:
    """How the learner is made."""
    arguments = [f"{name}={value}" for name, value in settings.items()]
    if chosen.train:
        arguments.append(f"train={chosen.train}")
    if chosen.channels != 1:
        arguments.append(f"channels={chosen.channels:g}")
    return f"bitreplay.Learner(net, {', '.join(arguments)})"


def result(
    net: Any, name: str, settings: dict[str, int], epochs: int, found: list[Choice], best: Choice | None
) -> dict:
    """What is written as JSON."""
    lines = [{**vars(c), "train": c.train or "head", "roomy": c.roomy} for c in found]
    return {
        "model": {"name": net.name, "sha256": net.digest},
        "board": {"name": name, **vars(BOARDS[name])},
        "settings": {**settings, "epochs": epochs},
        "choices": lines,
        "recommended": found.index(best) if best else None,
    }
