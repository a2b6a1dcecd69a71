"""Put a model, or BitReplay itself, on a connected board.

Where the board has a ROMFS partition, as BitReplay's firmware for the Pico has, the model goes there, to /rom. It is
used in place and takes no RAM. Other models stay, unless one has the same name or --only is given. If writing is
interrupted, /rom is empty until the next upload. On other boards the model becomes a file in / or, if the board has
its files there, in /flash. It is read into RAM to be used. What was written is read back and compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import models, paths
from ..device import install, upload
from ..device.board import Board
from ..errors import UserError
from . import options

EPILOG = """examples:
  bitreplay upload backbone                    a shipped model
  bitreplay upload mine.safetensors --name mine --only
  bitreplay upload backbone --port /dev/ttyACM1
  bitreplay upload --install small             a board with MicroPython's own firmware

To empty the ROMFS partition: mpremote romfs deploy EMPTY_FOLDER
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", nargs="?", type=paths.model, help=options.MODEL)
    options.add_port(parser)
    parser.add_argument("--name", help="the model's name on the board (default: the file's)")
    parser.add_argument("--only", action="store_true", help="remove everything else from the ROMFS partition")
    parser.add_argument(
        "--install", action="store_true", help="first install the package and its native module, in the board's lib"
    )
    parser.add_argument("--packages", type=Path, help="the folder mip of a release (default: what `make mip` left)")


def run(args: argparse.Namespace) -> None:
    if not args.model and not args.install:
        raise UserError("MODEL is missing; `bitreplay models` lists those that come with BitReplay")
    if args.model:
        name = upload.file_name(args.name or args.model.name)
        models.load(args.model)  # a bad one never gets there
        content = args.model.read_bytes()
    with Board(args.port) as board:
        if args.install:
            print(
                install.install(board, args.packages or paths.built("mip", "mip", "name the folder with --packages"))
            )
        if not args.model:
            return
        path = upload.deploy(board, name, content, args.only)
        if board.has_bitreplay():
            found = board.exec(f"import bitreplay; print(bitreplay.load({path!r}))")
        else:
            found = "but MicroPython on this board has no bitreplay: upload --install, or bitreplay flash"
    print(f"{path}: {len(content)} bytes, verified\n{found}\n")
    print(f">>> import bitreplay\n>>> net = bitreplay.load({path!r})\n>>> me = bitreplay.Learner(net, seed=1)")
    print('>>> me.see(image, "mug")    # then me.learn() and me.predict(image)')
