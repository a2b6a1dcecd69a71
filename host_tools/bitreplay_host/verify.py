"""Compare a target with the NumPy reference, bit for bit.

Every kernel gets golden vectors, made by --seed and answered by the reference; then a learner with the model is taught
for a moment here (CPython and NumPy) and there, and its digests are compared after each step. A wrong bit is located:
kernel, call, argument, index. The target is MicroPython's unix port. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import golden, protocol, unix_port

EPILOG = """examples:
  bitreplay verify                                  the unix port that `make unix` built
  bitreplay verify --seed 7 --repeats 50            more vectors
  bitreplay verify --micropython build/unix-asan/micropython
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--micropython", type=Path, default=protocol.Settings.micropython, help="default: %(default)s")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("models/backbone.safetensors"),
        help="for the training (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the vectors and the training (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=8, help="calls of each kernel (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as directory:
        wrong = [*kernels(args.micropython, args.seed, args.repeats, Path(directory))]
        wrong += training(args.micropython, args.model, args.seed, Path(directory))
    for line in wrong:
        print(line)
    print(f"{len(wrong)} differences" if wrong else "every bit matches")
    return 1 if wrong else 0


def kernels(micropython: Path, seed: int, repeats: int, directory: Path) -> Iterator[str]:
    """Compares every kernel; prints a line a kernel and yields a line for each call that differs."""
    calls = list(golden.calls(seed, repeats))
    with (directory / "calls").open("w") as file:
        for call in calls:
            arguments = [a.tobytes().hex() if isinstance(a, np.ndarray) else a for a in call.arguments.values()]
            file.write(json.dumps({"kernel": call.kernel, "arguments": arguments}) + "\n")
    replies = unix_port.run("verify.py", {"calls": str(directory / "calls")}, micropython, directory)
    counts = dict.fromkeys(golden.KERNELS, 0)
    for number, (call, reply) in enumerate(zip(calls, replies, strict=True)):
        difference = compare(call, reply)
        counts[call.kernel] += difference is None
        if difference:
            yield f"{call.kernel}, call {number % repeats + 1} of {repeats}: {difference}"
        if number % repeats == repeats - 1:
            right = counts[call.kernel]
            print(f"{call.kernel:18} {repeats} calls  {'ok' if right == repeats else f'{repeats - right} WRONG'}")


def compare(call: golden.Call, reply: dict) -> str | None:
    """Where a reply differs from what the reference wrote and returned, or None."""
    if reply["returned"] != call.returned:
        return f"returned {reply['returned']}, expected {call.returned}"
    names = [name for name, argument in call.arguments.items() if isinstance(argument, np.ndarray)]
    for name, content in zip(names, reply["buffers"], strict=True):
        if name not in call.expected:
            continue
        expected = call.expected[name]
        got = np.frombuffer(bytes.fromhex(content), expected.dtype)
        for index in np.flatnonzero(got != expected)[:1]:
            return f"argument {name}, index {index}: expected {expected[index]}, got {got[index]}"
    return None


def training(micropython: Path, model: Path, seed: int, directory: Path) -> list[str]:
    """Teaches a learner here and there; prints a line a step and returns a line for each digest that differs."""
    wrong = []
    steps = [
        unix_port.run(
            "training.py", {"model": str(model), "seed": seed, "state": str(directory / name)}, python, directory
        )
        for name, python in (("here", Path(sys.executable)), ("there", micropython))
    ]
    for here, there in zip(*steps, strict=True):
        same = here == there
        print(f"training: {there['step']:20} {there['digest'][:16]:16}  {'ok' if same else 'WRONG'}")
        if not same:
            wrong.append(f"training, {here['step']}: expected {here['digest']}, got {there['digest']}")
    return wrong
