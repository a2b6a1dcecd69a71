"""Firmware onto an ESP32, ESP32-C3 or ESP32-S3: a firmware.bin, by esptool.

The file is what MicroPython's port makes: boot loader, partition table and firmware in one. Before anything is written
its chip and its partitions are compared with those of the board.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ..errors import UserError
from .board import progress

MAGIC, CHIP_ID = 0xE9, 12  # of an image; where its header has the chip's number
TABLE, TABLE_BYTES = 0x8000, 0xC00  # of the partitions, in the flash
ENTRY, ENTRY_MAGIC = struct.Struct("<2s2BII20s"), b"\xaa\x50"
BAUD = 460800
# By the chip's number: its name, and where its boot loader begins in the flash.
CHIPS = {0: ("ESP32", 0x1000), 5: ("ESP32-C3", 0), 9: ("ESP32-S3", 0)}
PORT_ERRORS = {
    errno.ENOENT: "is not there; `mpremote connect list` lists the ports there are",
    errno.EACCES: "may not be opened by you; on most systems, join the group dialout and log in again",
    errno.EAGAIN: "is in use; close what else has it open",
    errno.EBUSY: "is in use; close what else has it open",
}


@dataclass(frozen=True)
class Image:
    path: Path
    content: bytes
    chip: str
    start: int
    table: list[bytes]

    @property
    def flash_bytes(self) -> int:
        """Of the flash that its partitions need."""
        return max(offset + size for _, _, _, offset, size, _ in map(ENTRY.unpack, self.table))


def read(path: Path) -> Image:
    """A firmware.bin, checked to be one and to be for a chip that is known here."""
    content = path.read_bytes()
    if len(content) < TABLE + TABLE_BYTES or content[0] != MAGIC:
        raise UserError(f"{path} is not a firmware.bin for an ESP32; build or fetch it again")
    (number,) = struct.unpack_from("<H", content, CHIP_ID)
    if number not in CHIPS:
        names = ", ".join(name for name, _ in CHIPS.values())
        raise UserError(f"{path} is for another chip (number {number}) than {names}")
    chip, start = CHIPS[number]
    table = partitions(content[TABLE - start :])
    if not table:
        raise UserError(f"{path} has no partition table where an {chip} has it; take firmware.bin, not a part of it")
    return Image(path, content, chip, start, table)


def partitions(table: bytes) -> list[bytes]:
    """The entries of a partition table; none if it is not one."""
    entries: list[bytes] = []
    while table[:2] == ENTRY_MAGIC and len(table) >= ENTRY.size and len(entries) * ENTRY.size < TABLE_BYTES:
        entries.append(table[: ENTRY.size])
        table = table[ENTRY.size :]
    return entries


def find_port(port: str) -> str:
    """The port itself, or for auto and id:SERIAL the one on USB that is meant."""
    from serial.tools import list_ports

    if port != "auto" and not port.startswith("id:"):
        return port
    found = [p.device for p in list_ports.comports() if p.vid and port in ("auto", f"id:{p.serial_number}")]
    if not found:
        raise UserError("no board found on USB; plug it in, or name its port with --port")
    if len(found) > 1:
        raise UserError(f"more than one board is on USB; name one with --port: {', '.join(found)}")
    return str(found[0])


def flash(path: Path, port: str, erase: bool) -> None:
    """Puts a firmware.bin on the board at a port, as Board takes it. erase: the whole flash first, with its files."""
    image, port = read(path), find_port(port)
    with _telling(port), progress("writing", len(image.content)) as bar:
        write(image, port, erase, bar)


def write(image: Image, port: str, erase: bool, bar: tqdm) -> None:
    """Writes an image to the board at a port; what esptool has no name for is its FatalError."""
    from esptool import FatalError, cmds
    from esptool.logger import EsptoolLogger

    EsptoolLogger().set_logger(_logger(bar))
    with cmds.detect_chip(port) as esp:
        try:
            if image.chip != esp.CHIP_NAME:
                raise UserError(f"{image.path} is for {image.chip}, and the board at {port} has an {esp.CHIP_NAME}")
            esp = cmds.run_stub(esp)
            esp.change_baud(BAUD)
            cmds.attach_flash(esp)
            check_fit(image, port, esp, erase)
            # Afterwards this compares the digest of what is in the flash.
            cmds.write_flash(esp, [(image.start, image.content)], erase_all=erase)
        finally:
            with contextlib.suppress(FatalError, OSError):
                cmds.reset_chip(esp)


def check_fit(image, port, esp, erase):
    """UserError if the flash is too small, or has files that the firmware would not find."""
    from esptool import cmds, util

    size = cmds.detect_flash_size(esp)
    if size and util.flash_size_bytes(size) < image.flash_bytes:
        raise UserError(
            f"{image.path} is for {image.flash_bytes >> 20} MB of flash, and the board at {port} has {size}"
        )
    there = [] if erase else partitions(cmds.read_flash(esp, TABLE, TABLE_BYTES, no_progress=True))
    if there and there != image.table:
        raise UserError(
            f"the board at {port} has its files in other places than {image.path}, and would lose them: copy them "
            "(mkdir my_files && mpremote cp -r : my_files), then repeat this with --erase"
        )


def _logger(bar):
    """What takes esptool's messages: its progress is shown by a bar, and what went wrong it raises."""
    from esptool.logger import TemplateLogger

    class Logger(TemplateLogger):
        def print(self, *args, **kwargs):
            pass

        note = warning = error = stage = set_verbosity = print

        def progress_bar(self, cur_iter, total_iters, prefix="", suffix="", bar_length=30):
            bar.total = total_iters
            bar.update(cur_iter - bar.n)

    return Logger()


@contextlib.contextmanager
def _telling(port: str) -> Iterator[None]:
    """Turns what esptool and pyserial raise into what the user can do."""
    from esptool import FatalError
    from serial import SerialException

    try:
        yield
    except FatalError as error:
        reason = PORT_ERRORS.get(getattr(error.__context__, "errno", None) or 0)
        if reason:
            raise UserError(f"{port} {reason}") from None
        if str(error).startswith("Failed to connect"):
            raise UserError(
                f"no ESP32 answers at {port}; hold its button BOOT, press and release RESET, and repeat this"
            ) from None
        raise UserError(f"{port}: {str(error).splitlines()[0]}") from None
    except SerialException as error:
        raise UserError(
            f"{port}: the connection broke off ({error}); plug the board in again, and repeat this"
        ) from None
