"""A board to test with, that starts at once: MicroPython's unix port at the other end of a serial line."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
import tty
from pathlib import Path

RAW_REPL = Path(__file__).parent / "onboard_raw_repl.py"


class SerialLine:
    """MicroPython and its port, a pseudoterminal, in the with statement. files: the folder that is its /.

    said: all that it has sent.
    """

    def __init__(self, micropython: Path, files: Path):
        self._command = [str(micropython), str(RAW_REPL), str(files)]

    def __enter__(self) -> SerialLine:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.port, self.said = os.ttyname(self._theirs), bytearray()
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()
        self.wait_for(b">>> ")
        return self

    def __exit__(self, *exception) -> None:
        self.unplug()
        self.process.kill()
        os.close(self._ended)
        os.close(self._end)
        self.process.communicate()

    def unplug(self) -> None:
        """The port is gone."""
        os.write(self._end, b"1")
        self._thread.join(5)

    def fall_silent(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wait_for(self, end: bytes) -> None:
        """Waits until this is the last that was said."""
        deadline = time.monotonic() + 10
        while not self.said.endswith(end):
            assert time.monotonic() < deadline, bytes(self.said[-200:])
            time.sleep(0.01)

    def _relay(self):
        stdin, stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        while True:
            ready = select.select([self._ours, stdout, self._ended], [], [])[0]
            if self._ended in ready:
                break
            if self._ours in ready:
                os.write(stdin, self._interrupting(os.read(self._ours, 1 << 12)))
            if stdout in ready:
                data = os.read(stdout, 1 << 12)
                if not data:
                    break
                self.said += data
                os.write(self._ours, data)
        os.close(self._theirs)
        os.close(self._ours)

    def _interrupting(self, data):
        """What is left of data: where code is executed, a board's driver looks for Ctrl-C."""
        executing = self.said.rfind(b"OK") > max(self.said.rfind(b"\x04>"), self.said.rfind(b"soft reboot"))
        if b"\x03" in data and executing:
            self.process.send_signal(signal.SIGINT)
            return data.replace(b"\x03", b"")
        return data
