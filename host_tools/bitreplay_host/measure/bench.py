"""Times of the kernels, of inference and of learning: on the unix port, or in cycles of a board's clock."""

from __future__ import annotations

import contextlib
import platform
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import models
from ..device import unix_port
from ..device.board import Board
from ..device.connect import with_model
from ..errors import UserError
from ..tables import table

OTHER_LINES = 30  # of onboard/time_kernels.py, beside those of convolutions
LAYER_LINES = 5  # for each binary one above the latent
TEACH = {"epochs": 4, "classes": 10}
REPLAY, FRESH = (500, 64_000), (100, 12_800)  # latents that are taught, unless they are more bytes
KINDS = "dW", "dX"
RATIOS = "2", "4", "8"  # bits of gradients whose speedup is reported

Run = Callable[[str, dict], Generator[dict, None, None]]


def sizes(net: Any) -> dict[str, int]:
    """The replay memory and the fresh samples of the learners that are timed, as a Pico has room for them."""
    limits = {"replay": REPLAY, "fresh": FRESH}
    return {name: max(1, min(n, size // net.latent_bytes)) for name, (n, size) in limits.items()}


def bench_unix(model: Path, learners: list[dict], micropython: Path, repeats: int = 30) -> dict:
    """Times on MicroPython's unix port, the best of so many; what is written as JSON.

    learners: keyword arguments of those that are timed, with replay, fresh and what is trained.
    """
    with tempfile.TemporaryDirectory() as directory:

        def start(script: str, configuration: dict) -> Generator[dict, None, None]:
            return unix_port.run(script, configuration, micropython, Path(directory))

        lines, taught = measure(start, model, str(model), learners, repeats)
    target = f"MicroPython's unix port on this machine ({processor()}), best of {repeats}; no board"
    return summary(target, None, models.load(model), lines, taught)


def bench_board(
    board: Board, emulated: bool, model: Path, learners: list[dict], repeats: int = 1, cache: bool = False
) -> dict:
    """Cycles on a board, which gets the model unless it has it; what is written as JSON.

    cache: count misses of the flash's cache, too; an emulated board then has that.
    """
    board.need_bitreplay()
    machine = board.machine()
    if cache and not machine.endswith(" with RP2040"):
        raise UserError(f"--flash-cache: {machine} is no RP2040 and has no such counters; leave it out")
    path = with_model(board, model)
    clock = int(board.exec("import machine; print(machine.freq())"))

    def start(script: str, configuration: dict) -> Generator[dict, None, None]:
        board.soft_reset()  # all RAM is free again
        return board.run(script, configuration)

    lines, taught = measure(start, model, path, learners, repeats, cache)
    for one in taught:
        (found,) = start("outside_kernels.py", {"model": path, "learner": one["settings"]})
        one |= found
    modelled = "are as a model has them" if cache else "are not modelled"
    how = f"emulated: misses of the flash's cache {modelled}" if emulated else "measured on it"
    target = f"{machine} at {clock / 1e6:g} MHz, {how}"
    return summary(target, clock, models.load(model), lines, taught)


def measure(
    start: Run, model: Path, path: str, learners: list[dict], repeats: int, cache: bool = False
) -> tuple[list[dict], list[dict]]:
    """Runs onboard/time_kernels.py, and teach_class.py for each learner: the lines of the one, the others' results."""
    net: Any = models.load(model)
    lines: list[dict] = []
    above = len({tuple(layer.geometry) for layer in net.above if layer.op == "bconv2d"})
    total = OTHER_LINES + LAYER_LINES * above + 8 * above
    total += sum(layer.geometry is not None for layer in models.backbone(model))
    configuration = {"model": path, "repeats": repeats, "cache": cache}
    with (
        tqdm(total=total, desc="kernels", unit="", disable=None, leave=False) as bar,
        contextlib.closing(start("time_kernels.py", configuration)) as timed,
    ):
        for line in timed:
            lines.append(line)
            bar.update()
    found = []
    for learner in learners:
        settings = {**learner, "classes": TEACH["classes"]}
        taught: dict = {}
        configuration = {"model": path, "epochs": TEACH["epochs"], "learner": settings}
        with (
            tqdm(total=100, desc="teaching a class", unit="%", disable=None, leave=False) as bar,
            contextlib.closing(start("teach_class.py", configuration)) as lessons,
        ):
            for taught in lessons:
                bar.update(round(100 * taught.get("done", 1)) - bar.n)
        found.append({"settings": settings, **taught})
    return lines, found


def summary(target: str, clock: int | None, net: Any, lines: list[dict], taught: list[dict]) -> dict:
    """What is written: lines and taught are what the scripts of onboard/ print, clock is in Hz or None."""
    kernels = []
    for line in lines:
        if "kernel" in line:
            kernel = {"name": line["kernel"], "shape": line["shape"], "us": line["us"]}
            if clock:
                kernel["cycles"] = round(line["us"] * clock / 1e6)
            if "misses" in line:
                kernel["misses"] = line["misses"]
            if "binary_macs" in line:
                kernel["binary_macs"], kernel["padded_macs"] = line["binary_macs"], line["padded_macs"]
                if clock:
                    kernel["cycles_per_32_macs"] = round(kernel["cycles"] * 32 / kernel["binary_macs"], 2)
            kernels.append(kernel)
    gradients = [line for line in lines if "q_b" in line]
    inference = next(line["us"] for line in kernels if line["name"] == "backbone")
    return {
        "target": target,
        "model": {"name": net.name, "sha256": net.digest},
        "clock_hz": clock,
        "kernels": kernels,
        "inference_ms": inference / 1e3,
        "taught": [lesson(one) for one in taught],
        "gradients": gradients,
        "table_speedup": {
            kind: {bits: speedup(gradients, kind, bits) for bits in RATIOS} for kind in KINDS if gradients
        },
    }


def lesson(taught: dict) -> dict:
    """What is written of a learner that was taught a class."""
    heap = {} if not taught["after"] else {"heap_used": taught["after"]["used"], "heap_free": taught["after"]["free"]}
    return {
        **taught["settings"],
        "epochs": TEACH["epochs"],
        "batch": taught["batch"],
        "image_ms": taught["see_us"] / 1e3 / taught["settings"]["fresh"],
        "minibatch_ms": taught["learn_us"] / 1e3 / taught["minibatches"],
        **({"outside_kernels": taught["outside"]} if "outside" in taught else {}),
        "class_s": (taught["see_us"] + taught["learn_us"]) / 1e6,
        **heap,
        "learner_bytes": taught["memory"]["total"],
    }


def speedup(gradients: list[dict], kind: str, bits: str) -> float:
    """Of products that are looked up in tables, against sign-and-add, over all layers."""
    lines = [line for line in gradients if line["gradient"] == kind and line["q_b"] == int(bits)]
    return round(sum(g["sign_and_add_us"] for g in lines) / sum(g["tables_us"] for g in lines), 2)


def describe(result: dict) -> str:
    """The result as tables."""
    unit, scale = ("cycles", result["clock_hz"] / 1e6) if result["clock_hz"] else ("us", 1.0)
    columns = {"kernel": "name", "shape": "shape", unit: unit}
    if result["clock_hz"]:
        columns["cycles per 32 MACs"] = "cycles_per_32_macs"
    if "misses" in result["kernels"][0]:
        columns["misses"] = "misses"
    text = f"{result['model']['name']} on {result['target']}.\n\n"
    text += table([*columns], [[kernel.get(name, "") for name in columns.values()] for kernel in result["kernels"]])
    layers = [kernel for kernel in result["kernels"] if "binary_macs" in kernel]
    if result["clock_hz"] and layers:
        cycles, macs, padded = (sum(k[name] for k in layers) for name in ("cycles", "binary_macs", "padded_macs"))
        text += f"\n\nbinary convolutions of the backbone: {cycles * 32 / macs:.2f} cycles per 32 MACs of "
        text += f"{macs / 1e6:.1f} M executed, {cycles * 32 / padded:.2f} of {padded / 1e6:.1f} M with padding"
        if "misses" in columns:
            text += f"; {sum(k['misses'] for k in layers)} misses"
    text += f"\n\n{describe_gradients(result, unit, scale)}\ninference: {result['inference_ms']:.1f} ms\n\n"
    first = result["taught"][0]
    text += "A new class, {fresh} images, {replay} replayed, {epochs} epochs:\n\n".format(**first)
    head = ["trained", "minibatch of", "ms", "an image, ms", "the class, s", "learner, bytes", "heap used", "free"]
    text += table(head, [lesson_row(one) for one in result["taught"]])
    shares = [f"{100 * one['outside_kernels']:.1f} %" for one in result["taught"] if "outside_kernels" in one]
    return text + (f"\n\noutside kernels, of the time of epochs: {', '.join(shares)}" if shares else "")


def describe_gradients(result: dict, unit: str, scale: float) -> str:
    """Its products, as a table; or that there are none."""
    if not result["gradients"]:
        return "No binary layer of this model can be trained: gradients are not timed."
    rows = []
    for g in result["gradients"]:
        tables, signs = (g[name] * scale for name in ("tables_us", "sign_and_add_us"))
        times = f"{tables:.0f}", f"{signs:.0f}", f"{signs / tables:.2f}"
        rows.append([g["gradient"], g["shape"], g["q_b"], *times])
    text = "One tap: dW of all output channels for a minibatch, dX of a sample:\n\n"
    text += table(["gradient", "layer", "bits", f"tables {unit}", f"sign-and-add {unit}", "ratio"], rows)
    speedups = ", ".join(f"{kind} {ratios['4']:.2f}" for kind, ratios in result["table_speedup"].items())
    return text + f"\n\nall layers, 4 bits, tables against sign-and-add: {speedups}"


def lesson_row(one: dict) -> list[object]:
    share = "" if one["channels"] == 1 else f", {one['channels']:g} of the channels"
    trained = "head" if one["train"] == "head" else f"head, binary layers: {one['train']}{share}"
    times = one["batch"], one["minibatch_ms"], one["image_ms"], one["class_s"]
    return [trained, *times, one["learner_bytes"], one.get("heap_used", ""), one.get("heap_free", "")]


def processor() -> str:
    """What this machine calls its processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
