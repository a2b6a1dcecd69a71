"""The unix port of MicroPython, with and without sanitizers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bitreplay_host.onboard import kernel_arguments

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def build(name):
    """The binary of a build: unix or unix-asan. BITREPLAY_MICROPYTHON names another one for both."""
    binary = Path(os.environ.get("BITREPLAY_MICROPYTHON", ROOT / "build" / name / "micropython"))
    if not binary.exists():
        if os.environ.get("BITREPLAY_SKIP_UNIX"):
            pytest.skip("BITREPLAY_SKIP_UNIX is set")
        pytest.fail(f"{binary} is missing: run `make {name}`, or set BITREPLAY_SKIP_UNIX")
    return binary


def execute(binary, script, *arguments):
    """Runs a script of this folder in MicroPython or CPython, which finds the package and onboard/.

    Returns the finished process.
    """
    options = [] if binary == sys.executable else ["-X", "heapsize=32m"]
    command = [binary, *options, HERE / script, *arguments]
    folders = [str(ROOT / "firmware"), str(Path(kernel_arguments.__file__).parent)]
    environment = {**os.environ, "MICROPYPATH": os.pathsep.join(folders), "UBSAN_OPTIONS": "print_stacktrace=1"}
    environment["PYTHONPATH"] = os.pathsep.join([*folders, str(ROOT / "host_tools")])
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, encoding="utf-8")


@pytest.fixture
def outputs():
    """A function: runs a script of this folder in CPython and under the sanitizers; returns both outputs, in lines."""

    def run(script):
        found = []
        for binary in (sys.executable, build("unix-asan")):
            done = execute(binary, script)
            assert done.returncode == 0, done.stderr
            found.append(done.stdout.splitlines())
        return found

    return run


@pytest.fixture
def call(request, tmp_path):
    """A function: makes calls, as onboard_calls.py takes them, in one process; returns a reply for each.

    Under the sanitizers, or in the build that the test names.
    """
    binary = build(getattr(request, "param", "unix-asan"))

    def run(calls):
        path = tmp_path / "calls.json"
        path.write_text(json.dumps(calls))
        done = execute(binary, "onboard_calls.py", path)
        replies = [json.loads(line) for line in done.stdout.splitlines()]
        died = calls[len(replies)] if len(replies) < len(calls) else None
        assert done.returncode == 0 and died is None, f"{died}\n{done.stderr}"
        return replies

    return run


@pytest.fixture
def fuzz():
    """A function: runs part of a fuzzer of this folder under the sanitizers (noise.py); counts each outcome.

    limit and part: as noise.run() takes them. binary: what runs it instead. If it dies, the test fails and tells the
    seed, the number of the case, and what the fuzzer says of that case.
    """
    seed, seconds = os.environ.get("BITREPLAY_FUZZ_SEED", "1"), os.environ.get("BITREPLAY_FUZZ_SECONDS")

    def run(script, limit, *arguments, part="0/1", binary=None):
        binary = binary or build("unix-asan")
        done = execute(binary, script, seed, f"{seconds} seconds" if seconds else limit, part, *arguments)
        lines = done.stdout.splitlines()
        if done.returncode == 0:
            return json.loads(lines[-1])
        number = [line for line in lines if line.isdigit()][-1:]
        told = execute(binary, script, seed, "1 cases", *number, *arguments).stdout[:4000]
        said = f"exit status {done.returncode}\n{told}\n{done.stderr[-8000:]}"
        pytest.fail(f"BITREPLAY_FUZZ_SEED={seed}, case {number}: {said}")

    return run
