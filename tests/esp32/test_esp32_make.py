"""make firmware for the ESP32: what is missing is said, with the steps to get it, and ESP-IDF is called as it should.

ESP-IDF itself is not here: the stub has its version, and stand-ins for idf.py and makeimg.py say how they were called.
"""

import os
import subprocess

import pytest
from stub_build import BUILD, ROOT, STUB_IDF, read

VERSION = "set(IDF_VERSION_MAJOR {})\nset(IDF_VERSION_MINOR {})\nset(IDF_VERSION_PATCH 0)\n"
SUBMODULES = "lib/berkeley-db-1.xx", "lib/micropython-lib", "lib/tinyusb"


@pytest.fixture
def project(tmp_path):
    """The project in another folder, with MicroPython's source and nothing built: a build there is of no other's."""
    folder = tmp_path / "project"
    (folder / "build" / "src").mkdir(parents=True)
    for name in ("Makefile", "boards", "firmware", "tests", "usermod_c"):
        (folder / name).symlink_to(ROOT / name)
    for path in (BUILD / "src").iterdir():
        if path.name != ".used":
            (folder / "build" / "src" / path.name).symlink_to(path)
    return folder


@pytest.fixture
def make(project):
    """A function: runs make firmware there."""

    def run(board, **settings):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "IDF_"))}
        command = ["make", "firmware", f"BOARD={board}", *(f"{name}={value}" for name, value in settings.items())]
        return subprocess.run(command, cwd=project, env=kept, capture_output=True, text=True)

    return run


@pytest.fixture
def idf(tmp_path):
    """A function: a folder that has what is looked at of an ESP-IDF of some version; idf.py says how it was called."""

    def write(major, minor):
        folder = tmp_path / "idf"
        (folder / "tools" / "cmake").mkdir(parents=True)
        (folder / "tools" / "cmake" / "version.cmake").write_text(VERSION.format(major, minor))
        (folder / "export.sh").write_text('[ "$UNSET" ] || export PATH=$IDF_PATH/bin:$PATH\n')
        (folder / "bin").mkdir()
        (folder / "bin" / "idf.py").write_text('#!/bin/sh\necho idf.py "$@" >> $IDF_PATH/called\n')
        (folder / "bin" / "idf.py").chmod(0o755)
        return folder

    return write


@pytest.fixture
def checkout(tmp_path):
    """A folder like a git checkout of MicroPython with the submodules that the port needs, as far as make looks."""
    source, folder = read(BUILD / "src" / ".used").strip(), tmp_path / "micropython"
    for name in (*SUBMODULES, "mpy-cross", "ports/esp32"):
        (folder / name).mkdir(parents=True)
        (folder / name / "README").touch()
    (folder / "py").symlink_to(f"{source}/py")
    (folder / "mpy-cross" / "Makefile").write_text("all: ;\n")
    (folder / "ports" / "esp32" / "Makefile").symlink_to(f"{source}/ports/esp32/Makefile")
    (folder / "ports" / "esp32" / "makeimg.py").write_text("import sys; open(sys.argv[5], 'w').write('made')\n")
    return folder


def assert_missing(done, board, chip, *words):
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and all(word in lines[0] for word in words), done.stderr
    assert lines[1].startswith("The steps") and f"install.sh {chip}" in lines[3]
    assert lines[5].endswith(" ".join(SUBMODULES))
    assert (
        lines[6].split() == f"make firmware BOARD={board} IDF_PATH=~/esp/esp-idf MICROPYTHON_DIR=~/micropython".split()
    )
    assert len(lines) == 7


def test_no_idf(make, tmp_path):
    assert_missing(make("ESP32_GENERIC_S3"), "ESP32_GENERIC_S3", "esp32s3", "ESP-IDF v5.2 to v5.4", "IDF_PATH=")
    done = make("ESP32_GENERIC_C3", IDF_PATH=tmp_path)
    assert_missing(done, "ESP32_GENERIC_C3", "esp32c3", f"IDF_PATH={tmp_path} is not an ESP-IDF")


@pytest.mark.parametrize("version", [(4, 4), (5, 1), (5, 5), (6, 0)])
def test_an_idf_that_does_not_fit(version, make, idf):
    done = make("ESP32_GENERIC", IDF_PATH=idf(*version))
    assert_missing(done, "ESP32_GENERIC", "esp32", f"is ESP-IDF v{version[0]}.{version[1]};", "v5.2 to v5.4")


def test_a_source_without_submodules(make, idf, checkout):
    """Debian's, or a checkout of which they were not fetched."""
    done = make("ESP32_GENERIC", IDF_PATH=idf(5, 2))
    assert_missing(
        done, "ESP32_GENERIC", "esp32", "lacks lib/berkeley-db-1.xx lib/micropython-lib:", "MICROPYTHON_DIR="
    )
    (checkout / "lib" / "tinyusb" / "README").unlink()
    done = make("ESP32_GENERIC", IDF_PATH=checkout.parent / "idf", MICROPYTHON_DIR=checkout)
    assert_missing(done, "ESP32_GENERIC", "esp32", f"{checkout} lacks lib/tinyusb:")


def test_an_idf_that_is_not_installed(make, checkout):
    done = make("ESP32_GENERIC_S3_N16R8", IDF_PATH=STUB_IDF, MICROPYTHON_DIR=checkout)
    assert_missing(done, "ESP32_GENERIC_S3_N16R8", "esp32s3", "there is no idf.py after", "install.sh esp32s3")


def test_how_idf_is_called(make, idf, checkout, project):
    folder = idf(5, 4)
    done = make("ESP32_GENERIC_S3", IDF_PATH="../idf", MICROPYTHON_DIR=checkout)
    assert done.returncode == 0 and done.stdout.endswith("build/esp32/ESP32_GENERIC_S3/firmware.bin\n"), done.stderr
    built = project / "build" / "esp32" / "ESP32_GENERIC_S3"
    assert read(built / "firmware.bin") == "made"
    board = project / "boards" / "esp32" / "ESP32_GENERIC_S3"
    assert read(folder / "called").split() == [
        *("idf.py", "-D", "MICROPY_BOARD=ESP32_GENERIC_S3", "-D", f"MICROPY_BOARD_DIR={board}"),
        *("-B", str(built), "build"),
    ]


def test_no_such_board(make):
    done = make("ESP32_NONE")
    assert done.returncode != 0 and "there is no BOARD=ESP32_NONE; there are: RPI_PICO" in done.stderr
    assert "ESP32_GENERIC_S3_N16R8" in done.stderr
