"""The emulated Pico: boots, keeps what it should and loses what it should."""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import serial
from bitreplay_host import cli, paths
from bitreplay_host.commands import emulate
from bitreplay_host.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
POWER_ON, WATCHDOG = "1", "3"  # machine.reset_cause()
CAUSE = "import machine; print(machine.reset_cause())"
COUNTERS = ("cycles", "seconds", "boots", "erases", "programs")
WRITE = """
content = CONTENT
with open("/new.txt", "w") as file:
    file.write(content)
import os
os.rename("/new.txt", "/state.txt")
"""


def write(content):
    return WRITE.replace("CONTENT", repr(content))


@pytest.fixture
def terminal(pico):
    """The serial port, at the prompt."""
    with serial.Serial(pico.port, timeout=20) as terminal:
        terminal.write(b"\r\x03")
        assert terminal.read_until(b">>> ").endswith(b">>> ")
        yield terminal


def test_flash():
    files = sorted((ROOT / "boards" / "emulator" / "test").glob("*.test.mjs"))
    command = ["node", "--test", "--test-reporter=tap", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert files and "# pass 0" not in done.stdout


def test_repl(pico, mpremote):
    assert mpremote(pico, "exec", "import sys; print(sys.platform, 6 * 7, 1 / 8)") == "rp2 42 0.125"
    # As a program of its own: until it has started, all that the other connection was told has come.
    command = [sys.executable, "-m", "mpremote", "connect", pico.url, "exec", "print(6 * 7)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "42", done.stdout + done.stderr
    stats = pico.stats()
    assert stats["boots"] == 1 and stats["state"] == "running" and stats["cycles"] > 1e5


def test_files_survive(emulator, mpremote, tmp_path):
    flash = tmp_path / "flash.bin"
    with emulator(flash=flash) as pico:
        mpremote(pico, "exec", write("kept"), "exec", "x = 1")
        mpremote(pico, "reset")
        pico.wait_for("reset", timeout=10)
        pico.wait_for("usb", timeout=10)
        assert mpremote(pico, "exec", CAUSE, "exec", "print('x' in globals())").split() == [WATCHDOG, "False"]
        assert mpremote(pico, "cat", ":/state.txt") == "kept"
        pico.reset()
        assert mpremote(pico, "exec", CAUSE) == POWER_ON
        assert mpremote(pico, "cat", ":/state.txt") == "kept"
        pico._process.send_signal(signal.SIGKILL)
    with emulator(image=None, flash=flash) as pico:
        assert mpremote(pico, "cat", ":/state.txt") == "kept"
    with emulator(flash=flash) as pico:  # new firmware leaves the files
        assert mpremote(pico, "cat", ":/state.txt") == "kept"


def send_script(terminal, script):
    terminal.write(b"\r\x01" + script.encode() + b"\x04")


def start_script(terminal, script):
    """Starts a script by raw REPL and leaves it running."""
    send_script(terminal, script)
    assert terminal.read_until(b"OK").endswith(b"OK")


BITE = "import machine, time; machine.mem32[0x4005800C] = 0x1234ABCD; machine.WDT(timeout=200); "


@pytest.mark.parametrize("meanwhile", ["exec('while True: pass')", "time.sleep(1000)"])
def test_the_watchdog_resets_as_a_picos_does(terminal, pico, mpremote, meanwhile):
    """The scratch registers and the reason survive, RAM's objects and the watchdog itself do not."""
    terminal.write(f"{BITE}{meanwhile}\r\r\r".encode())
    pico.wait_for("reset", timeout=10)
    pico.wait_for("usb", timeout=10)
    scratch = "print(hex(machine.mem32[0x4005800C]))"
    assert mpremote(pico, "exec", f"{CAUSE}; {scratch}").split() == [WATCHDOG, "0x1234abcd"]
    assert mpremote(pico, "exec", "import time; time.sleep(1); print('time' in globals())") == "True"
    assert pico.stats()["boots"] == 2
    mpremote(pico, "reset")
    pico.wait_for("reset", timeout=10)
    pico.wait_for("usb", timeout=10)
    assert mpremote(pico, "exec", CAUSE) == WATCHDOG
    pico.reset()
    assert mpremote(pico, "exec", CAUSE) == POWER_ON


def test_a_watchdog_that_is_fed_does_not_bite(pico, mpremote):
    feed = "import machine, time; dog = machine.WDT(timeout=300)\nfor _ in range(20):\n time.sleep(0.05); dog.feed()"
    assert mpremote(pico, "exec", f"{feed}\nprint('fed')") == "fed"
    assert pico.stats()["boots"] == 1


@pytest.mark.parametrize("torn", [False, True])
def test_power_cut_while_writing(pico, mpremote, torn):
    mpremote(pico, "exec", write("old " * 300))
    before = pico.stats()
    mpremote(pico, "exec", write("old " * 300))
    after = pico.stats()
    operations = after["erases"] + after["programs"] - before["erases"] - before["programs"]
    assert operations >= 4
    for cut_after in (0, 1, operations // 2):
        with serial.Serial(pico.port, timeout=20) as terminal:
            terminal.write(b"\r\x03")
            assert terminal.read_until(b">>> ").endswith(b">>> ")
            pico.cut_power(after_flash_ops=cut_after, torn=torn)
            # "OK" is not waited for: power may be gone before it has come.
            send_script(terminal, write("new " * 300))
            cut = pico.wait_for("cut", timeout=10)
            assert cut["during"] in ("erase", "program") and cut["torn"] is torn
        assert pico.stats()["state"] == "off"
        with pytest.raises(UserError, match="the Pico is off"):
            pico.reset()
        pico.power_on()
        assert mpremote(pico, "exec", CAUSE) == POWER_ON
        assert mpremote(pico, "cat", ":/state.txt") in (("old " * 300).strip(), ("new " * 300).strip())


def test_power_cut_after_cycles(pico, mpremote):
    # By the chip's clock alone, which stands still in a sleep of 50 ms and then makes up for it.
    before = pico.stats()["seconds"]
    pico.cut_power(after_cycles=25_000_000)
    after = pico.stats()["seconds"]
    assert pico.wait_for("cut", timeout=10)["during"] is None
    assert before - 1e-6 <= pico.stats()["seconds"] - 0.2 <= after + 1e-6
    pico.power_on()
    assert mpremote(pico, "exec", CAUSE) == POWER_ON


BUSY = """
import hashlib, time
print("ready")
while True:
    digest = hashlib.sha256()
    for i in range(20):
        digest.update(bytes(1000))
    time.sleep_ms(3)
    with open("/digest", "wb") as file:
        file.write(digest.digest())
"""


@pytest.mark.parametrize("cache", [False, True])
def test_from_a_snapshot_it_goes_on_in_the_same_way(cache, emulator, mpremote, tmp_path):
    """To the same cycle and the same bits of flash, in the middle of what it did, whatever happened in between."""
    flash = tmp_path / "flash.bin"
    with emulator(flash=flash, cache=cache) as pico:
        with pytest.raises(UserError, match="no snapshot was taken"):
            pico.restore()
        pico.cut_power(after_flash_ops=7, torn=True)
        with serial.Serial(pico.port, timeout=20) as port:
            start_script(port, BUSY)
            port.read_until(b"ready")
            pico.take_snapshot()
        ends = []
        for _ in range(3):
            cut = pico.wait_for("cut", timeout=30)
            assert cut["torn"]
            ends.append((cut, *(pico.stats()[name] for name in COUNTERS), flash.read_bytes()))
            with pytest.raises(UserError, match="no snapshot before its serial port is there"):
                pico.take_snapshot()
            pico.power_on()
            mpremote(pico, "exec", write("other"))
            pico.restore()
        assert ends[0] == ends[1] == ends[2]
        pico.wait_for("cut", timeout=30)
        pico.power_on()
        assert mpremote(pico, "exec", "import os; print('state.txt' in os.listdir('/'))") == "False"


def test_bootsel(emulator, mpremote, image, tmp_path):
    """An empty Pico is a drive; so is one that is asked to be."""
    drive = tmp_path / "RPI-RP2"
    with emulator(image=None, flash=tmp_path / "flash.bin", bootsel_drive=drive) as pico:
        assert pico.stats()["state"] == "bootsel"
        assert "Board-ID: RPI-RP2" in (drive / "INFO_UF2.TXT").read_text()
        for name in ("wrong chip", "firmware"):
            content = bytearray(image.read_bytes())
            if name == "wrong chip":
                content[28:32] = (0xE48BFF59).to_bytes(4, "little")
            (drive / f"{name}.uf2").write_bytes(content)
            pico.wait_for("refused" if name == "wrong chip" else "flashed", timeout=10)
        pico.wait_for("usb", timeout=10)
        assert not drive.exists()
        mpremote(pico, "exec", write("kept"))
        mpremote(pico, "bootloader")
        pico.wait_for("bootsel", timeout=10)
        shutil.copy(image, drive)
        pico.wait_for("usb", timeout=10)
        assert mpremote(pico, "cat", ":/state.txt") == "kept"


def test_an_existing_folder_is_no_drive(emulator, tmp_path):
    with pytest.raises(UserError, match="exists already"), emulator(bootsel_drive=tmp_path):
        pass
    assert tmp_path.exists()


def test_ctrl_c_while_busy(terminal):
    start_script(terminal, "print('busy')\nwhile True:\n    pass")
    assert terminal.read_until(b"busy\r\n").endswith(b"busy\r\n")
    terminal.write(b"\x03")
    assert terminal.read_until(b"KeyboardInterrupt").endswith(b"KeyboardInterrupt")


def test_bytes_both_ways(terminal):
    content = random.Random(1).randbytes(100_000)
    start_script(
        terminal,
        f"""
import micropython, sys
micropython.kbd_intr(-1)
for i in range({len(content) // 1000}):
    sys.stdout.buffer.write(sys.stdin.buffer.read(1000))
""",
    )
    writer = threading.Thread(target=terminal.write, args=(content,))
    writer.start()
    assert terminal.read(len(content)) == content
    writer.join()


def test_cycles_are_exact(pico, mpremote):
    script = """
import machine, micropython
@micropython.asm_thumb
def cycles(r0, r1):
    ldr(r2, [r1, 0])
    label(AGAIN)
    sub(r0, r0, 1)
    bne(AGAIN)
    ldr(r3, [r1, 0])
    sub(r0, r2, r3)
machine.mem32[0xe000e014] = 0xffffff
machine.mem32[0xe000e010] = 5
for i in range(2):
    state = machine.disable_irq()
    counts = [cycles(n, 0xe000e018) & 0xffffff for n in (1000, 2000)]
    machine.enable_irq(state)
    print(counts)
"""
    # 1 for SUBS and 2 for each branch that is taken, 1 for the last; 2 for LDR.
    assert mpremote(pico, "exec", script).splitlines() == ["[3001, 6001]"] * 2


def test_sleep_takes_as_long_as_it_says(pico, mpremote):
    mpremote(pico, "exec", "import time")
    start = time.monotonic()
    ticks = "t = time.ticks_us(); time.sleep(1); print(time.ticks_diff(time.ticks_us(), t) // 10000)"
    assert mpremote(pico, "resume", "exec", ticks) == "100"
    assert time.monotonic() - start >= 1


def test_faults_stop_it(terminal, pico):
    """What would be a HardFault, rp2040js lets pass: a word at an odd address."""
    start_script(terminal, "import machine\n@micropython.asm_thumb\ndef f(r0):\n    ldr(r0, [r0, 0])\nf(0x20000001)")
    assert "not 32 bit aligned" in pico.wait_for("stopped", timeout=10)["reason"]


def test_ends_with_its_parent(image):
    script = f"""
import sys
from pathlib import Path
from bitreplay_host.device.emulator import EmulatedPico
with EmulatedPico(Path({str(image)!r})) as pico:
    print(pico._process.pid, flush=True)
    sys.stdin.read()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "host_tools")}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        node = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        ended, _, _ = select.select([node], [], [], 10)
        os.close(node)
    assert ended


def test_command_line(image, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    link = tmp_path / "pico"
    child = "import os, sys; print(os.readlink(sys.argv[1])); sys.exit(7)"
    options = ["emulate", "--image", str(image), "--link", str(link)]
    assert cli.main([*options, "--", sys.executable, "-c", child, "{port}"]) == 7
    assert capfd.readouterr().out.startswith("/dev/pts/")
    assert not link.is_symlink()


@pytest.mark.parametrize("target", ["/dev/pts/999999", "no such file"])
def test_a_link_that_is_there(target, tmp_path):
    """One to a port that is gone is an emulator's; any other is the user's."""
    path = tmp_path / "pico"
    path.symlink_to(target)
    if not target.startswith("/dev/pts/"):
        with pytest.raises(UserError, match=f"--link {path} is there"), emulate._link(path, "/dev/pts/1"):
            pass
        assert os.readlink(path) == target
        return
    with emulate._link(path, "/dev/pts/1") as name:
        assert (name, os.readlink(path)) == (str(path), "/dev/pts/1")
    assert not path.is_symlink()


@pytest.mark.parametrize("other", ["a link", "a file"])
def test_a_link_that_was_replaced_stays(other, tmp_path):
    path = tmp_path / "pico"
    with emulate._link(path, "/dev/pts/1"):
        path.unlink()
        path.symlink_to("/dev/pts/2") if other == "a link" else path.write_text("mine")
    assert os.readlink(path) == "/dev/pts/2" if other == "a link" else path.read_text() == "mine"


@pytest.mark.parametrize(
    "options, message",
    {
        "--image NOWHERE": "NOWHERE is missing: run `make firmware BOARD=RPI_PICO`",
        "--image TEXT": "TEXT is not a whole UF2 file",
        "--flash FOLDER": "FOLDER",
    }.items(),
)
def test_mistakes(options, message, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    places = {name: str(tmp_path / name) for name in ("NOWHERE", "TEXT", "FOLDER")}
    Path(places["TEXT"]).write_text("text")
    Path(places["FOLDER"]).mkdir()
    assert cli.main(["emulate", *(places.get(word, word) for word in options.split())]) == 2
    said = capsys.readouterr().err
    assert message.replace("NOWHERE", places["NOWHERE"]) in said
    assert said.startswith("bitreplay: ") and said.count("\n") == 1


def test_without_a_build(image, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    assert cli.main(["emulate", "--image", str(image)]) == 2
    assert "run `make emulator`" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["emulate", "--image", str(image)]) == 2
    assert "needs node" in capsys.readouterr().err


def test_a_file_that_is_no_flash_is_left_alone(emulator, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    with pytest.raises(UserError, match=f"{file} is no file with a flash"), emulator(None, flash=file):
        pass
    assert file.read_text() == "notes"


def test_two_emulators_on_one_file(emulator, tmp_path):
    flash = tmp_path / "flash.bin"
    with emulator(flash=flash) as pico:
        with pytest.raises(UserError, match=f"{flash} is in use"), emulator(None, flash=flash):
            pass
        assert pico.stats()["state"] == "running"
