"""Time the kernels, inference and learning: on the unix port, an emulated Pico, or a board that is connected.

On a board, times are given in cycles of its clock. Those of the emulated Pico should be those of the chip for code in
SRAM, as all loops are; misses of the cache in front of its flash are not emulated, so that what runs from flash, which
is MicroPython, is a lower bound. On the unix port times are of this machine and this moment: only ratios from one run
can be compared. A call's own cost in MicroPython is included. `--board instructions` counts the instructions of the
kernels in native modules, for the processors of boards, under QEMU. Writes OUT as JSON and prints tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import bitreplay
from tqdm import tqdm

from . import instructions, protocol, report, unix_port
from .errors import UserError

OTHER_LINES = 27  # of onboard/bench.py, beside one for each convolution
TEACH = {"replay": 500, "fresh": 100, "epochs": 4, "classes": 10}
RATIOS = "2", "4", "8"  # bits of gradients whose speedup is reported

EPILOG = """examples:
  bitreplay bench
  bitreplay bench --repeats 200 --out build/bench/quiet.json
  bitreplay bench --board emulated      some minutes, as a class is taught there; docs/pico.md keeps what it prints
  bitreplay bench --board instructions  after `make natmods`; docs/natmod.md keeps what it prints
  bitreplay bench --port /dev/ttyACM0   a board with BitReplay, to which the model is uploaded
"""

Run = Callable[[str, dict], Iterable[dict]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "--board", choices=["unix", "emulated", "instructions"], help="what to time (default: unix, or that of --port)"
    )
    parser.add_argument("--port", help="time the board there: /dev/ttyACM0, COM3, auto")
    parser.add_argument("--micropython", type=Path, default=protocol.Settings.micropython, help="default: %(default)s")
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, help="of each kernel (default: 30; on a board 1, as all are alike)")
    parser.add_argument("--out", type=Path, help="default: build/bench/unix.json, rp2040.json, ...")


def run(args: argparse.Namespace) -> None:
    if args.repeats is not None and args.repeats < 1:
        raise UserError("--repeats must be at least 1")
    if args.port and args.board:
        raise UserError("--port and --board exclude each other")
    if not bitreplay.load(args.model).tail:
        raise UserError(f"{args.model} has no trainable layer, whose gradients are to be timed; take another model")
    if args.board == "instructions":
        result, name = instructions.bench(args.model, graph_of(args.model)), "instructions.json"
        text = instructions.describe(result)
    else:
        unix = args.board != "emulated" and not args.port
        result = bench_unix(args) if unix else bench_board(args)
        name = "unix.json" if unix else "board.json" if args.port else "rp2040.json"
        text = describe(result)
    out = args.out or Path("build/bench") / name
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(text)
    print(f"\n{out}")


def graph_of(model: Path) -> dict:
    from safetensors import safe_open

    with safe_open(model, "np") as file:
        return json.loads(file.metadata()["graph"])


def bench_unix(args: argparse.Namespace) -> dict:
    machine, repeats = processor(), args.repeats or 30
    with tempfile.TemporaryDirectory() as directory:

        def start(script: str, configuration: dict) -> Iterator[dict]:
            return unix_port.run(script, configuration, args.micropython, Path(directory))

        lines, taught = measure(start, args.model, str(args.model), repeats)
    target = f"MicroPython's unix port on this machine ({machine}), best of {repeats}; no board"
    return summary(target, None, lines, taught)


def bench_board(args: argparse.Namespace) -> dict:
    from . import target

    with target.connected(args.board == "emulated", args.port) as board:
        path = target.with_model(board, args.model)
        clock = int(board.exec("import machine; print(machine.freq())"))
        name = board.exec("import sys; print(sys.implementation._machine)")

        def start(script: str, configuration: dict) -> Iterator[dict]:
            board.soft_reset()  # all RAM is free again
            return board.run(script, configuration)

        lines, taught = measure(start, args.model, path, args.repeats or 1)
    how = "emulated: misses of the flash's cache are not modelled" if args.board else "measured on it"
    return summary(f"{name} at {clock / 1e6:g} MHz, {how}", clock, lines, taught)


def measure(start: Run, model: Path, path: str, repeats: int) -> tuple[list[dict], dict]:
    """Runs onboard/bench.py and teach.py: the lines of the one, and the result of the other."""
    graph, lines = graph_of(model), []
    total = OTHER_LINES + sum(layer["op"] in ("conv2d", "bconv2d") for layer in graph["layers"]) - 1
    configuration = {"model": path, "graph": graph, "repeats": repeats}
    with tqdm(total=total, desc="kernels", unit="", disable=None, leave=False) as bar:
        for line in start("bench.py", configuration):
            lines.append(line)
            bar.update()
    taught: dict = {}
    with tqdm(total=100, desc="teaching a class", unit="%", disable=None, leave=False) as bar:
        for taught in start("teach.py", {"model": path, **TEACH}):
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
    text += report.table(["kernel", "shape", unit, *per_word], [row[: 3 + len(per_word)] for row in rows])
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
    text += report.table(["gradient", f"bit-serial {unit}", f"sign-and-add {unit}", "ratio"], rows)
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
