"""The instructions that only some PCs have: on each kind of processor the kernels are the same."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SOURCES = sorted((HERE.parents[1] / "usermod_c" / "core").glob("*.c"))
TESTS = "test_bconv2d.py", "test_nearest.py"
# What a processor answers, to be compiled in. `make lib` asks the one of this machine.
ANSWERS = {"neither": "0", "popcnt": "(name[0] == 'p')"}


@pytest.mark.exhaustive
@pytest.mark.skipif(platform.machine() != "x86_64", reason="another processor")
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_kernels_on_processors_that_count_in_other_ways(answer, tmp_path):
    library = tmp_path / "libbitreplay.so"
    flags = "-O3", "-std=c99", "-Wall", "-Wextra", "-Werror", "-DBR_ASK_PROCESSOR=1"
    told = f"-D__builtin_cpu_supports(name)={answer}"
    compiler = os.environ.get("CC", "gcc")
    subprocess.run([compiler, *flags, told, "-fPIC", "-shared", *map(str, SOURCES), "-o", library], check=True)
    options = "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=short"
    command = [sys.executable, "-m", "pytest", *options, *(str(HERE / test) for test in TESTS)]
    environment = {**os.environ, "BITREPLAY_LIBRARY": str(library)}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-5000:]
