"""The C core under AddressSanitizer and UndefinedBehaviorSanitizer, and what its objects refer to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "usermod_c" / "core").glob("*.c"))
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
COMPILER = os.environ.get("CC", "gcc")

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def test_kernels_under_sanitizers(tmp_path):
    """The other tests of the C core, with NumPy's buffers on the sanitizer's heap; any report ends the process."""
    library = tmp_path / "libbitreplay.so"
    sanitizers = "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"
    # The adders of processors without vectors; the other tests have the loop.
    flags = [*WARNINGS, "-O1", "-g", "-fPIC", "-shared", "-DBR_CARRY_SAVE=1", *sanitizers]
    output(COMPILER, *flags, *map(str, SOURCES), "-o", str(library))
    runtime = output(COMPILER, "-print-file-name=libasan.so")
    if not Path(runtime).is_absolute():
        pytest.skip("no AddressSanitizer")
    environment = {
        **os.environ,
        "BITREPLAY_LIBRARY": str(library),
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    here = Path(__file__).parent
    others = "test_arguments", "test_files", "test_sanitizers"
    tests = [str(path) for path in here.glob("test_*.py") if path.stem not in others]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--hypothesis-profile=short", *tests]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-5000:]


def test_sanitizers_see_the_buffers(tmp_path):
    """The run above would notice: a kernel that is lied to about a size is stopped."""
    library = tmp_path / "libbitreplay.so"
    sources = [str(source) for source in SOURCES]
    output(COMPILER, "-std=c99", "-O1", "-fPIC", "-shared", "-fsanitize=address", *sources, "-o", str(library))
    runtime = output(COMPILER, "-print-file-name=libasan.so")
    if not Path(runtime).is_absolute():
        pytest.skip("no AddressSanitizer")
    script = "import library, numpy as np; library.add(np.zeros(65, np.int8), np.zeros(64, np.int8))"
    environment = {**os.environ, "BITREPLAY_LIBRARY": str(library), "LD_PRELOAD": runtime}
    environment |= {"ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, env=environment, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True)
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
