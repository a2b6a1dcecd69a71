"""Models onto a connected board: into ROMFS where it has that, else into its files."""

from __future__ import annotations

import hashlib
import json
import sys
from binascii import a2b_base64

from ..errors import UserError
from ..paths import SUFFIX
from . import romfs
from .board import NEW, SPARE, Board, chunks, literal, progress

PAGE = 256  # bytes of flash that are programmed at once
HEADER = 65536  # bytes that a safetensors header has at most
FREE = b"\xff"  # what flash holds that was erased


def deploy(board: Board, name: str, content: bytes, only: bool = False) -> str:
    """Puts a model on the board, unless it is there; returns its path. only: removes what else is in ROMFS."""
    partition = Partition.of(board)
    path, digest = f"/rom/{name}" if partition else board.root + name, hashlib.sha256(content).hexdigest()
    if not only and board.size(path) == len(content) and board.sha256(path) == digest:
        return path
    if partition:
        partition.add(name, content, only)
        if board.sha256(path) != digest:
            raise UserError(
                f"{path} is not what was sent; upload it again; if it fails twice, the board's flash may be worn out"
            )
    else:
        to_files(board, path, content)
    return path


def file_name(name: str) -> str:
    """The file's name on the board for what was given."""
    name = name.removesuffix(SUFFIX) + SUFFIX
    if not name.isascii() or not name.isprintable() or "/" in name or len(name) > 64 or name == SUFFIX:
        raise UserError(f"--name {name!r}: must be a file's name of at most 64 ASCII characters without /")
    return name


def to_files(board: Board, path: str, content: bytes) -> None:
    """Writes the model to the board's files, from where it will be read into RAM."""
    if board.is_folder(path) is not None and not is_model(board, path):
        raise UserError(
            f"{path} is on the board and is not a model of BitReplay: move it, or upload with another --name"
        )
    board.remove(path + NEW)
    ram = int(board.exec("import gc; gc.collect(); print(gc.mem_free())"))
    if len(content) > ram:
        raise UserError(
            f"{path} has {len(content)} bytes: a board without ROMFS holds the model in RAM, where {ram} are free; "
            "take a smaller one (bitreplay models)"
        )
    free = board.free_bytes(board.root)
    if free < len(content) + SPARE:
        raise UserError(f"{path} has {len(content)} bytes, and only {free} are free on the board; remove files there")
    board.replace(content, path, "writing")


def is_model(board: Board, path: str) -> bool:
    """Whether a file or folder on the board has the header of a model (docs/formats.md)."""
    if board.is_folder(path):
        return False
    length = int.from_bytes(board.read(path, 0, 8), "little")
    if not 2 <= length <= HEADER:
        return False
    try:
        header = json.loads(board.read(path, 8, length))
        return header["__metadata__"]["format"] == "bitreplay-model"
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


class Partition:
    """The ROMFS partition of a board, which is written block by block. It holds an image, or none."""

    def __init__(self, board: Board):
        self.board = board
        self.block, self.blocks = map(int, self._exec("print(dev.ioctl(5, 0), dev.ioctl(4, 0))").split())

    @staticmethod
    def of(board: Board) -> Partition | None:
        """That of a board, if it has one."""
        code = "import vfs; print(hasattr(vfs, 'rom_ioctl') and hasattr(vfs.rom_ioctl(2, 0), 'ioctl'))"
        found = board.exec(f"try: exec({code!r})\nexcept (ImportError, OSError): print(False)")
        return Partition(board) if found == "True" else None

    @property
    def size(self) -> int:
        return self.block * self.blocks

    def _exec(self, code):
        """What code prints that knows the partition as `dev`. Every call stands for itself."""
        return self.board.exec(
            f"import vfs\nfrom binascii import a2b_base64, b2a_base64\ndev = vfs.rom_ioctl(2, 0)\n{code}"
        )

    def _read(self, start, end):
        return a2b_base64(self._exec(f"print(b2a_base64(memoryview(dev)[{start}:{end}]).decode())"))

    def _write(self, *arguments):
        self._exec(f"dev.writeblocks({', '.join(arguments)})")

    def add(self, name: str, content: bytes, only: bool) -> None:
        """Writes a file, beside the others that are there or instead of them."""
        old = b"" if only else self.read()
        try:
            kept = [entry for entry in romfs.entries(old) if entry.name != name] if old else []
        except ValueError:
            raise UserError("the ROMFS partition has content that cannot be kept; --only replaces it") from None
        image = romfs.build([*kept, romfs.file_entry(name, content)])
        if len(image) > self.size:
            others = ", ".join(f"{entry.name} ({entry.size})" for entry in kept)
            raise UserError(
                f"{name} ({len(content)} bytes) does not fit in the ROMFS partition ({self.size} bytes)"
                + (f" beside {others}; --only removes them" if kept else "; take a smaller model")
            )
        self.write(image, old)

    def read(self) -> bytes:
        """The image, or nothing if there is none."""
        length = romfs.image_size(self._read(0, 16))
        if length > self.size:
            return b""
        image = b""
        with progress("reading what is there", length) as bar:
            while len(image) < length:
                image += self._read(len(image), min(len(image) + 4096, length))
                bar.update(len(image) - bar.n)
        return image

    def write(self, image: bytes, old: bytes) -> None:
        """Writes an image over the old one, and has it mounted.

        The first block goes first, and its first bytes come last: who loses power meanwhile has no filesystem, not
        half of one.
        """
        self._exec("try: vfs.umount('/rom')\nexcept OSError: pass")
        pieces = list(enumerate(chunks(image, self.block)))
        before = list(chunks(old, self.block))
        changed = [(n, piece) for n, piece in pieces[1:] if before[n : n + 1] != [piece]]
        first = FREE * len(romfs.MAGIC) + pieces[0][1][len(romfs.MAGIC) :]
        self._exec("dev.ioctl(6, 0)")
        try:
            with progress("writing", sum(len(piece) for _, piece in changed) + len(first)) as bar:
                for n, piece in changed:
                    # Without an offset the block is erased before.
                    self._write(str(n), literal(piece.ljust(self.block, FREE)))
                    bar.update(len(piece))
                for piece, size in ((first, self.block), (romfs.MAGIC, PAGE)):
                    self._write("0", literal(piece.ljust(size, FREE)), "0")
                bar.update(len(first))
        except UserError as error:
            raise UserError(f"{error}; /rom is empty now: upload its models again") from None
        except BaseException:
            print("note: /rom is empty now; upload its models again", file=sys.stderr)
            raise
        self.board.soft_reset()
