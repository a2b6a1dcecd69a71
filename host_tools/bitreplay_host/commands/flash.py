"""Put firmware on a Pico or Pico 2, BitReplay's or any other UF2 file; or a firmware.bin on an ESP32, S3 or C3.

A board in BOOTSEL mode is a drive; the firmware is copied to it. If no such drive is mounted, a connected board with
MicroPython is switched to this mode. If the board has no MicroPython, hold its button BOOTSEL while you plug it in.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..device import flash, flash_esp32
from ..errors import UserError
from .options import add_port

EPILOG = """examples:
  bitreplay flash                                   what `make firmware BOARD=...` built for this chip
  bitreplay flash firmware.uf2
  bitreplay flash --drive /media/me/RPI-RP2
  bitreplay flash firmware.bin --port /dev/ttyUSB0

Files on the board stay if its old firmware had them in the same place. BitReplay has them in the last 1024 KB of
a Pico's flash, MicroPython's own firmware in the last 1408 KB: changing the firmware loses them. First copy them:
  mkdir my_files && mpremote cp -r : my_files
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    default = "that which `make firmware` built for the chip"
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help=f"UF2 or .bin (default: {default})")
    add_port(parser)
    parser.add_argument("--drive", type=Path, help="where the board's drive is, or will be, mounted (default: found)")
    parser.add_argument("--erase", action="store_true", help="ESP32: erase the whole flash first, with its files")


def run(args: argparse.Namespace) -> None:
    if args.file and args.file.suffix == ".bin":
        flash_esp32.flash(args.file, args.port, args.erase)
        print("flashed and verified; if the board does not start, press its reset button")
        print("Next: bitreplay upload backbone")
        return
    if args.erase:
        raise UserError("--erase goes with the firmware.bin of an ESP32")
    flash.flash(args.file, args.port, args.drive)
    print("flashed; the board starts. Next: bitreplay upload backbone")
