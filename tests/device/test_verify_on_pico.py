"""bitreplay verify on the emulated Pico: it matches; what does not is located, there as on the unix port."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bitreplay_host import reference
from broken import BROKEN

LOCATED = pytest.mark.slow  # half a minute each, for what `verify` does on the unix port, too
STEPS = 20  # of the trainings, 5 each
FLIP = (
    "result = right.{kernel}(*arguments); "
    "arguments[{argument}][{byte}] ^= {bit} * (Broken.calls == 2 and sys.argv[0] == '{script}'); return result"
)


@pytest.fixture
def breaks(pico, mpremote, tmp_path):
    """A function: gives the Pico another `kernel`, whose body is a line of Python."""

    def run(kernel, body):
        boot = tmp_path / "boot.py"
        # It runs when verify starts MicroPython anew: then the kernels are these.
        boot.write_text(BROKEN.format(kernel=kernel, body=body, names=reference.__all__))
        mpremote(pico, "cp", boot, ":boot.py")

    return run


@pytest.fixture
def verify(pico, bitreplay, small_model):
    """A function: verifies the Pico with the small model; returns the exit status and the lines that it printed."""

    def run():
        status, out, _ = bitreplay(pico, "verify", "--model", small_model, "--repeats", "2")
        return status, out.splitlines()

    return run


def test_the_pico_matches(verify, pico, mpremote):
    status, lines = verify()
    assert (status, lines[-1]) == (0, "every bit matches")
    assert sum(line.endswith(" ok") for line in lines) == len(reference.KERNELS) + STEPS == len(lines) - 1
    assert mpremote(pico, "exec", "import os; print(os.listdir('/'))") == "['rom']"


@LOCATED
@pytest.mark.parametrize(
    ("kernel", "argument", "byte", "bit", "place", "difference"),
    [
        ("bconv2d", 7, 11, 128, "argument y, index 11", 128),
        ("dot_tables", 3, 5, 1, "argument out, index 1", 256),
    ],
)
def test_a_wrong_bit_is_located(breaks, verify, kernel, argument, byte, bit, place, difference):
    breaks(kernel, FLIP.format(kernel=kernel, argument=argument, byte=byte, bit=bit, script="run_calls.py"))
    status, lines = verify()
    assert status == 1 and lines[-1] == "1 difference"
    (located,) = [line for line in lines if line.startswith(f"{kernel}, ")]
    where, _, values = located.partition(": expected ")
    assert where == f"{kernel}, call 2 of 2: {place}"
    expected, got = map(int, values.split(", got "))
    assert expected ^ got in (difference, difference - 256)
    assert f"{kernel:18} 2 calls  1 WRONG" in lines


@LOCATED
def test_a_wrong_bit_in_training_is_located(breaks, verify):
    breaks("bconv2d_dx", FLIP.format(kernel="bconv2d_dx", argument=10, byte=0, bit=64, script="train_digests.py"))
    status, lines = verify()
    assert status == 1
    wrong = [line for line in lines if not line.endswith(" ok")]
    assert wrong[0].startswith("training: all layers, experience 1 ") and wrong[0].endswith(" WRONG")
    assert wrong[1].startswith("training, all layers, experience 1: expected ")


@LOCATED
def test_a_kernel_that_fails_is_located(breaks, verify, pico):
    breaks("dense", "raise (ValueError('x: is not y') if Broken.calls < 2 else SystemExit())")
    status, lines = verify()
    assert status == 1
    assert "dense, call 1 of 2: ValueError: x: is not y" in lines
    assert "dense, call 2 of 2: no reply" in lines


def test_a_board_without_bitreplay(pico, mpremote, bitreplay, small_model, tmp_path):
    (tmp_path / "boot.py").write_text("import sys\nclass Empty: pass\nsys.modules['bitreplay.learner'] = Empty\n")
    mpremote(pico, "cp", tmp_path / "boot.py", ":boot.py")
    status, _, error = bitreplay(pico, "verify", "--model", small_model)
    assert status == 2 and error.endswith("has no BitReplay: bitreplay flash, or bitreplay upload --install\n")
    status, out, _ = bitreplay(pico, "upload", small_model)
    assert status == 0 and "MicroPython on this board has no bitreplay" in out


def test_ctrl_c(pico, mpremote, small_model):
    """It stops what runs on the board too, which is at its prompt then, without a file of ours."""
    program = Path(sys.executable).parent / "bitreplay"
    command = [program, "verify", "--port", pico.port, "--model", small_model, "--repeats", "10"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout.readline().endswith(" ok\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == "\nbitreplay: stopped\n"
    assert mpremote(pico, "resume", "exec", "import os; print(os.listdir('/'))") == "[]"
