"""An emulated Pico: the firmware image that a board gets, its flash and its serial port, without a board.

Everything that works with a Pico's serial port works with this one. The instructions and their cycles are those of the
chip; contention for the bus and the second core are not emulated, the cache of the flash only where it is asked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import socket
import subprocess
import tempfile
import threading
import time
import tty
from pathlib import Path

from .. import paths
from ..errors import UserError

START_SECONDS = 30.0  # in which a Pico boots on a slow machine, and some
UNOPENED_MS = 20  # between two looks whether somebody opened the port


def built_image(instead: str = "") -> Path:
    """The firmware that `make firmware` left; instead: as paths.built() takes it."""
    return paths.built("rp2/RPI_PICO/firmware.uf2", "firmware BOARD=RPI_PICO", instead)


class EmulatedPico:
    """A Pico that runs in the with statement.

    image: UF2 file, programmed over what `flash`, a file that keeps the flash, has; one of them may be None. Without
    either it is the firmware that was built.
    bootsel_drive: a folder that appears in BOOTSEL mode, as the drive of a Pico does, and takes a UF2 file.
    cache: the core waits for what is not in the cache in front of the flash, by a model of that.

    port: its serial port, a pseudoterminal, which a power cut ends; power gives it another name.
    url: the same for pyserial without one; it stays.
    """

    port: str
    url: str

    def __init__(
        self,
        image: Path | None = None,
        flash: Path | None = None,
        bootsel_drive: Path | None = None,
        cache: bool = False,
    ):
        if image is None and flash is None:
            image = built_image()
        if image is not None and not image.exists():
            raise UserError(f"{image} is missing: run `make firmware BOARD=RPI_PICO`")
        program = paths.built("emulator/pico.mjs", "emulator")
        options = {"--image": image, "--flash": flash, "--bootsel-drive": bootsel_drive}
        self._flash = flash
        self._command = ["node", str(program), *(["--cache"] if cache else [])]
        for option, value in options.items():
            self._command += [option, str(value)] if value is not None else []
        self._news = threading.Condition()
        self._events: list[dict] = []
        self._replies: list[dict] = []
        self._cable = contextlib.ExitStack()

    def __enter__(self) -> EmulatedPico:
        with contextlib.ExitStack() as stack:
            self._lock(stack)
            self._errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            self._start(stack)
            listening = self.wait_for("listening", timeout=START_SECONDS)
            self._number = listening["port"]
            self.url = f"socket://127.0.0.1:{self._number}"
            stack.callback(self._hang_up)
            self._connect()
            self._booted()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception) -> None:
        self._stack.close()

    def _lock(self, stack):
        """No two emulators write one file."""
        if self._flash is None:
            return
        file = stack.enter_context(self._flash.open("ab"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self._flash} is in use by another emulated Pico") from None

    def cut_power(
        self, after_flash_ops: int | None = None, after_cycles: int | None = None, torn: bool = False
    ) -> None:
        """Cuts power: at once, or in the erase or program after so many, or after so many cycles of 125 MHz.

        torn: the operation in which it is cut is half done. wait_for("cut") tells when it was.
        """
        moment = {"after_flash_ops": after_flash_ops, "after_cycles": after_cycles}
        self._do("cut", torn=torn, **{name: value for name, value in moment.items() if value is not None})

    def power_on(self) -> None:
        """Boots from flash after a power cut; returns when its USB port is there."""
        self._do("power_on")
        self._connect()
        self._booted()

    def reset(self) -> None:
        """As the pin RUN does; returns when its USB port is there."""
        self._forget()
        self._do("reset")
        self._booted()

    def take_snapshot(self) -> None:
        """Keeps the state of everything, for restore(): core, RAM, peripherals, flash, USB. A new one replaces it."""
        self._do("snapshot")

    def restore(self) -> None:
        """Goes on from the snapshot as if nothing had happened since, with power or without, at a new port."""
        self._forget()
        self._do("restore")
        self._hang_up()
        self._connect()

    def stats(self) -> dict:
        """Counters: cycles, emulated seconds, boots, erases, programs, and the time that took here."""
        return self._do("stats")

    def wait_for(self, *events: str, timeout: float | None = None) -> dict:
        """The next of these events, or of any; those before it are forgotten."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._news:
            while True:
                while self._events:
                    event = self._events.pop(0)
                    if event["event"] == "end":
                        self._events.append(event)
                        raise UserError(f"the emulator ended: {event['reason']}")
                    if not events or event["event"] in events:
                        return event
                self._wait(deadline, " or ".join(events))

    def _wait(self, deadline, what):
        # Not forever at a time: Ctrl-C is noticed between two waits.
        left = 1.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise UserError(f"the emulated Pico does not answer: there was no {what or 'sign of life'}")
        self._news.wait(min(left, 1.0))

    def _forget(self):
        with self._news:
            self._events = [event for event in self._events if event["event"] == "end"]

    def _booted(self):
        event = self.wait_for("usb", "bootsel", "stopped", timeout=START_SECONDS)
        if event["event"] == "stopped":
            raise UserError(f"the emulated Pico stopped: {event['reason']}")

    def _do(self, command, **parameters):
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"cmd": command, **parameters}) + "\n")
            self._process.stdin.flush()
        deadline = time.monotonic() + START_SECONDS
        with self._news:
            while not self._replies:
                if self._process.poll() is not None:
                    raise UserError(f"the emulator ended: {self._reason()}")
                self._wait(deadline, f"a reply to {command}")
            reply = self._replies.pop(0)
        if "error" in reply:
            raise UserError(reply["error"])
        del reply["reply"]
        return reply

    # What runs beside us.

    def _start(self, stack):
        try:
            # It ends when its standard input does, and so with us, whatever happens. Ctrl-C is ours.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise UserError("the emulator needs node, which is not installed: apt install nodejs") from None
        self._thread(self._listen, stack)
        stack.callback(self._end)

    @staticmethod
    def _thread(target, stack, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        stack.callback(thread.join)

    def _end(self):
        self._process.kill()
        self._process.wait()
        assert self._process.stdin and self._process.stdout
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _listen(self):
        for line in self._process.stdout:
            message = json.loads(line)
            if message.get("event") == "cut":
                self._hang_up()
            with self._news:
                (self._events if "event" in message else self._replies).append(message)
                self._news.notify_all()
        self._process.wait()
        with self._news:
            self._events.append({"event": "end", "reason": self._reason()})
            self._news.notify_all()

    def _reason(self):
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.returncode}"

    def _connect(self):
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", self._number)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            tty.setraw(slave)
            self.port = os.ttyname(slave)
            os.close(slave)
            os.set_blocking(master, False)
            self._thread(_bridge, stack, master, connection.fileno())
            # The bridge ends when the connection does, at this end or the other.
            stack.push(contextlib.suppress(OSError))
            stack.callback(connection.shutdown, socket.SHUT_RDWR)
            self._cable = stack.pop_all()

    def _hang_up(self):
        """Whoever has the port open learns at once that there is nobody any more."""
        self._cable.pop_all().close()


def _bridge(master: int, connection: int) -> None:
    """Carries bytes between a pseudoterminal and a connection, until the connection ends.

    What the Pico says while nobody has the port open is lost, as it is with a Pico.
    """
    to_port, to_pico = b"", b""
    while True:
        is_open = _is_open(master)
        poll = select.poll()
        poll.register(connection, (select.POLLOUT if to_pico else 0) | (0 if to_port else select.POLLIN))
        if is_open:
            poll.register(master, (select.POLLOUT if to_port else 0) | (0 if to_pico else select.POLLIN))
        events = dict(poll.poll(None if is_open else UNOPENED_MS))
        if to_port and events.get(connection, 0) & select.POLLHUP:
            return  # and whoever has the port open does not read
        try:
            # Also when it was just closed: what was written before that is still there.
            to_pico = to_pico or _read(master)
            to_pico = _write(connection, to_pico)
            to_port = to_port or _read(connection)
            if to_port is None:
                return
            # Asked again: it may be open since, and this the answer to what was written there.
            to_port = _write(master, to_port) if _is_open(master) else b""
        except OSError:
            return


def _is_open(master):
    """Whether anybody has the other side of a pseudoterminal open."""
    poll = select.poll()
    poll.register(master, 0)
    return not poll.poll(0)


def _read(file):
    """What can be read now; None at the end of a connection."""
    try:
        return os.read(file, 1 << 16) or None
    except BlockingIOError:
        return b""
    except OSError as error:
        if error.errno == 5:  # EIO: nobody has the port open
            return b""
        raise


def _write(file, content):
    """Writes what can be written now; returns the rest."""
    try:
        return content[os.write(file, content) :] if content else b""
    except BlockingIOError:
        return content
