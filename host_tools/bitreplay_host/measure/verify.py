"""Compare a target with the NumPy reference, bit for bit.

Every kernel gets golden vectors, made by --seed and answered by the reference; then a learner with the model is taught
for a moment here (CPython and NumPy) and there, and its digests are compared after each step. A wrong bit is located:
kernel, call, argument, index. The target is MicroPython's unix port or, with --port, a connected board, which gets the
model unless it has it. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import binascii
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import bitreplay
import numpy as np
from tqdm import tqdm

from . import golden, protocol, unix_port
from .board import Board, add_port
from .errors import UserError
from .target import with_model

IMAGES = 40  # that onboard/training.py shows the learner
CALLS, STATE = "verify.calls", "verify.safetensors"  # files, for a moment, on the target

EPILOG = """examples:
  bitreplay verify                                  the unix port that `make unix` built
  bitreplay verify --seed 7 --repeats 50            more vectors
  bitreplay verify --port auto                      the board on USB
  bitreplay verify --micropython build/unix-asan/micropython
  bitreplay emulate -- bitreplay verify --port {port}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_port(parser, default=None)
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
    with tempfile.TemporaryDirectory() as name, _target(args, Path(name)) as target:
        for line in kernels(target, args.seed, args.repeats):
            print(line)
            differences += 1
        for line in training(target, args.model, args.seed, Path(name)):
            tqdm.write(line)
            differences += 1
    print(f"{differences} difference{'s' * (differences > 1)}" if differences else "every bit matches")
    return 1 if differences else 0


class Target(Protocol):
    """What is compared."""

    def run(self, script: str, configuration: dict) -> Iterator[dict]:
        """Runs a script of onboard/; yields what it prints."""

    def put(self, name: str, content: bytes) -> str:
        """Gives the target a file; returns its path there."""

    def model(self, path: Path) -> str:
        """Gives the target a model; returns its path there."""


class UnixPort:
    """MicroPython here, with a folder for files."""

    def __init__(self, micropython: Path, directory: Path):
        self.micropython, self.directory = micropython, directory

    def run(self, script: str, configuration: dict) -> Iterator[dict]:
        return unix_port.run(script, configuration, self.micropython, self.directory)

    def put(self, name: str, content: bytes) -> str:
        (self.directory / name).write_bytes(content)
        return str(self.directory / name)

    def model(self, path: Path) -> str:
        return str(path)


class OnBoard:
    """A connected board."""

    def __init__(self, board: Board):
        self.board = board

    def run(self, script: str, configuration: dict) -> Iterator[dict]:
        self.board.soft_reset()  # all RAM is free again
        return self.board.run(script, configuration)

    def put(self, name: str, content: bytes) -> str:
        self.board.put(content, f"/{name}", "sending vectors")
        return f"/{name}"

    def model(self, path: Path) -> str:
        return with_model(self.board, path)


@contextlib.contextmanager
def _target(args, directory):
    bitreplay.load(args.model)  # a bad one is told first
    if args.port is None:
        yield UnixPort(args.micropython, directory)
        return
    with Board(args.port) as board:
        if not board.has_bitreplay():
            raise UserError(f"{args.port} has no BitReplay: bitreplay flash, or bitreplay upload --install")
        try:
            yield OnBoard(board)
        finally:
            for name in CALLS, STATE:
                # An error that is on its way is the one to tell.
                with contextlib.suppress(UserError):
                    board.remove(f"/{name}")


def kernels(target: Target, seed: int, repeats: int) -> Iterator[str]:
    """Compares every kernel; prints a line a kernel and yields a line for each call that differs."""
    calls = list(golden.calls(seed, repeats))
    lines = []
    for call in calls:
        arguments = [_base64(a) if isinstance(a, np.ndarray) else a for a in call.arguments.values()]
        lines.append(json.dumps({"kernel": call.kernel, "arguments": arguments}) + "\n")
    replies = target.run("verify.py", {"calls": target.put(CALLS, "".join(lines).encode())})
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
    next(replies, None)  # the script has ended


def _base64(array):
    return binascii.b2a_base64(array.tobytes(), newline=False).decode()


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
        got = np.frombuffer(binascii.a2b_base64(content), expected.dtype)
        for index in np.flatnonzero(got != expected)[:1]:
            return f"argument {name}, index {index}: expected {expected[index]}, got {got[index]}"
    return None


def training(target: Target, model: Path, seed: int, directory: Path) -> Iterator[str]:
    """Teaches a learner here and there; prints a line a step and yields a line for each digest that differs."""

    def configuration(model, state):
        return {"model": model, "seed": seed, "state": state}

    reference = Path(sys.executable)
    here = unix_port.run("training.py", configuration(str(model), str(directory / "here")), reference, directory)
    there = target.run("training.py", configuration(target.model(model), target.put(STATE, b"")))
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
