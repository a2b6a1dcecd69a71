"""BitReplay on a Pico with MicroPython's own firmware, as a native module: by our command and by mip."""

import functools
import http.server
import threading
from pathlib import Path

import bitreplay as package
import pytest
from bitreplay_host import reference
from bitreplay_host.device import install

VERSION = package.__version__
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "mip"
# For boot.py: another MicroPython.
OLD = """
import sys
class Sys:
    path = ["", ".frozen", "/lib"]
    implementation = type("", (), {"name": "micropython", "version": (1, 21, 0), "_mpy": 4 << 10 | 1 << 8 | 6})
sys.modules["sys"] = Sys
"""
IN_FLASH = """
import os, rp2, sys, vfs
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(rp2.Flash(), progsize=256), "/flash")
os.chdir("/flash")
sys.path += ["/flash", "/flash/lib"]
"""
LISTED = "\nbitreplay/old.mpy\n../boot.py\nmine.py\n"
IMPORT = """
import gc
gc.collect()
before = gc.mem_free()
import _bitreplay
gc.collect()
print(before - gc.mem_free(), _bitreplay.__file__)
"""


@pytest.fixture(scope="session")
def stock_image():
    image = ROOT / "build" / "rp2" / "stock" / "firmware.uf2"
    if not image.exists():
        pytest.fail(f"{image} is missing: run `make stock-pico`")
    return image


@pytest.fixture
def stock_pico(emulator, stock_image):
    """An emulated Pico with firmware that is MicroPython's own."""
    with emulator(stock_image) as pico:
        yield pico


@pytest.fixture(scope="session")
def packages():
    if not PACKAGES.exists():
        pytest.fail(f"{PACKAGES} is missing: run `make mip`")
    return PACKAGES


@pytest.fixture
def server():
    """The address of a web server with a release."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=ROOT / "build" / "dist")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_upload_installs(bitreplay, stock_pico, mpremote, small_model, packages, record_property):
    """Also over what is there; every kernel and a training are what they are here; the module takes little RAM."""
    status, _, error = bitreplay(stock_pico, "verify", "--model", small_model)
    assert status == 2 and "has no BitReplay: bitreplay flash, or bitreplay upload --install" in error
    mpremote(
        stock_pico,
        "exec",
        "import os; os.mkdir('/lib'); os.mkdir('/lib/bitreplay'); open('/lib/bitreplay/old.mpy', 'w'); "
        "open('/lib/bitreplay/my cat.safetensors', 'w'); open('/lib/mine.py', 'w'); "
        "f = open('/lib/bitreplay/installed.txt', 'w'); "
        f"f.write({install.MARK + LISTED!r}); f.close()",
    )
    for _ in range(2):
        status, out, _ = bitreplay(stock_pico, "upload", "--install", small_model, "--packages", packages)
        assert (
            status == 0 and out.startswith("/lib/bitreplay and /lib/_bitreplay.mpy for armv6m: ") and "in RAM>" in out
        )
    status, out, _ = bitreplay(stock_pico, "verify", "--model", small_model, "--repeats", "2")
    assert (status, out.splitlines()[-1]) == (0, "every bit matches")
    assert (
        sum(line.endswith(" ok") for line in out.splitlines()) == len(reference.KERNELS) + 4 * 5
    )  # digests of four trainings
    taken, file = mpremote(stock_pico, "soft-reset", "exec", IMPORT).split()
    size = (packages / "6.3" / "armv6m" / "_bitreplay.mpy").stat().st_size
    assert file == "/lib/_bitreplay.mpy" and int(taken) <= size + 4096
    # What an installation before left is gone; what is the user's stays, whatever the record says.
    there = mpremote(stock_pico, "exec", "import os; print(os.listdir('/lib/bitreplay') + os.listdir('/lib'))")
    assert "old.mpy" not in there and "'my cat.safetensors'" in there and "'mine.py'" in there
    record_property("measured", f"native module on the emulated Pico: {size} bytes of flash, {taken} of RAM")


def test_mip_installs(stock_pico, mpremote, server, packages, small_model):
    """From a web server, as `mpremote mip` does it, and from a folder."""
    for place in (f"{server}/mip", packages):
        mpremote(stock_pico, "mip", "install", f"{place}/6.3/armv6m/package.json")
        mpremote(stock_pico, "cp", small_model, ":model.safetensors")
        teach = """
import bitreplay
me = bitreplay.Learner(bitreplay.load("/model.safetensors"), replay=10, fresh=10, classes=2, train=1)
me.see(bytes(192), "mug")
me.see(bytes([200]) * 192, "cup")
me.learn(progress=False)
print(me.predict(bytes(192))[0])
"""
        assert mpremote(stock_pico, "soft-reset", "exec", teach) == "mug"
        mpremote(stock_pico, "rm", "-r", ":lib")


# To MicroPython, one architecture is as wrong as another.
@pytest.mark.parametrize(
    "arch", ["armv7emsp", *(pytest.param(arch, marks=pytest.mark.slow) for arch in ("rv32imc", "xtensawin", "x64"))]
)
def test_the_wrong_file_does_not_load_and_is_replaced(arch, bitreplay, stock_pico, mpremote, packages):
    mpremote(stock_pico, "mkdir", ":lib", "+", "cp", packages / "6.3" / arch / "_bitreplay.mpy", ":lib/")
    printed = mpremote(stock_pico, "exec", "try: import _bitreplay\nexcept ValueError as error: print(error)")
    assert printed == "incompatible .mpy arch"
    assert bitreplay(stock_pico, "upload", "--install", "--packages", packages)[0] == 0
    assert mpremote(stock_pico, "exec", "import bitreplay; print(bitreplay.__version__)") == VERSION


def test_a_users_module_is_not_removed(bitreplay, stock_pico, mpremote, packages):
    """It would be imported instead of ours: that is told, and nothing is changed."""
    mpremote(
        stock_pico,
        "exec",
        "import os; os.mkdir('/lib'); os.mkdir('/lib/bitreplay'); open('/lib/bitreplay/learner.py', 'w')",
    )
    status, _, error = bitreplay(stock_pico, "upload", "--install", "--packages", packages)
    assert status == 2 and "/lib/bitreplay/learner.py is on the board and would be imported instead" in error
    assert mpremote(stock_pico, "exec", "import os; print(os.listdir('/lib/bitreplay'))") == "['learner.py']"


@pytest.mark.slow  # it installs several times over an emulated serial port: more than a minute
def test_what_is_imported_instead_is_named(bitreplay, stock_pico, mpremote, packages):
    """And what mip had put there is replaced."""
    mpremote(stock_pico, "mip", "install", packages / "6.3" / "armv6m" / "package.json")
    mpremote(stock_pico, "exec", "with open('/bitreplay.py', 'w') as f: f.write('x = 1')")
    status, _, error = bitreplay(stock_pico, "upload", "--install", "--packages", packages)
    assert status == 2 and "bitreplay.py is imported instead of /lib/bitreplay/__init__.mpy: rename it" in error
    mpremote(stock_pico, "rm", ":/bitreplay.py", "+", "rm", ":/lib/bitreplay/installed.txt")
    status, out, _ = bitreplay(stock_pico, "upload", "--install", "--packages", packages)
    assert status == 0 and out.endswith(", replaced what mip had put there\n")


def test_half_a_module_is_replaced(bitreplay, stock_pico, mpremote, packages, tmp_path):
    """On which MicroPython's loader would not end."""
    half = tmp_path / "_bitreplay.mpy"
    half.write_bytes((packages / "6.3" / "armv6m" / "_bitreplay.mpy").read_bytes()[:9000])
    mpremote(stock_pico, "mkdir", ":lib", "+", "cp", half, ":lib/")
    assert bitreplay(stock_pico, "upload", "--install", "--packages", packages)[0] == 0


def test_power_cut_while_installing(bitreplay, emulator, stock_image, mpremote, packages, tmp_path):
    """There is no package then, not half of one; and the next installation is as the first."""
    flash = tmp_path / "flash.bin"
    with emulator(stock_image, flash=flash) as pico:
        for operation in (20, 150, 260):
            pico.cut_power(after_flash_ops=operation)
            status, _, error = bitreplay(pico, "upload", "--install", "--packages", packages)
            pico.wait_for("cut", timeout=10)
            assert status == 2 and error.count("\n") == 1
            pico.power_on()
            there = "try:\n from bitreplay import load\n print(1)\nexcept ImportError: print(0)"
            assert mpremote(pico, "exec", there) == "0"
        assert bitreplay(pico, "upload", "--install", "--packages", packages)[0] == 0
        names = "import os; print(sorted(os.listdir('/lib')), len(os.listdir('/lib/bitreplay')))"
        modules = len(list((packages / "6.3" / "armv6m" / "bitreplay").iterdir()))
        assert mpremote(pico, "exec", names) == f"['_bitreplay.mpy', 'bitreplay'] {modules + 1}"  # and the record


@pytest.mark.slow  # it installs several times over an emulated serial port: more than a minute
def test_a_board_with_its_files_in_flash(bitreplay, stock_pico, mpremote, small_model, packages, tmp_path):
    """As an STM32 has them; here /lib is in sys.path, too, where no files can be."""
    (tmp_path / "boot.py").write_text(IN_FLASH)
    mpremote(stock_pico, "cp", tmp_path / "boot.py", ":boot.py")
    status, out, error = bitreplay(stock_pico, "upload", "--install", small_model, "--packages", packages)
    assert (status, error) == (0, "")
    assert out.startswith("/flash/lib/bitreplay and /flash/lib/_bitreplay.mpy for armv6m: ")
    assert "\n/flash/small.safetensors: " in out and "in RAM>" in out


def test_who_needs_no_install(bitreplay, pico, stock_pico, mpremote, packages, tmp_path):
    """Firmware with BitReplay; and MicroPython that is too old, or says so."""
    status, out, _ = bitreplay(pico, "upload", "--install", "--packages", packages)
    assert (status, out) == (0, "the firmware has BitReplay in it: nothing to install\n")
    (tmp_path / "boot.py").write_text(OLD)
    mpremote(stock_pico, "cp", tmp_path / "boot.py", ":boot.py")
    status, _, error = bitreplay(stock_pico, "upload", "--install", "--packages", packages)
    assert status == 2 and error.count("\n") == 1
    assert (
        "has MicroPython 1.21.0, whose native modules have ABI 6.1" in error and "MicroPython 1.23 or newer" in error
    )
    assert mpremote(stock_pico, "exec", "import os; print(os.listdir('/'))") == "['boot.py']"
