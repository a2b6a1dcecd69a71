"""A board that is the unix port behind a serial line."""

import pytest
from bitreplay_host.device.board import Board
from serial_line import SerialLine


@pytest.fixture
def files(tmp_path):
    """The folder with the board's files."""
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def board(micropython, files, monkeypatch):
    monkeypatch.setattr(Board, "free_bytes", lambda *_: 1 << 20)  # statvfs, which the unix port lacks
    with SerialLine(micropython, files) as line, Board(line.port) as board:
        yield board
