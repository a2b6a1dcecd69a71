"""bitreplay verify: right targets pass, a wrong bit is found and located."""

import sys

import numpy as np
import pytest
from bitreplay_host import cli, golden, reference, verify


def test_every_kernel_has_vectors():
    called = {call.kernel for call in golden.calls(1, 1)}
    assert called == set(reference.__all__)


def test_vectors_depend_on_the_seed_only():
    first, again, other = (list(golden.calls(seed, 1)) for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        assert a.returned == b.returned
        for name, array in a.expected.items():
            np.testing.assert_array_equal(array, b.expected[name])
    assert any(
        not np.array_equal(a.arguments[name], b.arguments[name])
        for a, b in zip(first, other, strict=True)
        for name in a.arguments
    )


def test_the_unix_port_matches(capsys):
    assert cli.main(["verify", "--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert "every bit matches" in printed
    assert printed.count(" ok") == len(reference.__all__) + 5


SHIM = """#!/bin/sh
# A target whose `{kernel}` has one wrong bit.
shift 2
exec {python} -c '
import sys, _bitreplay
right = _bitreplay.{kernel}
def wrong(*arguments):
    result = right(*arguments)
    arguments[{argument}][{byte}] ^= {bit}
    return result
_bitreplay.{kernel} = wrong
sys.argv = sys.argv[1:]
import os
sys.path.insert(0, os.path.dirname(sys.argv[0]))
exec(open(sys.argv[0]).read())
' "$@"
"""


@pytest.mark.parametrize(
    ("kernel", "argument", "byte", "bit", "located"),
    [
        ("add", 1, 3, 1, "add, call 1 of 2: argument y, index 3: expected"),
        ("transpose", 2, 41, 128, "transpose, call 1 of 2: argument y, index 10: expected"),
        ("update_weights", 0, 0, 2, "update_weights, call 1 of 2: argument weight, index 0: expected"),
    ],
)
def test_a_wrong_bit_is_located(tmp_path, kernel, argument, byte, bit, located):
    target = tmp_path / "target"
    target.write_text(SHIM.format(python=sys.executable, kernel=kernel, argument=argument, byte=byte, bit=bit))
    target.chmod(0o755)
    wrong = list(verify.kernels(target, 1, 2, tmp_path))
    assert [line for line in wrong if line.startswith(located)]
    assert all(line.startswith(f"{kernel}, ") for line in wrong)


def test_a_missing_target_is_one_line(tmp_path, capsys):
    assert cli.main(["verify", "--micropython", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "make unix" in error
