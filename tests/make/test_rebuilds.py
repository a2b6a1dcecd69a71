"""What make builds again when a file has changed: what is made of it, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = "x64", "armv6m", "armv7emsp", "rv32imc", "rv32imc-zbb", "xtensawin"
FETCHED = "src/.extracted", "src/.sdk", "arm/.extracted", "cross/.extracted", "cross/esp32.so", "venv/.test"
UNIX = {"unix", "unix-asan"}
NATMODS = {f"natmod/{arch}" for arch in ARCHITECTURES}
PICO, STOCK, MIP = {"rp2/RPI_PICO"}, {"rp2/stock"}, {"mip"}
EVERYTHING = {"mpy-cross"} | UNIX | NATMODS | PICO | STOCK | MIP
KERNEL = min(ROOT.glob("usermod_c/core/*.c")).relative_to(ROOT)


@pytest.fixture
def project(tmp_path):
    """The project with nothing built, of which make thinks that all is."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in (
        "Makefile",
        "boards",
        "firmware",
        "host_tools",
        "tests",
        "usermod_c",
        "pyproject.toml",
        "constraints.txt",
    ):
        (folder / name).symlink_to(ROOT / name)
    # In this order: what comes later is of what comes earlier.
    for name in (
        *FETCHED,
        *(f"{name}/.made" for name in ("mpy-cross", *sorted(EVERYTHING - {"mpy-cross"} - MIP), "mip")),
    ):
        (folder / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "build" / name).touch()
    use(folder, "1.25.0")
    return folder


def use(folder, version):
    (folder / "build" / "src" / ".used").write_text(f"{folder}/build/src/micropython-{version}\n")


@pytest.fixture
def remade(project, make):
    """A function: what would be made again if some files had changed."""

    def run(*changed):
        targets = [f"{project}/build/{name}/.made" for name in sorted(EVERYTHING)]
        options = ["-n", "-k", "--debug=basic", *(f"-W{name}" for name in changed)]
        said = make(project, *options, *targets).stdout
        return set(re.findall(rf"Must remake target '{project}/build/(.+)/.made'", said))

    return run


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (KERNEL, UNIX | PICO | NATMODS | MIP),
        ("usermod_c/core", UNIX | PICO | NATMODS | MIP),  # a file came or went
        (min(ROOT.glob("usermod_c/core/*.h")).relative_to(ROOT), UNIX | PICO | NATMODS | MIP),
        ("usermod_c/bindings/modbitreplay.c", UNIX | PICO | NATMODS | MIP),
        ("usermod_c/natmod/Makefile", NATMODS | MIP),
        ("firmware/bitreplay/learner.py", UNIX | PICO | MIP),
        ("boards/unix/mpconfigvariant.h", UNIX),
        ("boards/unix/mpconfigvariant.mk", UNIX),
        ("boards/unix/manifest.py", UNIX),
        ("boards/rp2/RPI_PICO/mpconfigboard.h", PICO),
        ("boards/rp2/manifest.py", PICO),
        ("boards/rp2/build.mk", PICO),
        ("boards/rp2/project.cmake", PICO | STOCK),
        ("tests/device/stock_manifest.py", STOCK),
        ("boards/rp2/RPI_PICO2/mpconfigboard.h", set()),
        ("boards/emulator/pico.mjs", set()),
        ("tests/core/test_head.py", set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_of_a_file(changed, expected, remade):
    assert remade() == set()
    assert (ROOT / changed).exists() and remade(changed) == expected


def test_after_another_micropython(remade, project):
    use(project, "1.24.0")
    assert "mpy-cross" in remade()
