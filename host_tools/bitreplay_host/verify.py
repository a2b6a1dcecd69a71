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
from tqdm import tqdm

from . import golden, protocol, unix_port
from .errors import UserError

IMAGES = 40  # that onboard/training.py shows the learner

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
    if not (args.repeats >= 1 and 1 <= args.seed < 1 << 32):
        raise UserError("--repeats must be at least 1 and --seed 1..4294967295")
    differences = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for line in kernels(args.micropython, args.seed, args.repeats, directory):
            print(line)
            differences += 1
        for line in training(args.micropython, args.model, args.seed, directory):
            tqdm.write(line)
            differences += 1
    print(f"{differences} difference{'s' * (differences > 1)}" if differences else "every bit matches")
    return 1 if differences else 0


def kernels(micropython: Path, seed: int, repeats: int, directory: Path) -> Iterator[str]:
    """Compares every kernel; prints a line a kernel and yields a line for each call that differs."""
    calls = list(golden.calls(seed, repeats))
    with (directory / "calls").open("w") as file:
        for call in calls:
            arguments = [a.tobytes().hex() if isinstance(a, np.ndarray) else a for a in call.arguments.values()]
            file.write(json.dumps({"kernel": call.kernel, "arguments": arguments}) + "\n")
    replies = unix_port.run("verify.py", {"calls": str(directory / "calls")}, micropython, directory)
    right = 0
    for number, call in enumerate(calls):
        nth = number % repeats + 1
        try:
            difference = compare(call, next(replies, {"error": "no reply"}))
        except UserError as error:
            if number == 0:
                raise
            # It ran until here, so that this call is what ended it.
            yield f"{call.kernel}, call {nth} of {repeats}: {error}"
            return
        if difference:
            yield f"{call.kernel}, call {nth} of {repeats}: {difference}"
        right += difference is None
        if nth == repeats:
            print(f"{call.kernel:18} {repeats} calls  {'ok' if right == repeats else f'{repeats - right} WRONG'}")
            right = 0


def compare(call: golden.Call, reply: dict) -> str | None:
    """Where a reply differs from what the reference wrote and returned, or None."""
    if "error" in reply:
        return reply["error"]
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


def training(micropython: Path, model: Path, seed: int, directory: Path) -> Iterator[str]:
    """Teaches a learner here and there; prints a line a step and yields a line for each digest that differs."""
    here, there = (
        unix_port.run(
            "training.py", {"model": str(model), "seed": seed, "state": str(directory / name)}, python, directory
        )
        for name, python in (("here", Path(sys.executable)), ("there", micropython))
    )
    with tqdm(total=IMAGES, desc="training here and there", unit="image", disable=None, leave=False) as bar:
        for ours in here:
            try:
                theirs = next(there, {"digest": "nothing"})
            except UserError as error:
                yield f"training: {error}"
                return
            if "seen" in ours:
                bar.update()
                continue
            same = ours == theirs
            bar.write(f"training: {ours['step']:20} {ours['digest'][:16]:16}  {'ok' if same else 'WRONG'}")
            if not same:
                yield f"training, {ours['step']}: expected {ours['digest']}, got {theirs['digest']}"
