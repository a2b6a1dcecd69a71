"""make natmod refuses what would link and then be wrong on a board, and names it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(tmp_path):
    """A function: builds a native module with a line added to random.c, of which br_random(rng, n) is a part."""
    folder = tmp_path / "project"
    (folder / "build" / "src").mkdir(parents=True)
    for name in ("Makefile", "boards", "firmware", "host_tools", "tests", "pyproject.toml", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("venv", "arm", "cross"):
        (folder / "build" / name).symlink_to(ROOT / "build" / name)
    for path in (ROOT / "build" / "src").iterdir():
        if path.name != ".used":  # which this would change
            (folder / "build" / "src" / path.name).symlink_to(path)
    shutil.copytree(ROOT / "usermod_c", folder / "usermod_c")

    def run(arch, before, draw):
        source = folder / "usermod_c" / "core" / "random.c"
        line = "return ((br_draw(rng) >> 16) * n) >> 16;"
        content = source.read_text()
        assert line in content
        source.write_text(content.replace("uint32_t br_random", f"{before}\nuint32_t br_random").replace(line, draw))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        command = ["make", "natmod", f"ARCH={arch}"]
        return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)

    return run


# One of each kind, in one module: building is what takes long.
DATA = "static uint32_t br_zero; static uint32_t br_seven = 7; uint32_t br_global;"
USE = "br_zero += br_draw(rng); br_seven += br_zero; br_global += br_seven; return (br_global >> 16) * n >> 16;"


@pytest.mark.parametrize("arch", ["x64", "armv6m", "armv7emsp", "rv32imc", "xtensawin"])
def test_data_that_changes(make, arch):
    done = make(arch, DATA, USE)
    told = f"ARCH={arch}: in .data or .bss, where a native module can have nothing: "
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(told)]
    assert done.returncode != 0 and sorted(line.removeprefix(told).split()) == ["br_global", "br_seven", "br_zero"]


@pytest.mark.parametrize(("arch", "function"), [("armv6m", "__aeabi_uidivmod"), ("armv6m", "__aeabi_uidiv")])
def test_functions_of_the_compiler(make, arch, function):
    operator = "%" if function.endswith("mod") else "/"
    done = make(arch, "", f"return br_draw(rng) {operator} n;")
    assert done.returncode != 0 and f"undefined symbol: {function}" in done.stderr


def test_another_architecture(make):
    done = make("armv8", "", "return n;")
    assert done.returncode != 0 and "ARCH= is one of x64 armv6m armv7emsp rv32imc rv32imc-zbb xtensawin" in done.stderr


def test_as_it_is(make):
    done = make("armv6m", "", "return ((br_draw(rng) >> 16) * n) >> 16;")
    assert done.returncode == 0 and done.stdout.startswith("build/natmod/armv6m/_bitreplay.mpy, "), done.stderr
