"""Times of the kernels, of inference and of learning: on the unix port, or in cycles of a board's clock."""

from __future__ import annotations

import contextlib
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from .. import models
from ..device import unix_port
from ..device.board import Board
from ..device.connect import with_model
from ..tables import table

OTHER_LINES = 36  # of onboard/time_kernels.py, beside one for each convolution
TEACH = {"replay": 500, "fresh": 100, "epochs": 4, "classes": 10}
RATIOS = "2", "4", "8"  # bits of gradients whose speedup is reported

Run = Callable[[str, dict], Iterable[dict]]


def bench_unix(model: Path, micropython: Path, repeats: int = 30) -> dict:
    """Times on MicroPython's unix port, the best of so many; what is written as JSON."""
    with tempfile.TemporaryDirectory() as directory:

        def start(script: str, configuration: dict) -> Iterator[dict]:
            return unix_port.run(script, configuration, micropython, Path(directory))

        lines, taught = measure(start, model, str(model), repeats)
    target = f"MicroPython's unix port on this machine ({processor()}), best of {repeats}; no board"
    return summary(target, None, lines, taught)


def bench_board(board: Board, emulated: bool, model: Path, repeats: int = 1) -> dict:
    """Cycles on a board, which gets the model unless it has it; what is written as JSON."""
    board.need_bitreplay()
    path = with_model(board, model)
    clock = int(board.exec("import machine; print(machine.freq())"))

    def start(script: str, configuration: dict) -> Iterator[dict]:
        board.soft_reset()  # all RAM is free again
        return board.run(script, configuration)

    lines, taught = measure(start, model, path, repeats)
    how = "emulated: misses of the flash's cache are not modelled" if emulated else "measured on it"
    return summary(f"{board.machine()} at {clock / 1e6:g} MHz, {how}", clock, lines, taught)


def measure(start: Run, model: Path, path: str, repeats: int) -> tuple[list[dict], dict]:
    """Runs onboard/time_kernels.py and teach_class.py: the lines of the one, and the result of the other."""
    graph, lines = models.graph(model), []
    total = OTHER_LINES + sum(layer["op"] in ("conv2d", "bconv2d") for layer in graph["layers"]) - 1
    configuration = {"model": path, "graph": graph, "repeats": repeats}
    with tqdm(total=total, desc="kernels", unit="", disable=None, leave=False) as bar:
        for line in start("time_kernels.py", configuration):
            lines.append(line)
            bar.update()
    taught: dict = {}
    with tqdm(total=100, desc="teaching a class", unit="%", disable=None, leave=False) as bar:
        for taught in start("teach_class.py", {"model": path, **TEACH}):
            bar.update(round(100 * taught.get("done", 1)) - bar.n)
    return lines, taught


def summary(target: str, clock: int | None, lines: list[dict], taught: dict) -> dict:
    """What is written: lines and taught are what the scripts of onboard/ print, clock is in Hz or None."""
    kernels = []
    for line in lines:
        if "kernel" in line:
            kernel = {"name": line["kernel"], "shape": line["shape"], "us": line["us"]}
            if clock:
                kernel["cycles"] = round(line["us"] * clock / 1e6)
            if "binary_macs" in line:
                kernel["binary_macs"], kernel["padded_macs"] = line["binary_macs"], line["padded_macs"]
                if clock:
                    kernel["cycles_per_32_macs"] = round(kernel["cycles"] * 32 / kernel["binary_macs"], 2)
            kernels.append(kernel)
    gradients = [line for line in lines if "q_b" in line]
    speedup = {str(g["q_b"]): round(g["sign_and_add_us"] / g["bit_serial_us"], 2) for g in gradients}
    inference = next(line["us"] for line in kernels if line["name"] == "backbone")
    heap = {} if not taught["after"] else {"heap_used": taught["after"]["used"], "heap_free": taught["after"]["free"]}
    return {
        "target": target,
        "clock_hz": clock,
        "kernels": kernels,
        "inference_ms": inference / 1e3,
        "train_sample_ms": taught["learn_us"] / 1e3 / taught["samples"],
        "teach_class_s": (taught["see_us"] + taught["learn_us"]) / 1e6,
        **heap,
        "learner_bytes": taught["memory"]["total"],
        "gradients": gradients,
        "bit_serial_speedup": {bits: speedup[bits] for bits in RATIOS},
    }


def describe(result: dict) -> str:
    """The result as tables."""
    unit, scale = ("cycles", result["clock_hz"] / 1e6) if result["clock_hz"] else ("us", 1.0)
    rows = []
    for kernel in result["kernels"]:
        value = kernel["cycles"] if result["clock_hz"] else kernel["us"]
        rows.append([kernel["name"], kernel["shape"], value, kernel.get("cycles_per_32_macs", "")])
    per_word = [unit + " per 32 MACs"] if result["clock_hz"] else []
    text = f"{result['target']}.\n\n"
    text += table(["kernel", "shape", unit, *per_word], [row[: 3 + len(per_word)] for row in rows])
    layers = [kernel for kernel in result["kernels"] if "binary_macs" in kernel]
    if result["clock_hz"] and layers:
        cycles, macs, padded = (sum(k[name] for k in layers) for name in ("cycles", "binary_macs", "padded_macs"))
        text += f"\n\nall binary convolutions: {cycles * 32 / macs:.2f} cycles per 32 MACs of {macs / 1e6:.1f} M "
        text += f"executed, {cycles * 32 / padded:.2f} of {padded / 1e6:.1f} M with padding"
    rows = []
    for g in result["gradients"]:
        serial, signs = (g[name] * scale for name in ("bit_serial_us", "sign_and_add_us"))
        rows.append([f"{g['q_b']} bits", f"{serial:.0f}", f"{signs:.0f}", f"{signs / serial:.2f}"])
    text += "\n\ndW of the trained layer for a minibatch of 32, all output channels:\n\n"
    text += table(["gradient", f"bit-serial {unit}", f"sign-and-add {unit}", "ratio"], rows)
    text += (
        f"\n\ninference: {result['inference_ms']:.1f} ms; a sample learned once: {result['train_sample_ms']:.2f} ms\n"
    )
    text += "a new class, {fresh} images, {replay} replayed, {epochs} epochs: ".format(**TEACH)
    text += f"{result['teach_class_s']:.1f} s"
    if "heap_used" in result:
        used, free = result["heap_used"], result["heap_free"]
        text += f"\nheap after that: {used} bytes used, {free} free; the learner by formula {result['learner_bytes']}"
    return text


def processor() -> str:
    """What this machine calls its processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
