"""A target compared with the NumPy reference, bit for bit.

Every kernel gets golden vectors, answered by the reference; then learners are taught for a moment here (CPython and
NumPy) and there, and their digests are compared after each step: one with the model, and with a small synthetic one
those that train the head, all layers, and a quarter of their channels. A wrong bit is located: kernel, call, argument,
index.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..device import unix_port
from ..device.board import VERIFY, Board
from ..device.connect import with_model
from ..errors import ScriptError, UserError
from . import deep, golden

IMAGES = 40  # that onboard/train_digests.py shows the learner
CALLS, STATE, DEEP = VERIFY  # files, for a moment, of the target
DEEP_TRAININGS: dict[str, dict] = {  # with a rate at which signs flip
    "head": {"train": "head"},
    "all layers": {"train": "all", "conv_rate": 0.05},
    "a quarter": {"train": "all", "channels": 0.25, "conv_rate": 0.05},
}


def verify(target: Target, model: Path, learner: dict, seed: int, repeats: int, directory: Path) -> int:
    """Compares every kernel and some trainings; prints a line for each, and for each difference. Returns how many.

    learner: what is trained of the model, keyword arguments of Learner. seed: 1..2^32-1. repeats: calls of each
    kernel, at least 1. directory: for files, for a moment.
    """
    differences = 0
    for found in (kernels(target, seed, repeats), trainings(target, model, learner, seed, directory)):
        with contextlib.closing(found):
            for line in found:
                tqdm.write(line)
                differences += 1
    return differences


def trainings(target: Target, model: Path, learner: dict, seed: int, directory: Path) -> Generator[str, None, None]:
    """Compares a training of the model, and those of the synthetic one."""
    yield from training(model.stem, target, (str(model), target.model(model)), learner, seed, directory)
    here = directory / "deep.safetensors"
    deep.write(str(here))
    paths = str(here), target.put(DEEP, here.read_bytes())
    for name, settings in DEEP_TRAININGS.items():
        yield from training(name, target, paths, settings, seed, directory)


class Target(ABC):
    """What is compared."""

    @abstractmethod
    def run(self, script: str, configuration: dict) -> Generator[dict, None, None]:
        """Runs a script of onboard/; yields what it prints."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> str:
        """Gives the target a file; returns its path there."""

    @abstractmethod
    def model(self, path: Path) -> str:
        """Gives the target a model; returns its path there."""


class UnixPort(Target):
    """MicroPython here, with a folder for files."""

    def __init__(self, micropython: Path, directory: Path):
        self.micropython, self.directory = micropython, directory

    def run(self, script: str, configuration: dict) -> Generator[dict, None, None]:
        return unix_port.run(script, configuration, self.micropython, self.directory)

    def put(self, name: str, content: bytes) -> str:
        (self.directory / name).write_bytes(content)
        return str(self.directory / name)

    def model(self, path: Path) -> str:
        return str(path)


class OnBoard(Target):
    """A connected board."""

    def __init__(self, board: Board):
        self.board = board

    def run(self, script: str, configuration: dict) -> Generator[dict, None, None]:
        self.board.soft_reset()  # all RAM is free again
        return self.board.run(script, configuration)

    def put(self, name: str, content: bytes) -> str:
        return self.board.put_aside(content, name, "sending vectors")

    def model(self, path: Path) -> str:
        return with_model(self.board, path)


@contextlib.contextmanager
def on_board(port: str) -> Iterator[OnBoard]:
    """The board at a port; what it was given is gone afterwards, but for the model."""
    with Board(port) as board:
        board.need_bitreplay()
        yield OnBoard(board)


def kernels(target: Target, seed: int, repeats: int) -> Generator[str, None, None]:
    """Compares every kernel; prints a line a kernel and yields a line for each call that differs."""
    calls = list(golden.calls(seed, repeats))
    lines = []
    for call in calls:
        arguments = [_base64(a) if isinstance(a, np.ndarray) else a for a in call.arguments.values()]
        lines.append(json.dumps({"kernel": call.kernel, "arguments": arguments}) + "\n")
    content = "".join(lines).encode()
    with contextlib.closing(target.run("run_calls.py", {"calls": target.put(CALLS, content)})) as replies:
        yield from _compared(calls, replies, repeats)


def _compared(calls: list[golden.Call], replies: Iterator[dict], repeats: int) -> Iterator[str]:
    """Prints a line a kernel and yields a line for each call whose reply differs."""
    right = 0
    for number, call in enumerate(calls):
        nth = number % repeats + 1
        try:
            difference = compare(call, next(replies, {"error": "no reply"}))
        except (UserError, ScriptError) as error:
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


def training(
    name: str, target: Target, models: tuple[str, str], learner: dict, seed: int, directory: Path
) -> Iterator[str]:
    """Teaches a learner here and there; prints a line a step and yields a line for each digest that differs.

    models: the model's path here, and there.
    """

    def configuration(model, state):
        return {"model": model, "seed": seed, "state": state, "learner": learner}

    reference = Path(sys.executable)
    ours_run = unix_port.run(
        "train_digests.py", configuration(models[0], str(directory / "here")), reference, directory
    )
    theirs_run = target.run("train_digests.py", configuration(models[1], target.put(STATE, b"")))
    with (
        contextlib.closing(ours_run) as here,
        contextlib.closing(theirs_run) as there,
        tqdm(total=IMAGES, desc="training here and there", unit="image", disable=None, leave=False) as bar,
    ):
        for ours in here:
            try:
                theirs = next(there, {"digest": "nothing"})
            except (UserError, ScriptError) as error:
                yield f"training, {name}: {error}"
                return
            if "seen" in ours:
                bar.update()
                continue
            same, step = ours == theirs, f"{name}, {ours['step']}"
            bar.write(f"training: {step:32} {ours['digest'][:16]:16}  {'ok' if same else 'WRONG'}")
            if not same:
                yield f"training, {step}: expected {ours['digest']}, got {theirs['digest']}"
        next(there, None)  # the script has ended
