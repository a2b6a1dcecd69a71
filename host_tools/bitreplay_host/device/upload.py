"""Models onto a connected board: into ROMFS where it has that, else into its files."""

from __future__ import annotations

import hashlib
from binascii import a2b_base64

from ..errors import UserError
from ..paths import SUFFIX
from . import romfs
from .board import SPARE, Board, chunks, literal, progress

PAGE = 256  # bytes of flash that are programmed at once
FREE = b"\xff"  # what flash holds that was erased


def deploy(board: Board, name: str, content: bytes, only: bool = False) -> str:
    """Puts a model on the board, unless it is there; returns its path. only: removes what else is in ROMFS."""
    rom = has_romfs(board)
    path, digest = f"/rom/{name}" if rom else f"/{name}", hashlib.sha256(content).hexdigest()
    if not only and board.size(path) == len(content) and board.sha256(path) == digest:
        return path
    if rom:
        to_romfs(board, name, content, only)
    else:
        to_files(board, path, content)
    if board.sha256(path) != digest:
        raise UserError(f"{path} is not what was sent; upload it again; if that helps not, mistrust the flash")
    return path


def file_name(name: str) -> str:
    """The file's name on the board for what was given."""
    name = name.removesuffix(SUFFIX) + SUFFIX
    if not name.isascii() or not name.isprintable() or "/" in name or len(name) > 64 or name == SUFFIX:
        raise UserError(f"--name {name!r}: must be a file's name of at most 64 ASCII characters without /")
    return name


def to_files(board: Board, path: str, content: bytes) -> None:
    """Writes the model to the board's files."""
    board.remove(f"{path}.new")
    free = board.free_bytes()
    if free < len(content) + SPARE:
        raise UserError(f"{path} has {len(content)} bytes, and only {free} are free on the board; remove files there")
    # Under a name of its own until it is whole.
    board.put(content, f"{path}.new", "writing")
    board.exec(f"import os; os.rename({path + '.new'!r}, {path!r})")


def has_romfs(board: Board) -> bool:
    """Whether there is a ROMFS partition, one that is written block by block; then `dev` is it on the board."""
    code = "import vfs; dev = vfs.rom_ioctl(2, 0) if hasattr(vfs, 'rom_ioctl') else 0; print(hasattr(dev, 'ioctl'))"
    return board.exec(f"try: exec({code!r})\nexcept (ImportError, OSError): print(False)") == "True"


def to_romfs(board: Board, name: str, content: bytes, only: bool) -> None:
    """Writes the model to the ROMFS partition, beside what is there."""
    block, blocks = map(int, board.exec("print(dev.ioctl(5, 0), dev.ioctl(4, 0))").split())
    old = b"" if only else read_romfs(board, block * blocks)
    try:
        kept = [entry for entry in romfs.entries(old) if entry.name != name] if old else []
    except ValueError:
        raise UserError("what is in the ROMFS partition cannot be kept; --only replaces it") from None
    image = romfs.build([*kept, romfs.file_entry(name, content)])
    if len(image) > block * blocks:
        others = ", ".join(f"{entry.name} ({entry.size})" for entry in kept)
        raise UserError(
            f"{name} ({len(content)} bytes) does not fit in the ROMFS partition ({block * blocks} bytes)"
            + (f" beside {others}; --only removes what is there" if kept else "; take a smaller model")
        )
    write_romfs(board, image, old, block)


def read_romfs(board: Board, size: int) -> bytes:
    """The image in the partition, or nothing if there is none."""
    board.exec("from binascii import a2b_base64, b2a_base64; rom = memoryview(dev)")
    length = romfs.image_size(a2b_base64(board.exec("print(b2a_base64(rom[:16]).decode())")))
    if length > size:
        return b""
    image = b""
    with progress("reading what is there", length) as bar:
        while len(image) < length:
            end = min(len(image) + 4096, length)
            image += a2b_base64(board.exec(f"print(b2a_base64(rom[{len(image)}:{end}]).decode())"))
            bar.update(len(image) - bar.n)
    return image


def write_romfs(board: Board, image: bytes, old: bytes, block: int) -> None:
    """Writes an image over the old one, and has it mounted.

    The first block goes first, and its first bytes come last: who loses power meanwhile has no filesystem, not half of
    one.
    """
    board.exec("from binascii import a2b_base64\ntry: vfs.umount('/rom')\nexcept OSError: pass")
    pieces = list(enumerate(chunks(image, block)))
    before = list(chunks(old, block))
    changed = [(n, piece) for n, piece in pieces[1:] if before[n : n + 1] != [piece]]
    first = FREE * len(romfs.MAGIC) + pieces[0][1][len(romfs.MAGIC) :]
    board.exec("dev.ioctl(6, 0)")
    with progress("writing", sum(len(piece) for _, piece in changed) + len(first)) as bar:
        for n, piece in changed:
            # Without an offset the block is erased before.
            board.exec(f"dev.writeblocks({n}, {literal(piece.ljust(block, FREE))})")
            bar.update(len(piece))
        for piece, size in ((first, block), (romfs.MAGIC, PAGE)):
            board.exec(f"dev.writeblocks(0, {literal(piece.ljust(size, FREE))}, 0)")
        bar.update(len(first))
    board.soft_reset()
