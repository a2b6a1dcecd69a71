"""Builds of ports/esp32 against the stub of ESP-IDF, in build/esp32/stub_idf/BOARD; see stub_idf/README.md."""

import os
import re
import subprocess
from pathlib import Path

import pytest

# As make sees it, where CMake can build: by a link if its path has a space.
PLAIN = subprocess.run(
    ["boards/toolchain/plain-path.sh"],
    cwd=Path(__file__).resolve().parents[2],
    capture_output=True,
    text=True,
    check=True,
)
ROOT = Path(PLAIN.stdout.strip())
BUILD = ROOT / "build"
BOARDS = ROOT / "boards" / "esp32"
STUB_IDF = ROOT / "tests" / "esp32" / "stub_idf"
CROSS = BUILD / "cross"


def environment():
    """As from a shell, not from the make that runs the tests; with the compilers and what the Makefile sets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return kept | {
        "IDF_PATH": str(STUB_IDF),
        "MICROPY_GIT_HASH": "stub",
        "MICROPY_GIT_TAG": "stub",
        "MICROPY_MPYCROSS": str(BUILD / "mpy-cross" / "mpy-cross"),
        "PATH": f"{CROSS / 'usr' / 'bin'}:{os.environ['PATH']}",
        "SOURCE_DATE_EPOCH": "1744675200",
        "XTENSA_GNU_CONFIG": str(CROSS / "esp32.so"),
    }


def build(board, core):
    """Configures a board and compiles it, with MicroPython's core or without; returns its folder."""
    if not (CROSS / "esp32.so").exists():
        pytest.fail(f"{CROSS} has no compilers: run `make cross`")
    folder = BUILD / "esp32" / "stub_idf" / board
    source = overlay(Path((BUILD / "src" / ".used").read_text().strip()), folder / "micropython")
    options = [f"MICROPY_BOARD={board}", f"MICROPY_BOARD_DIR={BOARDS / board}", f"STUB_IDF_CORE={core:d}"]
    run("cmake", "-S", source / "ports" / "esp32", "-B", folder / "out", *(f"-D{option}" for option in options))
    run("make", "-C", folder / "out", "__idf_main")
    return folder / "out"


def run(*command):
    done = subprocess.run(list(map(str, command)), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def overlay(source, folder):
    """MicroPython's source by links, with stubs of the two libraries of it that Debian's source lacks."""
    db, lib = folder / "lib" / "berkeley-db-1.xx", folder / "lib" / "micropython-lib"
    for names in (source.iterdir(), (source / "lib").iterdir()):
        for path in names:
            link = folder / path.relative_to(source)
            if link not in (folder / "lib", db, lib) and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
    # CMake wants the database's sources to exist. They are not compiled for what is tested, and btree is not there.
    stubs = [db / "README", lib / "README.md"]
    stubs += [
        db / name for name in re.findall(r"BERKELEY_DIR}/(\w+/\w+\.c)", read(source / "extmod" / "extmod.cmake"))
    ]
    required = re.findall(r'^require\("(.+)"\)', read(source / "ports" / "esp32" / "boards" / "manifest.py"), re.M)
    stubs += [lib / "micropython" / name / "manifest.py" for name in required]
    for stub in stubs:
        stub.parent.mkdir(parents=True, exist_ok=True)
        if not stub.exists():
            stub.touch()
    return folder


def read(path):
    return path.read_text()
