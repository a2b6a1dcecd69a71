"""The firmware: the same bits wherever it is built, loops in SRAM, and one clear line where it can't be built."""

import hashlib
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCES = "Makefile", "boards", "firmware", "tests", "usermod_c"
FAMILIES = {"RPI_PICO": 0xE48BFF56, "RPI_PICO2": 0xE48BFF59}
FLASH = 0x10000000


def make(folder, *arguments):
    # As from a shell: not as a part of the make that runs the tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["XDG_CACHE_HOME"] = str(folder.parent / "cache")  # where it builds, as the folder's path has a space
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A copy of the project in another folder that has fetched the sources and the compiler, and built nothing."""
    folder = tmp_path_factory.mktemp("elsewhere") / "my project"
    folder.mkdir()
    for name in SOURCES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    assert make(folder).returncode == 0 and (folder / "build").is_symlink()
    sources = folder / "build" / "src"
    sources.mkdir()
    for entry in (BUILD / "src").iterdir():
        if entry.name != ".used":
            (sources / entry.name).symlink_to(entry)
    if (BUILD / "arm").exists():
        (folder / "build" / "arm").symlink_to(BUILD / "arm")
    return folder


def blocks(uf2):
    """(address, family) of the blocks of a UF2 file."""
    return [struct.unpack_from("<I12xI", uf2, at + 12) for at in range(0, len(uf2), 512)]


@pytest.mark.slow  # firmware is compiled from nothing, in another folder: over a minute
def test_same_bits_elsewhere(elsewhere, image):
    done = make(elsewhere, "firmware", "BOARD=RPI_PICO")
    assert done.returncode == 0, done.stdout + done.stderr
    there = (elsewhere / "build" / "rp2" / "RPI_PICO" / "firmware.uf2").read_bytes()
    assert hashlib.sha256(there).hexdigest() == hashlib.sha256(image.read_bytes()).hexdigest()


@pytest.mark.slow  # all of its firmware is compiled, and nothing can run it
def test_pico_2(elsewhere):
    done = make(elsewhere, "firmware", "BOARD=RPI_PICO2")
    assert done.returncode == 0, done.stdout + done.stderr
    built = elsewhere / "build" / "rp2" / "RPI_PICO2"
    found = blocks((built / "firmware.uf2").read_bytes())
    assert {family for _, family in found} == {FAMILIES["RPI_PICO2"]}
    assert all(FLASH <= address < FLASH + 512 * 1024 for address, _ in found)
    assert b"_bitreplay" in (built / "firmware.bin").read_bytes()


@pytest.mark.parametrize(
    ("board", "words"),
    [("RPI_PICO_W", ("RPI_PICO_W needs", "cyw43-driver", "MICROPYTHON_DIR=")), ("NONE", ("BOARD=NONE", "RPI_PICO2"))],
)
def test_what_is_missing_is_said(elsewhere, board, words):
    done = make(elsewhere, "firmware", f"BOARD={board}")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert all(word in line for word in words)


def test_image_leaves_room_for_models(image):
    found = blocks(image.read_bytes())
    assert {family for _, family in found} == {FAMILIES["RPI_PICO"]}
    assert found[0][0] == FLASH and found[-1][0] < FLASH + 512 * 1024


def test_loops_are_in_sram(image):
    """Every function of the core that is marked for it runs from SRAM."""
    core = ROOT / "usermod_c" / "core"
    functions = set(
        re.findall(r"^[a-z].* BR_HOT (br_\w+)\(", "\n".join(f.read_text() for f in core.glob("*.c")), re.M)
    )
    assert len(functions) > 30
    folder = os.environ.get("ARM_BIN", BUILD / "arm" / "usr" / "bin")
    nm = [Path(folder) / "arm-none-eabi-nm", image.with_suffix(".elf")]
    symbols = subprocess.run(nm, capture_output=True, text=True, check=True).stdout
    addresses = {name.partition(".")[0]: int(address, 16) for address, _, name in map(str.split, symbols.splitlines())}
    # What is not there was inlined.
    assert {name for name in functions if addresses.get(name, 0x20000000) < 0x20000000} == set()
    assert {"br_bconv2d", "br_hamming_distances", "br_bconv2d_dx", "br_bconv2d_dw"} <= set(addresses)
