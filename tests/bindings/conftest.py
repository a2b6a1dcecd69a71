"""The unix port of MicroPython, with and without sanitizers, and the modules of the other tests on the path."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "core"), str(HERE.parent / "firmware")]


def build(name):
    """The binary of a build: unix or unix-asan. BITREPLAY_MICROPYTHON names another one for both."""
    binary = Path(os.environ.get("BITREPLAY_MICROPYTHON", ROOT / "build" / name / "micropython"))
    if not binary.exists():
        if os.environ.get("BITREPLAY_SKIP_UNIX"):
            pytest.skip("BITREPLAY_SKIP_UNIX is set")
        pytest.fail(f"{binary} is missing: run `make {name}`, or set BITREPLAY_SKIP_UNIX")
    return binary


def execute(binary, script, *arguments):
    """Runs a script of this folder in MicroPython, on the package in firmware/; returns the finished process."""
    command = [binary, "-X", "heapsize=8m", HERE / script, *arguments]
    environment = {**os.environ, "MICROPYPATH": str(ROOT / "firmware"), "UBSAN_OPTIONS": "print_stacktrace=1"}
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, encoding="utf-8")


@pytest.fixture(params=["unix", "unix-asan"])
def call(request, tmp_path):
    """A function: makes calls, as onboard_calls.py takes them, in one process; returns a reply for each."""
    binary = build(request.param)

    def run(calls):
        path = tmp_path / "calls.json"
        path.write_text(json.dumps(calls))
        done = execute(binary, "onboard_calls.py", path)
        replies = [json.loads(line) for line in done.stdout.splitlines()]
        died = calls[len(replies)] if len(replies) < len(calls) else None
        assert done.returncode == 0 and died is None, f"{died}\n{done.stderr}"
        return replies

    return run


def fuzz(script, seconds, *arguments):
    """Runs a fuzzer of this folder under the sanitizers, for as long as BITREPLAY_FUZZ_SECONDS or `seconds` tells.

    It prints a number before each case and, at the end, a JSON object of counts, which is returned. If it dies, the
    test fails with the last case's number and what the fuzzer says of it.
    """
    seed = os.environ.get("BITREPLAY_FUZZ_SEED", "1")
    binary = build("unix-asan")
    done = execute(binary, script, seed, os.environ.get("BITREPLAY_FUZZ_SECONDS", seconds), *arguments)
    lines = done.stdout.splitlines() or [""]
    if done.returncode == 0:
        return json.loads(lines[-1])
    case = next((line for line in reversed(lines) if line.isdigit()), "0")
    told = execute(binary, script, seed, "0", *arguments, case).stdout[:4000]
    pytest.fail(
        f"BITREPLAY_FUZZ_SEED={seed}, case {case}, exit status {done.returncode}:\n{told}\n{done.stderr[-8000:]}"
    )
