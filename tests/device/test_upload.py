"""bitreplay upload on the emulated Pico: what gets there, what stays there, and mistakes."""

import subprocess
import sys
from pathlib import Path

from bitreplay_host.device import romfs
from bitreplay_host.device.board import chunks

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "backbone.safetensors"
BLOCK = 4096
ROMFS = 512 * 1024  # where the partition begins in the flash, and its size
LIST = "import os; print(sorted(os.listdir('/rom')))"
IN_PLACE = """
import bitreplay, os
print([bitreplay.load('/rom/' + name).in_place for name in os.listdir('/rom') if name.endswith('.safetensors')])
"""
CUT_SHORT = "with open('/small.safetensors.bitreplay', 'wb') as f:\n for i in range(200): n = f.write(bytes(4096))"
# For boot.py: what a board could be like.
NO_ROMFS = """
import sys, vfs
class Vfs:
    umount = vfs.umount
sys.modules["vfs"] = Vfs
"""
IN_FLASH = """
import os, rp2, vfs
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(rp2.Flash(), progsize=256), "/flash")
os.chdir("/flash")
"""
BAD_FLASH = """
import hashlib, sys
class Hash:
    def __init__(self): pass
    def update(self, part): pass
    def digest(self): return bytes(32)
class Module:
    sha256 = Hash
sys.modules["hashlib"] = Module
"""


def test_the_shipped_model(pico, mpremote, flash_with_model, tmp_path):
    """By the command itself: whole, in place, and where the other tests have it."""
    command = [Path(sys.executable).parent / "bitreplay", "upload", MODEL, "--port", pico.port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, found, _, *session = done.stdout.splitlines()
    assert first == f"/rom/backbone.safetensors: {MODEL.stat().st_size} bytes, verified"
    assert found.startswith("<Network backbone") and found.endswith("in flash>")
    assert len(session) == 4 and all(line.startswith(">>> ") for line in session)
    lines = "\n".join(line.removeprefix(">>> ") for line in session[:3])
    assert mpremote(pico, "exec", lines + "\nprint(me.config['replay'])") == "500"


def test_all_are_used_in_place(bitreplay, pico, mpremote, small_model):
    """Whatever the lengths of names make of addresses; models of other names stay, one of the same is replaced."""
    for name in ("a", "ab", "abc.safetensors", "abcd", "abc"):
        status, out, _ = bitreplay(pico, "upload", small_model, "--name", name)
        assert status == 0 and "in flash>" in out
    assert mpremote(pico, "exec", LIST) == str([f"{name}.safetensors" for name in ("a", "ab", "abc", "abcd")])
    assert mpremote(pico, "exec", IN_PLACE) == "[True, True, True, True]"
    before = pico.stats()["erases"]
    assert bitreplay(pico, "upload", small_model, "--name", "ab")[0] == 0
    assert pico.stats()["erases"] - before < 4  # it is there already
    assert bitreplay(pico, "upload", small_model, "--only")[0] == 0
    assert mpremote(pico, "exec", LIST) == "['small.safetensors']"


def test_what_mpremote_deployed_stays(bitreplay, pico, mpremote, small_model, tmp_path):
    (tmp_path / "files" / "folder").mkdir(parents=True)
    (tmp_path / "files" / "folder" / "greet.py").write_text("print('hello')")
    (tmp_path / "files" / "odd.txt").write_text("odd")
    mpremote(pico, "romfs", "--no-mpy", "deploy", tmp_path / "files")
    assert bitreplay(pico, "upload", small_model)[0] == 0
    assert mpremote(pico, "exec", LIST) == "['folder', 'odd.txt', 'small.safetensors']"
    greet = "import folder.greet; print(open('/rom/odd.txt').read())"
    assert mpremote(pico, "exec", greet).split() == ["hello", "odd"]


def test_too_much_changes_nothing(bitreplay, pico_with_model, mpremote):
    status, _, error = bitreplay(pico_with_model, "upload", MODEL, "--name", "second")
    assert status == 2 and error.count("\n") == 1
    assert "does not fit" in error and "beside backbone.safetensors (343428)" in error and "--only" in error
    assert mpremote(pico_with_model, "exec", LIST) == "['backbone.safetensors']"


def test_power_cuts(bitreplay, pico, mpremote, small_model):
    """No filesystem is left then, not half of one; and the next upload is as the first."""
    assert bitreplay(pico, "upload", small_model, "--name", "first")[0] == 0
    pico.take_snapshot()
    first, second = (romfs.file_entry(f"{name}.safetensors", small_model.read_bytes()) for name in ("first", "second"))
    old, new = (list(chunks(romfs.build(models), BLOCK)) for models in ([first], [first, second]))
    changed = sum(old[n : n + 1] != new[n : n + 1] for n in range(1, len(new)))
    assert changed >= 1
    # The first block is erased, the changed ones are erased and programmed, the first is programmed, then the magic.
    end = 1 + changed * (1 + BLOCK // 256) + BLOCK // 256 + 1
    mended = set()
    for operation in (1, 17, *range(end - 17, end, 5), end - 1):
        torn = operation % 2 == 1
        pico.restore()
        pico.cut_power(after_flash_ops=operation, torn=torn)
        status, _, error = bitreplay(pico, "upload", small_model, "--name", "second")
        cut = pico.wait_for("cut", timeout=10)
        assert ROMFS <= cut["address"] < 2 * ROMFS
        assert status == 2 and error.count("\n") == 1
        pico.power_on()
        there = "import os; print(sorted(name for name in os.listdir('/') if name == 'rom'))"
        assert mpremote(pico, "exec", there) == "[]", operation
        if torn not in mended:
            assert bitreplay(pico, "upload", small_model)[0] == 0
            assert mpremote(pico, "exec", LIST) == "['small.safetensors']"
            mended.add(torn)
    assert mended == {False, True}


def put_boot(mpremote, pico, tmp_path, code):
    (tmp_path / "boot.py").write_text(code)
    mpremote(pico, "cp", tmp_path / "boot.py", ":boot.py")


def test_a_board_without_romfs(bitreplay, pico, mpremote, small_model, tmp_path):
    put_boot(mpremote, pico, tmp_path, NO_ROMFS)
    mpremote(pico, "exec", CUT_SHORT)
    for _ in range(2):
        status, out, _ = bitreplay(pico, "upload", small_model)
        assert status == 0 and out.startswith("/small.safetensors: ") and "in RAM>" in out
    assert mpremote(pico, "exec", "import os; print(os.listdir('/'))") == "['boot.py', 'small.safetensors']"
    mpremote(pico, "exec", "with open('/full', 'wb') as f:\n for i in range(249): n = f.write(bytes(4096))")
    status, _, error = bitreplay(pico, "upload", small_model, "--name", "second")
    assert status == 2 and "/second.safetensors has " in error and "are free on the board" in error
    assert error.count("\n") == 1


def test_a_board_with_its_files_in_flash(bitreplay, pico, mpremote, small_model, tmp_path):
    """As an STM32 has them; / has no files."""
    put_boot(mpremote, pico, tmp_path, IN_FLASH + NO_ROMFS)
    for _ in range(2):
        status, out, error = bitreplay(pico, "upload", small_model)
        assert (status, error) == (0, "") and out.startswith("/flash/small.safetensors: ") and "in RAM>" in out
    assert mpremote(pico, "exec", "import os; print(os.listdir())") == "['boot.py', 'small.safetensors']"
    assert bitreplay(pico, "verify", "--model", small_model, "--repeats", "1")[0] == 0
    assert mpremote(pico, "exec", "import os; print(os.listdir())") == "['boot.py', 'small.safetensors']"


def test_what_cannot_be_read_back_is_told(bitreplay, pico, mpremote, small_model, tmp_path):
    put_boot(mpremote, pico, tmp_path, BAD_FLASH)
    status, out, error = bitreplay(pico, "upload", small_model)
    assert (status, out) == (2, "") and "/rom/small.safetensors is not what was sent" in error
