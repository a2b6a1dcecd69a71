"""A learner taught on a board: sample by sample, over its serial port. What it learns is compared with what one here
learned, bit for bit."""

from __future__ import annotations

import hashlib
import json
import time

import numpy as np

from ..device.board import SPARE, Board, literal, progress
from ..device.connect import with_model
from ..device.unix_port import ONBOARD
from ..errors import UserError
from .lesson import Lesson, Progress

PIECE = 512  # bytes of a sample in one statement: a board has little RAM left beside a learner
FAILED = "teaching failed on "


class Pupil:
    """A learner on a board that is connected: made first, so that one without room is told before anything long."""

    def __init__(self, board: Board, lesson: Lesson, name: str, images: bool):
        """name: of the file there. images: are shown, instead of latents."""
        board.need_bitreplay()
        self.board, self.lesson, self.path = board, lesson, board.root + name
        self._check_file()
        model = with_model(board, lesson.model)
        if lesson.state and board.size(self.path) is None:
            board.replace(lesson.state.read_bytes(), self.path, "sending the learner")
        board.soft_reset()  # all RAM is free
        board.exec((ONBOARD / "teacher.py").read_text())
        state = self.path if lesson.state else None
        self._run(f"teacher = make({model!r}, {state!r}, {lesson.settings!r}, {lesson.epochs}, {images})")

    def _check_file(self) -> None:
        """UserError if a file there would be lost."""
        there = self.board.size(self.path)
        if there is None:
            return
        copy = self.path.rpartition("/")[2]
        if not self.lesson.state:
            raise UserError(
                f"{self.path} is on the board already: name another with -o, or `mpremote rm :{self.path}`"
            )
        ours = hashlib.sha256(self.lesson.state.read_bytes()).hexdigest()
        if self.board.is_folder(self.path) or self.board.sha256(self.path) != ours:
            raise UserError(
                f"{self.path} on the board is another learner than the one here: get it by "
                f"`mpremote cp :{self.path} {copy}`, or remove it there by `mpremote rm :{self.path}`"
            )

    def _run(self, code: str, learning: Progress | None = None) -> None:
        for line in self.board.lines(code, FAILED):
            if learning and line.startswith("{"):
                learning.epoch(json.loads(line))

    def check_room(self, size: int) -> None:
        """UserError if a state of so many bytes cannot be saved there: beside the old one, until it is whole."""
        free = self.board.free_bytes(self.board.root)
        if free < size + SPARE:
            raise UserError(
                f"the learner has {size} bytes, and only {free} are free in the board's files: remove some, or make "
                "--replay or --fresh smaller"
            )

    def teach(self, kept: np.ndarray) -> float:
        """Shows it all samples, and learns; returns the seconds. kept: images or latents, a row each."""
        start, shown = time.monotonic(), self.lesson.samples(kept)
        self.board.exec("from binascii import a2b_base64")
        total = len(self.lesson.rows)
        with Progress(self.lesson, " on the board") as learning, progress("sending", total, "sample") as bar:
            for sample, label in shown:
                for i in range(0, len(sample), PIECE):
                    piece = sample[i : i + PIECE]
                    self.board.exec(f"teacher.sample[{i}:{i + len(piece)}] = {literal(piece)}")
                self._run(f"teacher.see({label!r})", learning)
                bar.update()
            self._run("teacher.learn()", learning)
        return time.monotonic() - start

    def save(self, expected: bytes) -> None:
        """UserError if the state that the board saves is another one. The learner is gone there; its file stays."""
        self._run(f"teacher.me.save({self.path!r})")
        self.board.exec("import gc; del teacher; gc.collect()")
        if self.board.sha256(self.path) != hashlib.sha256(expected).hexdigest():
            raise UserError(
                f"{self.path} differs from the learner taught here: `bitreplay verify --port` says where and how"
            )
