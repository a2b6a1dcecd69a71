"""An emulated Pico with the real firmware, and mpremote to talk to it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "firmware")]

from bitreplay_host import cli  # noqa: E402
from bitreplay_host.device import romfs  # noqa: E402
from bitreplay_host.device.emulator import EmulatedPico  # noqa: E402

import models  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ROMFS = 512 * 1024  # where that partition begins in the flash


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
        return EmulatedPico(image, **options)

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


@pytest.fixture(scope="session")
def flash_with_model(emulator, tmp_path_factory):
    """A flash with the firmware, and the shipped model in ROMFS as `bitreplay upload` puts it there."""
    flash = tmp_path_factory.mktemp("flash") / "flash.bin"
    with emulator(flash=flash):
        pass
    name = "backbone.safetensors"
    with flash.open("r+b") as file:
        file.seek(ROMFS)
        file.write(romfs.build([romfs.file_entry(name, (ROOT / "models" / name).read_bytes())]))
    return flash


@pytest.fixture
def pico_with_model(emulator, flash_with_model, tmp_path):
    """An emulated Pico that has booted and has the shipped model."""
    flash = tmp_path / "flash.bin"
    shutil.copy(flash_with_model, flash)
    with emulator(None, flash=flash) as pico:
        yield pico


@pytest.fixture
def bitreplay(capsys):
    """A function: runs a command of bitreplay on a Pico; returns its exit status, what it printed and complained."""

    def run(pico, *arguments, port=None):
        status = cli.main([*map(str, arguments), "--port", port or pico.port])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def small_model(tmp_path):
    """A model of random weights, for images of 8x8x3."""
    return Path(models.tiny_model(tmp_path / "small.safetensors"))
