"""An emulated Pico with the real firmware, and mpremote to talk to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "firmware")]

from bitreplay_host.emulator import EmulatedPico  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def image():
    """The firmware; another one can be named."""
    image = Path(os.environ.get("BITREPLAY_FIRMWARE", ROOT / "build" / "rp2" / "RPI_PICO" / "firmware.uf2"))
    if not image.exists():
        pytest.fail(f"{image} is missing: run `make firmware BOARD=RPI_PICO`")
    return image


@pytest.fixture(scope="session")
def emulator(image):
    """A function: an emulated Pico, to be used in a with statement. Takes what EmulatedPico takes."""

    def make(image=image, **options):
        return EmulatedPico(image, program=ROOT / "build" / "emulator" / "pico.mjs", **options)

    return make


@pytest.fixture
def pico(emulator):
    """An emulated Pico that has booted."""
    with emulator() as pico:
        yield pico


@pytest.fixture(scope="session")
def mpremote():
    """A function: runs mpremote with arguments, connected to a Pico; returns what it printed."""

    def run(pico, *arguments, port=None):
        command = [sys.executable, "-m", "mpremote", "connect", port or pico.port, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return run


def pytest_terminal_summary(terminalreporter):
    """What tests measured."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(value)
