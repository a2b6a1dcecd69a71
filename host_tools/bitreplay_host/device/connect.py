"""The board that a command works with: one that is connected, or an emulated Pico."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from . import upload
from .board import Board
from .emulator import EmulatedPico


@contextlib.contextmanager
def connected(emulated: bool, port: str | None = None, cache: bool = False) -> Iterator[Board]:
    """An emulated Pico with the firmware that was built, or the board at that port.

    cache: as EmulatedPico takes it; a board has its own.
    """
    if not emulated:
        with Board(port or "auto") as board:
            yield board
        return
    with EmulatedPico(cache=cache) as pico, Board(pico.port) as board:
        yield board


def with_model(board: Board, model: Path) -> str:
    """Puts a model on a board; returns its path there."""
    return upload.deploy(board, upload.file_name(model.name), model.read_bytes())
