"""The installed command: a wheel, in an empty folder, without the repository."""

import os
import re
import subprocess
import sys

import pytest
from synthetic_data import ROOT

pytestmark = pytest.mark.toolchain  # pip fetches what builds a wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel installs that `make wheel` makes."""
    folder = tmp_path_factory.mktemp("wheel")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "wheel"], cwd=ROOT, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wheel = ROOT / done.stdout.split()[-1]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture
def bitreplay(installed, tmp_path):
    """A function: runs the command in an empty folder; returns its exit status, what it printed and complained."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BITREPLAY", "PYTHON"))}
    environment |= {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*arguments):
        command = [sys.executable, "-m", "bitreplay_host.cli", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    return run


def test_all_modules_are_in_it(installed):
    for source, place in (("host_tools/bitreplay_host", "bitreplay_host"), ("firmware/bitreplay", "bitreplay")):
        there = {str(path.relative_to(installed / place)) for path in (installed / place).rglob("*.py*")}
        ours = {str(path.relative_to(ROOT / source)) for path in (ROOT / source).rglob("*.py*")}
        assert {name for name in ours if "__pycache__" not in name} <= there


def test_the_shipped_models_are_at_hand(bitreplay, installed):
    status, printed, _ = bitreplay("models")
    assert status == 0 and str(installed) in printed
    assert re.findall(r"^(\w+) +\d+", printed, re.M) == sorted(p.stem for p in (ROOT / "models").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("line", "message"),
    {
        "upload small --port /none": "there is no /none",
        "upload --install --port /none": "there is no /none",
        "images nothing.jpg": "nothing.jpg: No such file or directory",
        "images --cifar10 2": "run `bitreplay data cifar10`",
        "emulate": "run `make firmware BOARD=RPI_PICO` in a clone of BitReplay and set BITREPLAY_BUILD",
        "experiment": "run `make unix` in a clone of BitReplay and set BITREPLAY_BUILD",
        "bench --board instructions": "run `make natmods` in a clone of BitReplay",
    }.items(),
)
def test_what_is_missing_is_told(line, message, bitreplay, tmp_path):
    status, printed, error = bitreplay(*line.split())
    assert (status, printed) == (2, "") and error.count("\n") == 1 and message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["upload", "images", "emulate", "experiment"])
def test_help(command, bitreplay):
    status, printed, _ = bitreplay(command, "--help")
    assert status == 0 and "examples:" in printed


def test_images(bitreplay, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / "mug.png")
    status, printed, _ = bitreplay("images", "mug.png")
    assert status == 0 and printed == "1 images of 3072 bytes in images: mpremote mount images\n"
    assert (tmp_path / "images" / "mug.rgb").read_bytes()[:3] == bytes([10, 200, 30])
