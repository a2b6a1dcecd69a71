"""Logs on the board: .npy files that numpy.load reads after a reset, and that go on."""

import array
import json

import bitreplay
import numpy as np
import pytest

SCRIPT = """
import array, json, sys, bitreplay
log = bitreplay.record(ARGUMENT, (2, 3), "int16")
first = len(log)
for i in range(5):
    log.add(array.array("h", [i, -i, 300 * i, 1, 2, -32768]))
log.flush()
log.add(array.array("h", [9] * 6))
print(json.dumps([first, len(log), log.row_bytes]))
log.close()
"""


def rows(count, last=False):
    expected = [[[i, -i, 300 * i], [1, 2, -32768]] for i in range(count)]
    return np.array(expected + [[[9] * 3] * 2] * last, np.int16)


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_rows_are_read_by_numpy_and_go_on(request, implementation, tmp_path):
    path = tmp_path / "log.npy"
    script = SCRIPT.replace("ARGUMENT", repr(str(path)))
    implementation = request.getfixturevalue(implementation)
    assert json.loads(implementation(script)) == [0, 6, 12]
    found = np.load(path)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, rows(5, last=True))
    assert json.loads(implementation(script)) == [6, 12, 12]
    np.testing.assert_array_equal(np.load(path), np.concatenate([rows(5, last=True)] * 2))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"])
def test_types(tmp_path, dtype):
    path, row = tmp_path / "log.npy", np.arange(4, dtype=dtype)
    with bitreplay.record(path, 4, dtype) as log:
        log.add(row)
    np.testing.assert_array_equal(np.load(path), [row])
    assert np.load(path).dtype == dtype and repr(log).endswith(", closed>")


def test_a_reset_keeps_what_was_flushed(tmp_path):
    """The file as it is on the disk at that moment: rows after the last flush are there or not, never half."""
    path = tmp_path / "log.npy"
    log = bitreplay.record(path, (2,), "uint16")
    assert np.load(path).shape == (0, 2)
    log.add(array.array("H", [1, 2]))
    log.flush()
    log.add(array.array("H", [3, 4]))
    log._file.flush()
    assert np.load(path).tolist() == [[1, 2]]  # and numpy does not mind what comes after them
    content = path.read_bytes()
    for cut in 2, 0:  # in the middle of a row, after one
        path.write_bytes(content[: len(content) - cut])
        with bitreplay.record(path, (2,), "uint16") as again:
            assert len(again) == (1 if cut else 2)
            again.add(array.array("H", [5, 6]))
        assert np.load(path).tolist() == [[1, 2], *([] if cut else [[3, 4]]), [5, 6]]


def test_a_failed_write_leaves_no_half_row(tmp_path, monkeypatch):
    log = bitreplay.record(tmp_path / "log.npy", (4,))

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:2])

        def __getattr__(self, name):
            return getattr(self.file, name)

    log.add(b"abcd")
    log._file = Full(log._file)
    with pytest.raises(OSError, match="the disk is full"):
        log.add(b"efgh")
    log._file = log._file.file
    log.add(b"ijkl")
    log.close()
    assert np.load(tmp_path / "log.npy").tobytes() == b"abcdijkl"


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((), "uint8", "shape: must be a tuple of 1..4 integers"),
        ([6], "uint8", "shape: must be a tuple"),
        ((0,), "uint8", "shape: must be an integer, 1..65535, got 0"),
        ((6,), "double", "dtype: must be one of float32, int16"),
    ],
)
def test_arguments(tmp_path, shape, dtype, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        bitreplay.record(tmp_path / "log.npy", shape, dtype)
    assert not (tmp_path / "log.npy").exists()


def test_rows_that_are_refused(tmp_path):
    log = bitreplay.record(tmp_path / "log.npy", (3,), "int16")
    with pytest.raises(ValueError, match="row: must have 6 bytes, got 4"):
        log.add(array.array("h", [1, 2]))
    for row in [1, 2, 3], 6, "text":
        with pytest.raises(TypeError, match="row: must be a buffer"):
            log.add(row)
    log.close()
    log.close()
    with pytest.raises(ValueError, match="was closed"):
        log.add(bytes(6))
    assert np.load(tmp_path / "log.npy").shape == (0, 3)


@pytest.mark.parametrize("change", ["shape", "dtype", "text", "short"])
def test_another_file_is_left_as_it_is(tmp_path, change):
    path = tmp_path / "log.npy"
    if change == "text":
        path.write_text("what is no log, and longer than a header" * 9)
    else:
        np.save(path, np.zeros((2, 3), np.int16))
        if change == "short":
            path.write_bytes(path.read_bytes()[:-1])
    before = path.read_bytes()
    shape = (4,) if change == "shape" else (3,)
    with pytest.raises(ValueError, match="is there already and has no such rows; give another path"):
        bitreplay.record(path, shape, "uint16" if change == "dtype" else "int16")
    assert path.read_bytes() == before
