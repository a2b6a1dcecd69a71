"""Run an emulated Pico: the firmware image that a board gets, its flash and its serial port, without a board.

Everything that works with a Pico's serial port works with this one: mpremote, a terminal, the other commands. A
command after -- is run with {port} replaced by the port, and its exit status is returned. Otherwise the Pico runs
until Ctrl-C. The instructions and their cycles are those of the chip. Contention for the bus and the second core are
not emulated; the flash's cache is, with --flash-cache.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..device.emulator import EmulatedPico, built_image
from ..errors import UserError

EPILOG = """examples:
  bitreplay emulate                               prints how to connect; Ctrl-C ends it
  bitreplay emulate --flash pico.bin              the file keeps the flash for the next time
  bitreplay emulate --link /tmp/pico              and in another terminal: mpremote connect /tmp/pico
  bitreplay emulate -- mpremote connect {port} run script.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    default = "what `make firmware` built, or what is in the file of --flash"
    parser.add_argument("--image", type=Path, help=f"UF2 file with the firmware (default: {default})")
    parser.add_argument("--flash", type=Path, help="file that keeps the flash; created if it is missing")
    parser.add_argument("--link", type=Path, help="make this a symbolic link to the port")
    parser.add_argument("--flash-cache", action="store_true", help="also emulate the flash's cache, by a model of it")
    parser.add_argument("words", metavar="COMMAND", nargs="*", help="after --: what to run, with {port} in it")


def run(args: argparse.Namespace) -> int:
    image = args.image
    if image is None and not (args.flash and args.flash.exists()):
        image = built_image("name it with --image")
    with EmulatedPico(image, args.flash, cache=args.flash_cache) as pico, _link(args.link, pico.port) as name:
        if args.words:
            return subprocess.call([word.replace("{port}", name) for word in args.words])
        print(f"mpremote connect {name}    or {pico.url}; Ctrl-C ends it", flush=True)
        while True:
            event = pico.wait_for()
            if event["event"] in ("bootsel", "stopped"):
                raise UserError(f"the firmware stopped: {event.get('reason', 'it asked for BOOTSEL mode')}")


@contextlib.contextmanager
def _link(path: Path | None, port: str) -> Iterator[str]:
    """The name to connect to: `path`, made a symbolic link to the port, or the port."""
    if path is None:
        yield port
        return
    if path.is_symlink():
        target = str(path.readlink())
        if re.fullmatch(r"/dev/pts/\d+", target) and (not path.exists() or target == port):
            path.unlink()  # of an emulator that was killed; its port may be ours now
    try:
        path.symlink_to(port)
    except FileExistsError:
        raise UserError(f"--link {path} is there, or in use by another emulator; name another one") from None
    try:
        yield str(path)
    finally:
        if path.is_symlink() and str(path.readlink()) == port:
            path.unlink()
