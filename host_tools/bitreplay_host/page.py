"""The page that teaches in a browser, served on this machine to this machine."""

from __future__ import annotations

import functools
import http.server
from pathlib import Path

from . import paths
from .errors import UserError

HOST = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    # What a system says of these differs, and browsers insist.
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
    }

    def translate_path(self, path):
        # What a board may lack lies beside the page's folder, as in a release.
        found = Path(super().translate_path(path))
        below = found.relative_to(self.directory)
        return str(Path(self.directory).parent / below if below.parts[:1] == ("mip",) else found)

    def end_headers(self):
        self.send_header("Cache-Control", "no-cache")  # after another `make web` the browser asks again
        super().end_headers()

    def log_message(self, format, *args):
        pass


def built() -> Path:
    """The folder that `make web` made. UserError if it is not there."""
    return paths.built("web/index.html", "web").parent


def server(folder: Path, port: int) -> tuple[http.server.ThreadingHTTPServer, str]:
    """A server of a folder, not yet serving, and its address. port: 0 for any that is free."""
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        made = http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}; name another one, or 0 for any that is free") from None
    return made, f"http://{HOST}:{made.server_address[1]}/"
