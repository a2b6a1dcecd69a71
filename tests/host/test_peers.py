"""boards/peers/pc.py: our kernels beside a plain loop, whose results it compares."""

import subprocess
import sys

from synthetic_data import ROOT


def test_each_shape_is_measured():
    run = subprocess.run([sys.executable, ROOT / "boards" / "peers" / "pc.py"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    header, *lines = run.stdout.splitlines()
    assert header.split()[1] == "bconv2d" and [line.split(" to ")[0] for line in lines] == [
        "16x16x64",
        "8x8x128",
        "4x4x256",
    ]
    for line in lines:
        assert all(float(value) > 1 for value in line.split()[3:7])


def test_a_missing_library_is_named(tmp_path):
    environment = {"BITREPLAY_LIBRARY": str(tmp_path / "none.so"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, ROOT / "boards" / "peers" / "pc.py"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 1 and "make lib" in run.stderr
