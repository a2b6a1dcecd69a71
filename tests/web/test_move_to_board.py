"""web/board.js at the emulated Pico: learners, models and BitReplay itself on their way, and what cuts that short."""

import hashlib
import json
import os
import select
import shutil
import subprocess
from pathlib import Path

import pytest
from bitreplay_host import paths
from bitreplay_host.device import romfs
from bitreplay_host.device.emulator import EmulatedPico

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODEL = ROOT / "models" / "small.safetensors"
ROMFS = 512 * 1024  # where that partition begins in the flash
CHUNK = 2048
# argument: the model, the file of the learner, how many classes.
TEACH = """
import sys, bitreplay
net = bitreplay.load(sys.argv[1])
me = bitreplay.Learner(net, replay=200, fresh=50, classes=4)
for c in range(int(sys.argv[3])):
    for n in range(25):
        me.see(bytes([(i * (c + 3) + 31 * n) & 255 for i in range(net.image_bytes)]), "class %d" % c)
    me.learn(2, progress=False)
me.save(sys.argv[2])
print(me.digest())
"""
LOAD = "import bitreplay; print(bitreplay.Learner.load(bitreplay.load({!r}), 'me.safetensors').digest())"
FILES = "import os; print([name for name in os.listdir() if name != 'rom'])"
# A program that prints always, and stops at the third Ctrl-C.
MAIN = """
import machine, time
timer = machine.Timer(period=5, mode=machine.Timer.PERIODIC, callback=lambda t: print("raw REPL; R tick >"))
for n in range(3):
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        pass
"""

pytestmark = pytest.mark.emulator


class Session:
    """board.js, connected to a Pico: called with a function's name and arguments, a Path as the bytes of its file.

    pico: an EmulatedPico, or the arguments of at_board.mjs.
    """

    def __init__(self, pico, **options):
        arguments = [pico.url.split(":")[-1]] if isinstance(pico, EmulatedPico) else pico
        command = ["node", HERE / "at_board.mjs", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.call("connect", options)
        except BaseException:
            self.__exit__()
            raise

    def answer(self, *call):
        line = json.dumps(call, default=lambda path: {"file": str(path)})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], 60)[0], f"no answer to {call[0]}"
        return json.loads(self.process.stdout.readline())

    def call(self, *call):
        answer = self.answer(*call)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def error(self, *call):
        answer = self.answer(*call)
        assert "error" in answer, answer
        return answer["error"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.communicate()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """[(file, digest)] of two learners that the unix port was taught, the second with a class more."""
    folder = tmp_path_factory.mktemp("taught")
    (folder / "teach.py").write_text(TEACH)
    learners = []
    for classes in (2, 3):
        state = folder / f"{classes}.safetensors"
        unix = os.environ.get("BITREPLAY_MICROPYTHON") or paths.built("unix/micropython", "unix")
        command = [unix, folder / "teach.py", MODEL, state, str(classes)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        learners.append((state, done.stdout.strip()))
    return learners


@pytest.fixture(scope="module")
def flash_with_model(tmp_path_factory):
    flash = tmp_path_factory.mktemp("flash") / "flash.bin"
    with EmulatedPico(paths.built("rp2/RPI_PICO/firmware.uf2", "firmware"), flash=flash):
        pass
    with flash.open("r+b") as file:
        file.seek(ROMFS)
        file.write(romfs.build([romfs.file_entry(MODEL.name, MODEL.read_bytes())]))
    return flash


@pytest.fixture
def pico(flash_with_model, tmp_path):
    """An emulated Pico with BitReplay's firmware, and a model in ROMFS."""
    flash = tmp_path / "flash.bin"
    shutil.copy(flash_with_model, flash)
    with EmulatedPico(flash=flash) as pico:
        yield pico


def test_a_learner_moves_there_and_back(pico, taught, tmp_path):
    """It is the same there to the bit, predicts there, and comes back as it is then."""
    (state, digest), (other, _) = taught
    with Session(pico) as board:
        found = board.call("check")
        assert found["files"] == [
            {"path": f"/rom/{MODEL.name}", "bytes": MODEL.stat().st_size, "sha256": sha256(MODEL)}
        ]
        assert found["bitreplay"] == "0.1.0" and found["frozen"] and found["version"] == "1.25.0"
        moved = board.call("moveToBoard", state, digest)
        assert moved["digest"] == digest and moved["path"] == "me.safetensors" and moved["free"] > 50000
        assert board.call("predictions", 2) == board.call("predictions", 2)
        board.call("exec", "me.see(bytes(net.image_bytes), 'new'); digest = me.digest()")
        back = board.call("moveFromBoard")
        assert back["digest"] == board.call("exec", "print(digest)") != digest
        assert back["labels"] == ["class 0", "class 1", "new"]
        # What was saved is still what was sent, and neither that nor what is in memory is replaced unasked.
        assert board.call("exec", FILES) == "['me.safetensors']"
        assert "There is a learner in the board's memory: get it from" in board.error("moveToBoard", other, digest)
        board.call("exec", "del me")
        assert "There is a me.safetensors on the board: get it from" in board.error("moveToBoard", other, digest)
        assert board.call("sameFile", "me.safetensors", state)


def test_a_board_that_says_otherwise_keeps_the_old_learner(pico, taught):
    (old, old_digest), (new, digest) = taught
    with Session(pico) as board:
        board.call("moveToBoard", old, old_digest)
        error = board.error("moveToBoard", new, old_digest, {"replace": True})
        assert f"is another than this one (sha256 {digest[:8]}...)" in error
        assert board.call("exec", FILES) == "['me.safetensors']"
        assert board.call("sameFile", "me.safetensors", old)
        assert "is no file of a learner" in board.error("moveToBoard", MODEL, digest)
        assert board.call("moveToBoard", new, digest, {"replace": True})["digest"] == digest


@pytest.mark.parametrize("what", ["cable", "power"])
def test_cut_short_the_old_learner_loads(pico, taught, what):
    (old, old_digest), (new, _) = taught
    with Session(pico) as board:
        board.call("put", "me.safetensors", old)
        if what == "power":
            pico.cut_power(after_flash_ops=6, torn=True)
            board.process.stdin.write(json.dumps(["put", "me.safetensors", {"file": str(new)}]) + "\n")
            board.process.stdin.flush()
            pico.wait_for("cut", timeout=30)
        else:
            error = board.error("cut", "put", CHUNK, "me.safetensors", new)
            assert error == "The connection broke off: plug the board in again, and repeat this."
        board.process.kill()
    if what == "power":
        pico.power_on()
    with Session(pico) as board:
        assert board.call("exec", LOAD.format(f"/rom/{MODEL.name}")) == old_digest
        board.call("put", "me.safetensors", new)
        assert board.call("sameFile", "me.safetensors", new)
        assert board.call("exec", FILES) == "['me.safetensors']"


def test_garbage_before_the_prompt(pico, taught):
    """An answer that lost its beginning, and a program that prints and catches Ctrl-C."""
    with Session(pico, bite="EPL; CTRL-B to exit\r\n>raw R\x04\x04>\r\nOK") as board:
        assert board.call("exec", "print(6 * 7)") == "42"
        board.call("exec", f"f = open('main.py', 'w'); f.write({MAIN!r}); f.close()")
    pico.reset()
    with Session(pico) as board:
        board.call("exec", "timer.deinit()")
        assert board.call("exec", "print(6 * 7)") == "42"
        board.call("put", "me.safetensors", taught[0][0])
        # Half of a pasted statement, as of a page that was closed.
        board.call("half", "print('half')" + " " * 500)
    with Session(pico) as board:
        assert board.call("exec", "print(6 * 7)") == "42"


def test_errors_tell_what_to_do(pico, taught):
    state, digest = taught[0]
    with Session(pico) as board:
        assert "ZeroDivisionError" in board.error("exec", "1 / 0")
        assert "There is no none on the board" in board.error("get", "none")
        assert "There is no learner in the board's memory" in board.error("predictions", 1)
        big = board.call("exec", "f = open('big', 'wb')\nfor n in range(250): _ = f.write(bytes(4096))\nf.close()")
        assert big == ""
        assert "remove files there" in board.error("put", "me.safetensors", MODEL)
        board.call("exec", "import os; os.remove('big')")
        assert "there is nothing to install" in board.error("install", {"version": "0", "files": {}})
        assert "which would be lost" in board.error("putModel", "other.safetensors", MODEL)
        pico.cut_power()
        assert "does not answer as MicroPython does" in board.error("check")


def test_a_board_without_bitreplay_gets_it(taught, tmp_path):
    """And its model, into ROMFS if it has that; a learner moves there then."""
    state, digest = taught[0]
    with EmulatedPico(paths.built("rp2/stock/firmware.uf2", "stock-pico")) as pico, Session(pico) as board:
        found = board.call("check")
        assert found["bitreplay"] is None and found["architecture"] == "armv6m" and found["abi"] == "6.3"
        error = board.error("moveToBoard", state, digest)
        assert error == "The board has no BitReplay: install it, or give the board BitReplay's firmware."
        board.call(
            "exec", "import os; os.mkdir('/lib'); f = open('/lib/_bitreplay.mpy', 'w'); f.write('mine'); f.close()"
        )
        packages = str(paths.built("mip", "mip"))
        assert "/lib/_bitreplay.mpy is on the board and does not belong to BitReplay" in board.error(
            "installFrom", packages
        )
        board.call("exec", "import os; os.remove('/lib/_bitreplay.mpy')")
        board.call("installFrom", packages)
        assert board.call("putModel", MODEL.name, MODEL) == MODEL.name
        assert board.call("check")["bitreplay"] == "0.1.0"
        assert board.call("moveToBoard", state, digest)["digest"] == digest


def test_a_model_goes_to_romfs(flash_with_model, taught, tmp_path):
    state, digest = taught[0]
    with EmulatedPico(paths.built("rp2/RPI_PICO/firmware.uf2", "firmware")) as pico, Session(pico) as board:
        error = board.error("moveToBoard", state, digest)
        assert error == "The board lacks this learner's model: put the model on the board first."
        assert board.call("putModel", MODEL.name, MODEL) == f"/rom/{MODEL.name}"
        assert "allow that it is replaced" in board.error("putModel", MODEL.name, MODEL)
        assert board.call("putModel", MODEL.name, MODEL, {"replace": True}) == f"/rom/{MODEL.name}"
        assert board.call("moveToBoard", state, digest)["digest"] == digest
        assert board.call("exec", "print(net.in_place)") == "True"


def test_the_pico_in_the_page(taught):
    """It boots with a model in its Worker, gets a learner, and keeps its files over a reset."""
    (state, digest), _ = taught
    folder = paths.built("web/pico/worker.js", "web-pico").parent
    with Session([folder, MODEL]) as board:
        assert board.call("moveToBoard", state, digest)["digest"] == digest
        assert "busy with something else" in board.error("twice", "check")
        board.call("disconnect")
        board.call("reset")
        board.call("connect", {})
        assert board.call("sameFile", "me.safetensors", state)
        assert board.call("exec", LOAD.format(f"/rom/{MODEL.name}")) == digest


def test_a_pico_without_its_files_says_so(tmp_path):
    folder = paths.built("web/pico/worker.js", "web-pico").parent
    shutil.copytree(folder, tmp_path / "pico", ignore=lambda *_: ["firmware.bin"])
    with pytest.raises(AssertionError, match=r"The emulated Pico stopped \(.*firmware.bin.*\): reload the page."):
        Session([tmp_path / "pico", MODEL])


def test_images_of_romfs_are_the_hosts():
    """Whatever the length of the name makes of addresses."""
    program = """
import { image } from "./web/romfs.js";
const all = JSON.parse(process.argv[1]).map(([name, size]) => image(name, new Uint8Array(size).fill(7)));
process.stdout.write(Buffer.concat(all).toString("hex"));
"""
    files = [("a" * length, size) for length in (1, 2, 3, 4, 130) for size in (0, 1, 127, 128, 20000)]
    command = ["node", "--input-type=module", "-e", program, json.dumps(files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 0, done.stderr
    images = [romfs.build([romfs.file_entry(name, bytes([7]) * size)]) for name, size in files]
    assert done.stdout == b"".join(images).hex()
