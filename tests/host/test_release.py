"""What `make release` lays out: whole, as it was built, with the licences of all that is in it."""

import hashlib
import json
from pathlib import Path

import bitreplay
import pytest
from bitreplay_host.device import mip

pytestmark = pytest.mark.toolchain

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "build" / "dist"
ARCHITECTURES = {"x64", "armv6m", "armv7emsp", "rv32imc", "rv32imc-zbb", "xtensawin"}
LARGEST = 43 * 1024  # bytes of a native module: layers of any shape, gradients, minibatches and spectrograms are in it


@pytest.fixture(scope="module")
def sums():
    if not DIST.exists():
        pytest.fail(f"{DIST} is missing: run `make release DIST=build/dist`")
    lines = (DIST / "SHA256SUMS").read_text().splitlines()
    return {path.removeprefix("./"): digest for digest, path in (line.split("  ", 1) for line in lines)}


def test_sums(sums):
    files = {str(path.relative_to(DIST)): path for path in DIST.rglob("*") if path.is_file()}
    del files["SHA256SUMS"]
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == sums


def test_no_path_of_this_machine(sums):
    assert [name for name in sums if str(ROOT).encode() in (DIST / name).read_bytes()] == []


def test_what_there_is(sums):
    assert {"LICENSE", "CHANGELOG.md", "firmware/RPI_PICO.uf2", "models/backbone.safetensors"} <= set(sums)
    built = (ROOT / "build" / "rp2" / "RPI_PICO" / "firmware.uf2").read_bytes()
    assert sums["firmware/RPI_PICO.uf2"] == hashlib.sha256(built).hexdigest()
    licences = {
        name: (DIST / "licences" / f"{name}.txt").read_text()
        for name in ("micropython", "pico-sdk", "tinyusb", "newlib", "libgcc")
    }
    assert all("copyright" in text.lower() for text in licences.values())
    assert "littlefs" in licences["micropython"]
    assert {path.name for path in (DIST / "mip" / mip.ABI).iterdir()} == ARCHITECTURES


def test_the_page_is_in_it_where_it_could_be_built(sums):
    page = ROOT / "build" / "web"
    if not page.exists():
        pytest.skip(f"{page} is missing: Emscripten could not be set up")
    built = {str(path.relative_to(page)) for path in page.rglob("*") if path.is_file()} - {".made"}
    assert {name for name in sums if name.startswith("web/")} == {f"web/{name}" for name in built}
    licences = (DIST / "web" / "licences.txt").read_text()
    assert all(name in licences for name in ("BitReplay", "MicroPython", "musl"))


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_packages(sums, arch, record_property):
    folder = DIST / "mip" / mip.ABI / arch
    package = json.loads((folder / "package.json").read_text())
    assert package["version"] == bitreplay.__version__
    files = {target: folder / source for target, source in package["urls"]}
    modules = {f"bitreplay/{path.stem}.mpy" for path in (ROOT / "firmware" / "bitreplay").glob("*.py")}
    assert set(files) == {mip.MODULE, *modules}
    for path in files.values():
        assert path.read_bytes()[:1] == b"M"
        assert path.parent.stat().st_mode & 0o555 == 0o555  # a web server may be another user
    size = files[mip.MODULE].stat().st_size
    assert size <= LARGEST
    total = sum(path.stat().st_size for path in files.values())
    record_property("measured", f"package for {arch}: {total} bytes, {size} of them the native module")
