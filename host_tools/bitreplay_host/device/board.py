"""A connected board with MicroPython, by mpremote's own code."""

from __future__ import annotations

import argparse
import binascii
import contextlib
import functools
import hashlib
import io
import json
import os
import re
import struct
import time
from collections.abc import Generator, Iterable

from tqdm import tqdm

from ..errors import ScriptError, UserError, script_failed
from .unix_port import ONBOARD

FOLDER = ".bitreplay"  # on the board, while it is needed
CONFIGURATION = "configuration.json"
VERIFY = "verify.calls", "verify.safetensors", "verify_model.safetensors"  # what verify has there
NEW = ".bitreplay"  # ends the name of a file that is not whole yet
SPARE = 4096  # bytes that a filesystem needs beside a file
CHUNK = 2048  # bytes of a file that are on their way in one statement
PLUG_SECONDS = 1.0  # until a board that was just plugged in has its port
ANSWER_SECONDS = 5.0  # until a board at its prompt has answered
EXEC_SECONDS = 10.0  # for which a statement may print nothing
RUN_SECONDS = 600.0  # for which a script may print nothing
# Whether a folder, without the / at its end, is of a filesystem: where none is mounted each name is ENODEV.
MOUNTED = """
import os, sys
def mounted(folder):
    try:
        os.stat(folder + '/.bitreplay')
    except OSError as error:
        return error.errno != 19
    return True
"""
# The current folder's filesystem before those of sys.path; /rom cannot be written.
ROOT = """
paths = [os.getcwd()] + [path for path in sys.path if path.startswith('/')]
places = [''] + ['/' + path.split('/')[1] for path in paths if path != '/']
print(*[place + '/' for place in places if place != '/rom' and mounted(place)][:1])
"""

END = b"\x04"  # of what a script prints, and again of its traceback


class _Silence(Exception):
    pass


class Board:
    """A board, connected in the with statement; afterwards it is at its prompt.

    port: as `mpremote connect` takes it. MicroPython starts anew (a soft reset), without main.py. What fails is a
    UserError with what the board said last, or a ScriptError.
    """

    def __init__(self, port: str = "auto"):
        self.port = port
        self._running: object = None  # what runs on the board now
        self._files: list[str] = []  # that are in FOLDER
        self._folder = False  # whether FOLDER is there, and ours
        self._silent = False  # whether it did not even answer to Ctrl-C

    def __enter__(self) -> Board:
        self._open()
        return self

    def __exit__(self, *exception) -> None:
        with contextlib.suppress(OSError, UserError, ScriptError):
            if self._running:
                self._interrupt()
            self._remove([*self._files])
            self._transport.exit_raw_repl()
        with contextlib.suppress(OSError):
            self._transport.close()

    @functools.cached_property
    def root(self) -> str:
        """Where the board has its files, with a / at the end: /, or /flash/ on an STM32. UserError without any."""
        # In names of its own: those of a script that is timed are looked up among what is left.
        root = self.exec(f"exec({MOUNTED + ROOT!r}, {{}})")
        if not root:
            raise UserError(f"{self.port} has no filesystem mounted: mount one in its boot.py")
        return root

    @property
    def _place(self):
        return self.root + FOLDER

    def exec(self, code: str) -> str:
        """Runs code; returns what it printed."""
        return "".join(self._lines(code.encode(), EXEC_SECONDS)).strip()

    def lines(self, code: str, prefix: str) -> Generator[str, None, None]:
        """Runs code that may take long; yields the lines that it prints, as they come. prefix: begins an error."""
        return self._lines(code.encode(), RUN_SECONDS, prefix)

    def run(self, script: str, configuration: dict) -> Generator[dict, None, None]:
        """Run a script of onboard/ with a configuration; yields the JSON objects it prints. As unix_port.run()."""
        code = (ONBOARD / script).read_bytes()
        files: list[str] = []
        try:
            for name, content in {**modules(code), CONFIGURATION: json.dumps(configuration).encode()}.items():
                files.append(self.put_aside(content, name))
            self.exec(f"import sys; sys.argv[:] = [{script!r}, {files[-1]!r}]; sys.path.insert(0, {self._place!r})")
            with contextlib.closing(self._lines(code, RUN_SECONDS, f"{script} failed on ")) as lines:
                for line in lines:
                    if line.startswith("{"):
                        yield json.loads(line)
        finally:
            # An error that is on its way is the one to tell.
            with contextlib.suppress(UserError, ScriptError):
                self._remove(files)

    def put_aside(self, content: bytes, name: str, description: str | None = None) -> str:
        """Writes a file that is there as long as the board is connected; returns its path."""
        path = f"{self._place}/{name}"
        if not self._files:
            self._make_folder()
        self._files.append(path)
        self.put(content, path, description)
        return path

    def _make_folder(self):
        """Makes FOLDER, or empties one that a connection that broke off has left; UserError if it is the user's."""
        self._folder = True  # also if this is cut short
        made = self.exec(f"import os\ntry:\n os.mkdir({self._place!r})\n print(1)\nexcept Exception: pass")
        if not made:
            folder = self.is_folder(self._place)
            # A filesystem of tests has no folders, and needs none.
            if folder is None:
                self._folder = False
                return
            ours = {CONFIGURATION, *VERIFY, f"{VERIFY[1]}.new", *(path.name for path in ONBOARD.glob("*.py"))}
            # In littlefs os.remove() would remove a folder.
            files = "[e[0] if e[1] == 0x8000 else '' for e in os.ilistdir({!r})]"
            code = f"import json, os; print(json.dumps({files.format(self._place)}))"
            names = json.loads(self.exec(code)) if folder else []
            if not folder or not ours.issuperset(names):
                self._folder = False
                raise UserError(
                    f"{self._place} is on the board and does not belong to BitReplay: rename it, and repeat this"
                )
            for name in names:
                self.remove(f"{self._place}/{name}")

    def _remove(self, paths):
        """Removes files from FOLDER, and that when it is empty, unless the board is silent."""
        if self._silent:
            return
        for path in paths:
            self.remove(path)
            self._files.remove(path)
        if self._folder and not self._files:
            self._folder = False
            # In littlefs os.rmdir() would remove a file.
            remove = f"if os.stat({self._place!r})[0] & 0x4000: os.rmdir({self._place!r})"
            self.exec(f"import os\ntry:\n {remove}\nexcept Exception: pass")

    def put(self, content: bytes, path: str, description: str | None = None) -> None:
        """Writes a file on the board; with a description there is a progress bar."""
        self.exec(f"from binascii import a2b_base64; f = open({path!r}, 'wb')")
        with progress(description, len(content)) as bar:
            for chunk in chunks(content, CHUNK):
                self.exec(f"n = f.write({literal(chunk)})")
                bar.update(len(chunk))
        self.exec("f.close()")

    def replace(self, content: bytes, path: str, description: str) -> None:
        """Writes a file under another name and renames it when it is whole and read back; UserError if it differs."""
        new = path + NEW
        try:
            self.put(content, new, description)
            if self.sha256(new) != hashlib.sha256(content).hexdigest():
                raise UserError(
                    f"{path} is not what was sent; repeat this; if it fails twice, the flash may be worn out"
                )
            self.exec(f"import os; os.rename({new!r}, {path!r})")
        except BaseException:
            # An error that is on its way is the one to tell.
            with contextlib.suppress(OSError, UserError, ScriptError):
                if self._running:
                    self._interrupt()
                if not self._silent:
                    self.exec("try: f.close()\nexcept Exception: pass")
                    self.remove(new)
            raise

    def remove(self, path: str) -> None:
        """Removes a file on the board if it is there."""
        self.exec(f"import os\ntry:\n os.remove({path!r})\nexcept OSError: pass")

    def free_bytes(self, folder: str) -> int:
        """What is free in the filesystem of a folder."""
        return int(self.exec(f"import os; s = os.statvfs({folder!r}); print(s[0] * s[3])"))

    def machine(self) -> str:
        """What it says it is: "Raspberry Pi Pico with RP2040"."""
        return self.exec("import sys; print(sys.implementation._machine)")

    def has_bitreplay(self) -> bool:
        """Whether its MicroPython has the package and the C module."""
        return self.exec("try:\n from bitreplay import load\n print(1)\nexcept Exception: pass") == "1"

    def need_bitreplay(self) -> None:
        """UserError if it has not."""
        if not self.has_bitreplay():
            raise UserError(f"{self.port} has no BitReplay: bitreplay flash, or bitreplay upload --install")

    def size(self, path: str) -> int | None:
        """Bytes of a file; None if it is not there."""
        found = self.exec(f"import os\ntry: print(os.stat({path!r})[6])\nexcept OSError: pass")
        return int(found) if found else None

    def is_folder(self, path: str) -> bool | None:
        """Whether it is one, or a file; None if it is not there."""
        found = self.exec(f"import os\ntry: print(os.stat({path!r})[0] & 0x4000)\nexcept OSError: pass")
        return bool(int(found)) if found else None

    def read(self, path: str, start: int, size: int) -> bytes:
        """So many bytes of a file, or what there is of them."""
        code = f"from binascii import b2a_base64\nf = open({path!r}, 'rb')\nn = f.seek({start})"
        self.exec(code)
        content = b""
        for done in range(0, size, CHUNK):
            content += binascii.a2b_base64(self.exec(f"print(b2a_base64(f.read({min(CHUNK, size - done)})).decode())"))
        self.exec("f.close()")
        return content

    def sha256(self, path: str) -> str:
        """The digest, in hex, of a file as the board reads it."""
        size, step = self.size(path) or 0, 16 * CHUNK
        begin = f"h = hashlib.sha256(); b = memoryview(bytearray({CHUNK})); f = open({path!r}, 'rb')"
        self.exec("import hashlib; " + begin)
        with progress("checking", size) as bar:
            for start in range(0, size, step):
                self.exec(f"for _ in range({step // CHUNK}): n = h.update(b[:f.readinto(b)])")
                bar.update(min(step, size - start))
        return self.exec("from binascii import hexlify; f.close(); print(hexlify(h.digest()).decode()); del b, f, h")

    def soft_reset(self) -> None:
        """Starts MicroPython anew."""
        self._prompt(soft_reset=True)

    def leave(self, code: str) -> None:
        """Runs code of which the board does not come back, with `machine`, and disconnects."""
        self.exec("import machine, time")
        with self._telling():
            # The board is to have acknowledged it before it goes.
            self._transport.exec_raw_no_follow(f"time.sleep_ms(100); {code}")
            time.sleep(0.2)
        with contextlib.suppress(OSError):
            self._transport.close()

    def _open(self):
        deadline = time.monotonic() + PLUG_SECONDS
        while True:
            try:
                self._transport = _connect(self.port)
                # mpremote would wait forever for an answer; a busy prompt takes a moment.
                self._transport.serial.timeout = ANSWER_SECONDS
                try:
                    return self.soft_reset()
                except UserError:
                    with contextlib.suppress(OSError):
                        self._transport.close()
                    raise
            except UserError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _lines(self, code, seconds, prefix=""):
        """Runs code and yields the lines that it prints, as they come."""
        if self._running:
            self._interrupt()
        with self._telling():
            this = self._running = object()
            try:
                self._transport.exec_raw_no_follow(code)
                while not (line := self._until(b"\n" + END, seconds)).endswith(END):
                    yield _text(line)
                if line != END:
                    yield _text(line[:-1])
                error = _text(self._until(END, seconds)[:-1]).strip()
                self._running = None
            finally:
                if self._running is this:
                    self._interrupt()
        if error:
            message, reason = f"{prefix}{self.port}", error.splitlines()[-1]
            raise script_failed(message, reason) if prefix else UserError(f"{message}: {reason}")

    def _until(self, ends, seconds):
        data, heard = bytearray(), time.monotonic()
        # Byte by byte: what follows is for mpremote.
        while not data or data[-1] not in ends:
            byte = self._transport.serial.read(1)
            if byte:
                data += byte
                heard = time.monotonic()
            elif time.monotonic() > heard + seconds:
                raise _Silence
        return bytes(data)

    def _interrupt(self):
        """Ends what runs, as Ctrl-C at the board's prompt does."""
        self._running = None
        self._prompt(soft_reset=False)

    def _prompt(self, soft_reset):
        self._silent = True
        # When mpremote gets something else it prints that.
        with self._telling(), contextlib.redirect_stdout(io.StringIO()):
            self._transport.enter_raw_repl(soft_reset, timeout_overall=ANSWER_SECONDS)
        self._silent = False

    @contextlib.contextmanager
    def _telling(self):
        """Turns what mpremote and pyserial raise into what the user can do."""
        from mpremote.transport import TransportError

        try:
            yield
        except (TransportError, struct.error, _Silence):
            raise UserError(
                f"{self.port} does not answer as MicroPython does; close what else uses it, press the board's reset "
                "button, or give it firmware: bitreplay flash"
            ) from None
        except OSError as error:
            raise UserError(f"{self.port}: the connection broke off ({error}); plug the board in again") from None


def _connect(port):
    """mpremote's transport for a port."""
    from mpremote.commands import CommandError, do_connect
    from mpremote.main import State

    if port.startswith("/") and not os.path.exists(port):
        raise UserError(f"there is no {port}; `mpremote connect list` lists the ports there are")
    if os.path.exists(port) and not os.access(port, os.R_OK | os.W_OK):
        raise UserError(f"{port} may not be opened by you; on most systems, join the group dialout and log in again")
    state = State()
    try:
        do_connect(state, argparse.Namespace(device=[port]))
    except CommandError as error:
        if port == "auto":
            raise UserError("no board found on USB; plug it in, or name its port with --port") from None
        raise UserError(f"{error}; `mpremote connect list` lists the ports there are") from None
    except ValueError as error:
        raise UserError(f"--port {port}: {error}") from None
    return state.transport


def _text(printed):
    return printed.decode("utf-8", "replace").replace("\r\n", "\n")


def literal(content: bytes) -> str:
    """An expression for bytes; the board must have imported a2b_base64. Shorter than repr(), whatever they are."""
    return f"a2b_base64({binascii.b2a_base64(content, newline=False)!r})"


def chunks(content: bytes, size: int) -> Iterable[bytes]:
    return (content[i : i + size] for i in range(0, len(content), size))


def modules(code: bytes) -> dict[str, bytes]:
    """The files of onboard/ that a script imports, and those that these do, by their names."""
    found: dict[str, bytes] = {}
    for name in re.findall(r"^(?:from|import) (\w+)", code.decode(), re.MULTILINE):
        path = ONBOARD / f"{name}.py"
        if path.exists():
            content = path.read_bytes()
            found |= {path.name: content, **modules(content)}
    return found


def progress(description: str | None, total: int, unit: str = "B") -> tqdm:
    """A progress bar, of bytes unless told; hidden where nobody looks, or without a description."""
    hidden = True if description is None else None
    return tqdm(total=total, desc=description, unit=unit, unit_scale=unit == "B", disable=hidden, leave=False)
