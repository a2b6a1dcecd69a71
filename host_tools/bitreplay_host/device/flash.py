"""Firmware onto an RP2040 or RP2350: a UF2 file, copied to the drive that a board in BOOTSEL mode is.

If no such drive is mounted, a connected board with MicroPython is asked to become one.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .. import paths
from ..errors import UserError
from .board import Board, chunks, progress

BLOCK = 512
STARTS, FLAGS, NUMBER, FAMILY, END = b"UF2\nWQ]\x9e", 8, 20, 28, b"\x30\x6f\xb1\x0a"
HAS_FAMILY = 0x2000
ABSOLUTE = 0xE48BFF57  # the family of a block that some files for the RP2350 begin with
MOUNTS = "/media/*", "/media/*/*", "/run/media/*/*", "/Volumes/*", "/mnt/*"
CHUNK = 32768
DRIVE_SECONDS = 30.0  # until the drive is mounted, or gone


@dataclass(frozen=True)
class Chip:
    name: str
    board: str  # a folder of boards/rp2
    families: tuple[int, ...]
    files_bytes: int  # of the filesystem of BitReplay's firmware


# By the Board-ID of their drives.
CHIPS = {
    "RPI-RP2": Chip("RP2040", "RPI_PICO", (0xE48BFF56,), 1024 * 1024),
    "RP2350": Chip("RP2350", "RPI_PICO2", (0xE48BFF59, 0xE48BFF5A), 2560 * 1024),
}


def flash(path: Path | None, port: str, drive: Path | None) -> None:
    """Puts a UF2 file, or that which was built for the chip, on the board in BOOTSEL mode or at a port."""
    content = read(path) if path else None
    found = find_drive(drive)
    chip = chip_of(found) if found else None
    if found is None or chip is None:
        content = ask_for_drive(port, path, content)
        found = wait_for_drive(drive)
    else:
        content = firmware_for(chip, path, content)
        warn(chip, None)
    copy(content, found)


def read(path: Path) -> bytes:
    """A UF2 file, checked to be whole."""
    content = path.read_bytes()
    numbers: dict[int, list[int]] = {}
    for block in chunks(content, BLOCK):
        if len(block) != BLOCK or not block.startswith(STARTS) or not block.endswith(END):
            raise UserError(f"{path} is not a whole UF2 file; build or fetch it again")
        number, total = struct.unpack_from("<II", block, NUMBER)
        numbers.setdefault(family_of(block), [total]).append(number)
    if not numbers or any(found != list(range(total)) for total, *found in numbers.values()):
        raise UserError(f"{path} is not a whole UF2 file; build or fetch it again")
    return content


def family_of(block: bytes) -> int:
    """Which chips a block is for; 0 if it does not say."""
    return struct.unpack_from("<I", block, FAMILY)[0] if struct.unpack_from("<I", block, FLAGS)[0] & HAS_FAMILY else 0


def firmware_for(chip: Chip, path: Path | None, content: bytes | None) -> bytes:
    """The UF2 file that was read from `path`, or the one that was built for a chip; UserError if it is for another."""
    if path is None or content is None:
        path = paths.built(f"rp2/{chip.board}/firmware.uf2", f"firmware BOARD={chip.board}", "name a UF2 file")
        content = read(path)
    families = {family_of(block) for block in chunks(content, BLOCK)} - {ABSOLUTE}
    if not families <= set(chip.families):
        others = [other.name for other in CHIPS.values() if families & set(other.families)]
        raise UserError(f"{path} is for {' and '.join(others) or 'another chip'}, and the board has an {chip.name}")
    return content


def warn(chip: Chip, files_bytes: int | None) -> None:
    """Says that files may be lost, unless the board has them where BitReplay's firmware has them."""
    if files_bytes != chip.files_bytes:
        place = f"the last {chip.files_bytes // 1024} KB of its flash"
        print(
            f"note: the board's files are lost unless they are in {place}; see bitreplay flash --help", file=sys.stderr
        )


def ask_for_drive(port: str, path: Path | None, content: bytes | None) -> bytes:
    """Has a board that runs MicroPython go to BOOTSEL mode; returns the firmware for it."""
    with contextlib.ExitStack() as stack:
        try:
            board = stack.enter_context(Board(port))
        except UserError as error:
            hint = "to flash a board without MicroPython, hold BOOTSEL while you plug it in"
            raise UserError(f"no drive of a board in BOOTSEL mode is mounted, and {error}; {hint}") from None
        code = "import os; s = os.statvfs(os.getcwd()); print(s[0] * s[2], os.uname().machine)"
        files_bytes, machine = board.exec(code).split(maxsplit=1)
        chip = next((chip for chip in CHIPS.values() if chip.name in machine), None)
        if chip is None:
            raise UserError(f"{port} is a {machine}, neither RP2040 nor RP2350; for an ESP32 name a firmware.bin")
        content = firmware_for(chip, path, content)
        warn(chip, int(files_bytes))
        board.leave("machine.bootloader()")
        return content


def chip_of(drive: Path) -> Chip | None:
    """The chip whose drive this is, if any."""
    try:
        for line in (drive / "INFO_UF2.TXT").read_text().splitlines():
            if line.startswith("Board-ID:"):
                return CHIPS.get(line.partition(":")[2].strip())
    except (OSError, UnicodeDecodeError):
        pass
    return None


def find_drive(named: Path | None) -> Path | None:
    """The drive of a board in BOOTSEL mode: the named one or the only one; None if there is none yet."""
    if named:
        candidates = [named]
    elif os.name == "nt":
        candidates = [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    else:
        candidates = [folder for pattern in MOUNTS for folder in Path("/").glob(pattern[1:])]
    found = [folder for folder in candidates if chip_of(folder)]
    if len(found) > 1:
        raise UserError(f"more than one board is in BOOTSEL mode; name one with --drive: {', '.join(map(str, found))}")
    return found[0] if found else None


def wait_for_drive(named: Path | None) -> Path:
    deadline = time.monotonic() + DRIVE_SECONDS
    while (drive := find_drive(named)) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"the board is in BOOTSEL mode, but {named} has no INFO_UF2.TXT; mount the board's drive there"
                if named
                else "the board is in BOOTSEL mode, but its drive is not mounted; mount it and name it with --drive"
            )
        time.sleep(0.1)
    return drive


def copy(content: bytes, drive: Path) -> None:
    """Copies firmware to a drive and waits until that is gone: the board starts what it was given."""
    sent = 0
    try:
        with progress("writing", len(content)) as bar, open(drive / "firmware.uf2", "wb", buffering=0) as file:
            for chunk in chunks(content, CHUNK):
                sent += file.write(chunk)
                os.fsync(file.fileno())
                bar.update(len(chunk))
    except OSError as error:
        # With the last block the board starts, and the drive is gone before we are told that this was written.
        if sent < len(content):
            raise UserError(
                f"{drive}: {error.strerror}; plug the board in again, BOOTSEL held, and repeat this"
            ) from None
    deadline = time.monotonic() + DRIVE_SECONDS
    while chip_of(drive):
        if time.monotonic() > deadline:
            raise UserError(f"{drive} is still there: the board did not take the firmware; unplug it and try again")
        time.sleep(0.1)
