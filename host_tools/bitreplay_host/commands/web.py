"""Teach in the browser: serve the page that `make web` built to this machine, and open it.

MicroPython and the learner run in the page; nothing leaves the browser. It saves a state file that boards load.
Any web server can serve the folder build/web (https, for the camera).
"""

from __future__ import annotations

import argparse
import webbrowser

from .. import page
from ..errors import UserError

EPILOG = """examples:
  bitreplay web                     opens the browser; Ctrl-C ends it
  bitreplay web --port 9000 --no-open
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "--port", type=int, default=8000, help="TCP port, 0 for any that is free (default: %(default)s)"
    )
    parser.add_argument("--no-open", action="store_true", help="print the address only")


def run(args: argparse.Namespace) -> None:
    if not 0 <= args.port <= 65535:
        raise UserError("--port must be 0..65535")
    server, address = page.server(page.built(), args.port)
    with server:
        print(f"{address}    Ctrl-C ends it", flush=True)
        if not args.no_open:
            webbrowser.open(address)
        server.serve_forever()
