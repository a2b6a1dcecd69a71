"""The native modules on MicroPython of each architecture: every bit of every kernel, a training, what they take."""

import os
import subprocess
from pathlib import Path

import pytest
from bitreplay_host.device import mip
from bitreplay_host.errors import UserError
from bitreplay_host.measure import golden, verify
from machines import HOSTS, MACHINES, Emulated

import models

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = ["x64", *MACHINES]
SHIPPED = ["x64", "xtensawin"]  # where two learners with the shipped model fit, and do not take long
STEPS = 20  # of the trainings, 5 each
IMPORT = """
import gc
gc.collect()
before = gc.mem_free()
import _bitreplay
gc.collect()
print(before - gc.mem_free(), _bitreplay.__file__)
"""


class UnixPort(verify.UnixPort):
    """The stock unix port; it finds the package by MICROPYPATH."""

    def exec(self, code):
        done = subprocess.run([self.micropython, "-c", code], capture_output=True, text=True)
        if done.returncode:
            raise UserError(done.stderr.splitlines()[-1])
        return done.stdout


def package(arch):
    """The folder that is installed on a board."""
    folder = ROOT / "build" / "mip" / mip.ABI / arch
    if not (folder.exists() and HOSTS.exists()):
        pytest.fail("run `make mip natmod-hosts`")
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.mpy")}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A function: MicroPython for an architecture as a target, with the package for it or for another.

    release: a folder of HOSTS, with a newer MicroPython than that of which the modules were built.
    """

    def make(arch, other=None, release="."):
        folder = package(other or arch)
        if arch == "x64":
            monkeypatch.setenv("MICROPYPATH", str(folder))
            return UnixPort(HOSTS / release / "x64" / "micropython", tmp_path)
        return Emulated(MACHINES[arch], f"{release}/{arch.removesuffix('-zbb')}", contents(folder), tmp_path)

    return make


@pytest.fixture
def user_module(tmp_path):
    """MicroPython for Xtensa with the C module in it, as in firmware of an ESP32."""
    files = contents(package("xtensawin"))
    del files[mip.MODULE]
    return Emulated(MACHINES["xtensawin"], "xtensa", files, tmp_path)


@pytest.fixture
def small_model(tmp_path):
    return Path(models.tiny_model(tmp_path / "small.safetensors"))


def matches(target, model, directory, capsys):
    """All of `bitreplay verify`."""
    assert list(verify.kernels(target, seed=1, repeats=8)) == []
    assert list(verify.trainings(target, model, {"train": 1}, 1, directory)) == []
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(" ok") for line in lines) == len(golden.KERNELS) + STEPS == len(lines)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_bit_matches(arch, host, small_model, tmp_path, capsys):
    model = ROOT / "models" / "backbone.safetensors" if arch in SHIPPED else small_model
    matches(host(arch), model, tmp_path, capsys)


@pytest.mark.parametrize("arch", ["x64", "armv6m"])
def test_every_bit_matches_on_a_newer_release(arch, host, small_model, tmp_path, capsys):
    target = host(arch, release="newer")
    versions = [one.exec("import sys; print(sys.implementation.version[:2])").strip() for one in (host(arch), target)]
    assert versions[0] != versions[1] == "(1, 26)"
    matches(target, small_model, tmp_path, capsys)


def test_every_bit_of_the_user_module_matches_on_xtensa(user_module, small_model, tmp_path, capsys):
    matches(user_module, small_model, tmp_path, capsys)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_loading_takes_the_file_and_4_kb(arch, host, record_property):
    taken, file = host(arch).exec(IMPORT).split()
    assert os.path.basename(file) == mip.MODULE
    size = (package(arch) / mip.MODULE).stat().st_size
    assert int(taken) <= size + 4096
    record_property("measured", f"{mip.MODULE} for {arch}: {size} bytes, {taken} bytes of heap")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_another_architecture_is_refused(arch, host):
    other = "x64" if arch.startswith("rv32imc") else "rv32imc"
    with pytest.raises(UserError, match=r"ValueError: incompatible \.mpy arch$"):
        host(arch, other).exec("import _bitreplay")
