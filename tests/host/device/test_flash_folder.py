"""Boards whose files are in /flash, as an STM32's are: / is there, and no filesystem is mounted at it."""

import pytest
from bitreplay_host import cli
from bitreplay_host.device.board import Board
from bitreplay_host.errors import UserError
from serial_line import SerialLine

BLOCKS = 512  # of 512 bytes, in RAM
MOUNT = """
import os, vfs
class Ram:
    def __init__(self, blocks):
        self.data = bytearray(512 * blocks)
    def readblocks(self, block, buffer, offset=0):
        start = 512 * block + offset
        buffer[:] = memoryview(self.data)[start:start + len(buffer)]
    def writeblocks(self, block, buffer, offset=0):
        start = 512 * block + offset
        self.data[start:start + len(buffer)] = buffer
    def ioctl(self, operation, argument):
        return {{4: len(self.data) // 512, 5: 512}}.get(operation, 0)
ram = Ram({blocks})
vfs.{kind}.mkfs(ram)
vfs.umount('/')
vfs.mount(vfs.{kind}(ram), '/flash')
os.chdir({folder!r})
"""
LIST = "import os; print(os.listdir('/'), sorted(os.listdir('/flash')))"


@pytest.fixture
def line(micropython, tmp_path):
    with SerialLine(micropython, tmp_path) as line:
        yield line


def mount(line, kind="VfsLfs2", folder="/flash", blocks=BLOCKS):
    with Board(line.port) as board:
        board.exec(MOUNT.format(kind=kind, blocks=blocks, folder=folder))


def listed(line):
    with Board(line.port) as board:
        return board.exec(LIST)


@pytest.mark.parametrize("kind", ["VfsLfs2", "VfsFat"])
@pytest.mark.parametrize("folder", ["/flash", "/"])
def test_upload(line, small_model, capsys, kind, folder):
    """Also again, and where something else has been made the current folder."""
    mount(line, kind, folder)
    if folder == "/":
        with Board(line.port) as board:
            board.exec("import sys; sys.path[:] = ['', '.frozen', '/rom', '/flash', '/flash/lib']")
    for name in ("small", "small", "other"):
        assert cli.main(["upload", str(small_model), "--name", name, "--port", line.port]) == 0
        out = capsys.readouterr().out
        path, size = f"/flash/{name}.safetensors", small_model.stat().st_size
        assert out.startswith(f"{path}: {size} bytes, verified\n<Network ") and f"bitreplay.load('{path}')" in out
    assert listed(line) == "['flash'] ['other.safetensors', 'small.safetensors']"


def test_what_is_in_the_way_or_too_large_is_told(line, small_model, capsys):
    mount(line, blocks=16)
    with Board(line.port) as board:
        board.exec("open('/flash/me.safetensors', 'w').close()")
    for name, told in (
        ("me", "/flash/me.safetensors is on the board and is not a model"),
        ("you", "/flash/you.safetensors has"),
    ):
        assert cli.main(["upload", str(small_model), "--name", name, "--port", line.port]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
    assert listed(line) == "['flash'] ['me.safetensors']"


@pytest.mark.exhaustive
def test_verify_and_report(line, small_model, capsys, tmp_path):
    """Scripts and what they are given have a folder there, which is gone afterwards."""
    mount(line, blocks=4 * BLOCKS)
    assert cli.main(["verify", "--model", str(small_model), "--repeats", "1", "--port", line.port]) == 0
    assert capsys.readouterr().out.endswith("every bit matches\n")
    assert listed(line) == f"['flash'] ['{small_model.name}']"
    sizes = "--replay", "20", "--fresh", "10", "--classes", "2", "--train", "head"
    assert cli.main(["report", "--model", str(small_model), *sizes, "--port", line.port]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("/flash/")]
    assert int(row[1]) == 4 * BLOCKS * 512 and 0 < int(row[2]) < int(row[1]) - small_model.stat().st_size


def test_a_board_without_a_filesystem(line):
    with Board(line.port) as board:
        board.exec("import vfs; vfs.umount('/')")
        with pytest.raises(UserError, match=f"^{line.port} has no filesystem mounted: mount one in its boot.py$"):
            board.root  # noqa: B018
