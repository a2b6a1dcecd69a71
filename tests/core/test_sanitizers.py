"""The C core under AddressSanitizer and UndefinedBehaviorSanitizer, and what its objects refer to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SOURCES = sorted((HERE.parents[1] / "usermod_c" / "core").glob("*.c"))
TESTS = [f"test_{source.stem}" for source in SOURCES if (HERE / f"test_{source.stem}.py").exists()]
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
COMPILER = os.environ.get("CC", "gcc")

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def sanitized(path, *flags):
    """Builds the core as a library with sanitizers; returns the environment in which test code can load it."""
    output(COMPILER, *flags, "-std=c99", "-O1", "-g", "-fPIC", "-shared", *map(str, SOURCES), "-o", str(path))
    runtime = output(COMPILER, "-print-file-name=libasan.so")
    if not Path(runtime).is_absolute():
        pytest.skip("no AddressSanitizer")
    return {**os.environ, "BITREPLAY_LIBRARY": str(path), "LD_PRELOAD": runtime}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    # What processors without vectors have, and what is in C beside assembly; the other tests have the rest.
    flags = "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"
    path = tmp_path_factory.mktemp("sanitized") / "libbitreplay.so"
    return {
        **sanitized(
            path,
            *WARNINGS,
            *flags,
            "-DBR_CARRY_SAVE=1",
            "-DBR_FOUR_WINDOWS=1",
            "-DBR_TABLES=1",
            "-DBR_BINARIZE_WORDS=1",
        ),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


@pytest.mark.exhaustive
@pytest.mark.parametrize("tests", [TESTS[i::3] for i in range(3)], ids=" ".join)
def test_kernels_under_sanitizers(environment, tests):
    """The tests of the C files, with NumPy's buffers on the sanitizer's heap; any report ends the process."""
    options = "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=short"
    command = [sys.executable, "-m", "pytest", *options, *(str(HERE / f"{test}.py") for test in tests)]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-5000:]


def test_sanitizers_see_the_buffers(tmp_path):
    """The runs above would notice: a kernel that is lied to about a size is stopped."""
    environment = sanitized(tmp_path / "libbitreplay.so", "-fsanitize=address") | {"ASAN_OPTIONS": "detect_leaks=0"}
    script = "import library, numpy as np; library.random(np.zeros(0, np.uint32), 9)"
    run = subprocess.run([sys.executable, "-c", script], env=environment, cwd=HERE, stderr=subprocess.PIPE, text=True)
    assert run.returncode != 0 and "heap-buffer-overflow" in run.stderr


@pytest.mark.parametrize("options", (("-O2",), ("-Os",), ("-O3",), ("-O2", "-m32", "-ffreestanding")), ids=" ".join)
def test_objects_stand_alone(tmp_path, options):
    """No libgcc helper, no libc but memcpy, memmove and memset, and no data that could change."""
    own, needed = set(), set()
    for source in SOURCES:
        built = tmp_path / f"{source.stem}.o"
        command = [COMPILER, *WARNINGS, *options, "-c", str(source), "-o", str(built)]
        compiled = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if "-m32" in options and compiled.returncode:
            pytest.skip("no 32-bit headers")
        assert compiled.returncode == 0, compiled.stderr
        for line in output("nm", str(built)).splitlines():
            kind, name = line.split()[-2:]
            (needed if kind == "U" else own).add(name)
            assert kind not in "BbCDdGgSs", f"{source.name}: {name} is data that can change"
    assert needed - own <= {"memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_"}
