"""Which native module a board gets, and what it is told if there is none."""

import re

import pytest
from bitreplay_host.device import install
from bitreplay_host.errors import UserError

BOARD = "/dev/ttyACM0 has MicroPython 1.25.0"
MINOR = 3 << 8


@pytest.fixture
def packages(tmp_path):
    """A folder with packages for some architectures."""
    for name in ("armv6m", "armv7emsp", "rv32imc"):
        (tmp_path / "6.3" / name).mkdir(parents=True)
        (tmp_path / "6.3" / name / "package.json").touch()
    return tmp_path


# The numbers are MicroPython's: 4 an RP2040, 7 an RP2350, 8 a board with double precision, 11 an ESP32-C3.
@pytest.mark.parametrize(
    ("number", "name"), [(4, "armv6m"), (5, "armv6m"), (7, "armv7emsp"), (8, "armv7emsp"), (11, "rv32imc")]
)
def test_architectures(packages, number, name):
    assert install.find(packages, BOARD, number << 10 | MINOR | 6) == packages / "6.3" / name


@pytest.mark.parametrize(
    ("mpy", "message"),
    [
        (0, "has MicroPython 1.25.0, which loads no .mpy files; give it BitReplay's firmware"),
        (
            4 << 10 | 2 << 8 | 6,
            "native modules have ABI 6.2, and BitReplay's have 6.3: give the board MicroPython 1.23 or newer",
        ),
        (4 << 10 | MINOR | 5, "have ABI 5.3, and BitReplay's have 6.3: give the board MicroPython 1.23"),
        (4 << 10 | MINOR | 7, "have ABI 7.3, and BitReplay's have 6.3: get a newer BitReplay"),
        (
            9 << 10 | MINOR | 6,
            "which loads no native module that BitReplay has: give a board with RISC-V MicroPython 1.25",
        ),
        (MINOR | 6, "which loads no native module that BitReplay has: give a board with RISC-V MicroPython 1.25"),
        (10 << 10 | MINOR | 6, "6.3/xtensawin/package.json is missing: run `make mip`"),
    ],
)
def test_what_there_is_none_for(packages, mpy, message):
    with pytest.raises(UserError, match=re.escape(message)):
        install.find(packages, BOARD, mpy)
