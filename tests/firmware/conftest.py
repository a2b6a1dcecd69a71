"""The unix port of MicroPython, and CPython, to run the package for the board in."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"

import deep  # noqa: E402
from bitreplay import load  # noqa: E402
from example_data import EXAMPLES  # noqa: E402
from synthetic import Synthetic  # noqa: E402

import models  # noqa: E402


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The path of a tiny model."""
    return models.tiny_model(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture
def net(model):
    return load(model)


@pytest.fixture(scope="session")
def deep_model(tmp_path_factory):
    """The path of a model with three binary layers above its latent."""
    return models.save(tmp_path_factory.mktemp("model") / "deep.safetensors", deep.deep())


@pytest.fixture
def deep_net(deep_model):
    return load(deep_model)


@pytest.fixture
def synthetic(net):
    return Synthetic(net.latent_bytes)


@pytest.fixture(scope="session")
def micropython():
    """A function: runs a script with arguments in the unix port on the package in firmware/; returns its output.

    answer(process, line), if given, is called with every line of output when it comes.
    """
    # Another build, for example build/unix-asan/micropython, can be named.
    return run_in("unix", os.environ.get("BITREPLAY_MICROPYTHON"))


@pytest.fixture(scope="session")
def micropython_of_tests():
    """As `micropython`, in the build with sanitizers and failing allocations."""
    return run_in("unix-asan")


def run_in(build, other=None):
    binary = Path(other or ROOT / "build" / build / "micropython")
    if not binary.exists():
        if os.environ.get("BITREPLAY_SKIP_UNIX"):
            pytest.skip("BITREPLAY_SKIP_UNIX is set")
        pytest.fail(f"{binary} is missing: run `make {build}`, or set BITREPLAY_SKIP_UNIX")

    def run(script, *arguments, heap="4m", answer=None):
        command = [binary, "-X", f"heapsize={heap}", "-c", script, *arguments]
        return execute(command, {"MICROPYPATH": str(FIRMWARE)}, answer)

    return run


@pytest.fixture(scope="session")
def cpython():
    """As `micropython`, in CPython."""

    def run(script, *arguments, answer=None):
        path = os.pathsep.join([str(FIRMWARE), str(ROOT / "host_tools")])
        return execute([sys.executable, "-u", "-c", script, *arguments], {"PYTHONPATH": path}, answer)

    return run


def execute(command, variables, answer):
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        # Under nohup, or as a background job, SIGINT is ignored, and Python would leave it so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # What hangs is ended, and fails.
    timer = threading.Timer(300, process.kill)
    timer.start()
    lines = []
    with process:
        for line in process.stdout:
            lines.append(line)
            if answer:
                answer(process, line)
    timer.cancel()
    output = "".join(lines)
    assert process.returncode == 0, output
    return output


@pytest.fixture
def run_example(micropython):
    """A function: runs an example as a user would, with these arguments and lines of input; returns its output."""
    binary = os.environ.get("BITREPLAY_MICROPYTHON", ROOT / "build" / "unix" / "micropython")

    def run(name, *arguments, lines=""):
        environment = {**os.environ, "MICROPYPATH": str(FIRMWARE)}
        command = [binary, EXAMPLES / name, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, input=lines, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def call_example(micropython):
    """A function: runs a script that imports an example; returns what it prints last, as JSON."""

    def call(script, *arguments):
        return json.loads(micropython(f"import sys; sys.path.append({str(EXAMPLES)!r})\n{script}", *arguments))

    return call
