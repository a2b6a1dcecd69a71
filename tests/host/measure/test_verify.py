"""bitreplay verify: right targets pass; a wrong bit is found, located and told by the exit status."""

import shlex

import numpy as np
import pytest
from bitreplay_host import cli, reference
from bitreplay_host.measure import golden
from broken import BROKEN

STEPS = 5  # of each training
TRAININGS = "tiny", "head", "all layers", "a quarter"


@pytest.fixture
def verify(micropython, small_model, capsys):
    """A function: verifies a target with the small model; returns the exit status and the lines that it printed."""

    def run(target=micropython, *arguments):
        model = "--model", str(small_model), "--repeats", "2", *arguments
        status = cli.main(["verify", "--micropython", str(target), *model])
        return status, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def broken(micropython, tmp_path):
    """A function: the unix port as a target with another `kernel`, whose body is a line of Python."""

    def make(kernel, body):
        script = tmp_path / "broken.py"
        script.write_text((BROKEN + RUN).format(kernel=kernel, body=body, names=reference.__all__))
        target = tmp_path / "target"
        target.write_text(f'#!/bin/sh\nexec {shlex.quote(str(micropython))} "$1" "$2" "{script}" "$3" "$4"\n')
        target.chmod(0o755)
        return target

    return make


RUN = """
del sys.argv[0]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
with open(sys.argv[0]) as file:
    code = file.read()
exec(code, {{"__name__": "__main__"}})
"""


def flip(kernel, argument, byte, bit, script="run_calls.py"):
    """The body of a kernel that flips one bit of a buffer, in the second call that a script makes."""
    wrong = f"{bit} * (Broken.calls == 2 and sys.argv[0].endswith('{script}'))"
    return f"result = right.{kernel}(*arguments); arguments[{argument}][{byte}] ^= {wrong}; return result"


def test_every_kernel_has_vectors():
    assert {call.kernel for call in golden.calls(1, 1)} == set(reference.KERNELS)


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


def test_vectors_fit_a_board():
    for call in golden.calls(1, 40):
        assert sum(a.nbytes for a in call.arguments.values() if isinstance(a, np.ndarray)) < 17000


def test_the_unix_port_matches(verify):
    status, lines = verify()
    assert (status, lines[-1]) == (0, "every bit matches")
    steps = STEPS * len(TRAININGS)
    assert sum(line.endswith(" ok") for line in lines) == len(reference.KERNELS) + steps == len(lines) - 1
    for name in TRAININGS:
        assert sum(line.startswith(f"training: {name}, ") for line in lines) == STEPS


def test_the_shipped_model_matches(micropython, capsys):
    assert cli.main(["verify", "--micropython", str(micropython), "--repeats", "1", "--seed", "7"]) == 0
    assert "every bit matches" in capsys.readouterr().out


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("kernel", "argument", "byte", "bit", "name", "index", "difference"),
    [
        ("expand", 2, 3, 1, "y", 3, 1),
        ("bconv2d", 7, 11, 128, "y", 11, 128),
        ("dot_tables", 3, 5, 1, "out", 1, 256),
        ("transpose", 2, 43, 128, "y", 10, 1 << 31),
        ("update_weights", 0, 0, 2, "weight", 0, 2),
        ("head_update", 6, 0, 4, "rng", 0, 4),
        ("softmax", 1, 1, 1, "active", 1, 1),  # an input
    ],
)
def test_a_wrong_bit_is_located(verify, broken, kernel, argument, byte, bit, name, index, difference):
    """A bit that is wrong once and never again: one difference, of the value that it makes."""
    status, lines = verify(broken(kernel, flip(kernel, argument, byte, bit)))
    assert status == 1
    (located,) = [line for line in lines if line.startswith(f"{kernel}, ")]
    place, _, values = located.partition(": expected ")
    assert place == f"{kernel}, call 2 of 2: argument {name}, index {index}"
    expected, got = map(int, values.split(", got "))
    assert expected ^ got in (difference, difference - 256, difference - (1 << 32))
    assert f"{kernel:18} 2 calls  1 WRONG" in lines
    assert lines[-1] == "1 difference"


def test_a_wrong_result_is_located(verify, broken):
    status, lines = verify(broken("head_sum", "return right.head_sum(*arguments) + 1"))
    assert status == 1
    returned = [line for line in lines if line.startswith("head_sum, call 1 of 2: returned ")]
    assert len(returned) == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("kernel", "argument", "byte", "trainings"),
    [
        ("bconv2d_dw", 6, 0, {"tiny", "all layers", "a quarter"}),
        ("bconv2d_dx", 10, 0, {"all layers", "a quarter"}),
        ("gradient_mask", 0, 1, {"tiny", "all layers", "a quarter"}),
        ("head_update", 3, 0, set(TRAININGS)),
    ],
)
def test_a_wrong_bit_in_training_is_located(verify, broken, kernel, argument, byte, trainings):
    """A kernel that is right for every vector and wrong later: the digests tell after which step."""
    status, lines = verify(broken(kernel, flip(kernel, argument, byte, 64, "train_digests.py")))
    assert status == 1
    wrong = [line for line in lines if not line.endswith(" ok")]
    assert wrong[0].startswith("training: ") and ", experience 1 " in wrong[0] and wrong[0].endswith(" WRONG")
    assert wrong[1].startswith("training, ") and ", experience 1: expected " in wrong[1]
    assert all(line.startswith("training") for line in wrong[:-1])
    assert {line.partition(" ")[2].partition(",")[0] for line in wrong if line.startswith("training: ")} == trainings


def test_a_target_that_cannot_train_is_told(verify, broken):
    body = "assert not sys.argv[0].endswith('train_digests.py'), 'tired'; return right.bconv2d_dx(*arguments)"
    status, lines = verify(broken("bconv2d_dx", body))
    assert status == 1
    for name in "all layers", "a quarter":
        assert f"training, {name}: train_digests.py failed on target: AssertionError: tired" in lines
    assert lines[-1] == "2 differences"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('x: is not y')", "ValueError: x: is not y"),
        ("sys.exit(3)", "run_calls.py failed on target: 3"),
    ],
)
def test_a_kernel_that_fails_is_located(verify, broken, body, message):
    status, lines = verify(broken("dense", body))
    assert status == 1
    assert f"dense, call 1 of 2: {message}" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--micropython", "{}/none"], "make unix"),
        (["--micropython", "/bin/true"], "/bin/true does not answer as MicroPython with BitReplay"),
        (["--model", "{}/none"], "none"),
        (["--repeats", "0"], "--repeats"),
        (["--train", "9"], "train: the model has 1 binary layers above its latent, got 9"),
        (["--train", "most"], "train: must be"),
        (["--channels", "0"], "channels: must be"),
        (["--seed", "0"], "--seed"),
    ],
)
def test_errors_are_one_line(micropython, tmp_path, capsys, arguments, message):
    target = ["verify", "--micropython", str(micropython), "--repeats", "1"]
    assert cli.main([*target, *(a.format(tmp_path) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
