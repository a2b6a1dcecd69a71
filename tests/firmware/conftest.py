"""The package for the board on the path, and the unix port of MicroPython to run it in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
sys.path[:0] = [str(FIRMWARE), str(ROOT / "host_tools"), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def micropython():
    """A function: runs a script with arguments in the unix port on the package in firmware/; returns its output."""
    # Another build, for example build/unix-asan/micropython, can be named.
    binary = Path(os.environ.get("BITREPLAY_MICROPYTHON", ROOT / "build" / "unix" / "micropython"))
    if not binary.exists():
        if os.environ.get("BITREPLAY_SKIP_UNIX"):
            pytest.skip("BITREPLAY_SKIP_UNIX is set")
        pytest.fail(f"{binary} is missing: run `make unix`, or set BITREPLAY_SKIP_UNIX")

    def run(script, *arguments, heap="4m"):
        return execute([binary, "-X", f"heapsize={heap}", "-c", script, *arguments], {"MICROPYPATH": str(FIRMWARE)})

    return run


@pytest.fixture(scope="session")
def cpython():
    """As `micropython`, in CPython."""

    def run(script, *arguments):
        path = os.pathsep.join([str(FIRMWARE), str(ROOT / "host_tools")])
        return execute([sys.executable, "-c", script, *arguments], {"PYTHONPATH": path})

    return run


def execute(command, variables):
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
