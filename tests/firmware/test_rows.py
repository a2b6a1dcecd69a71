"""bitreplay.record: .npy files that grow, and what is left of them after a power cut."""

from array import array

import bitreplay
import numpy as np
import pytest


def test_rows_are_read_by_numpy_while_they_grow(tmp_path):
    path = tmp_path / "log.npy"
    log = bitreplay.record(path, 6, "int16")
    assert np.load(path).shape == (0, 6)
    for i in range(5):
        log.append(array("h", range(i, i + 6)))
    log.flush()
    log.append([9, 8, 7, -6, 5, 4])
    found = np.load(path)
    assert found.dtype == np.int16 and found.tolist() == [list(range(i, i + 6)) for i in range(5)]
    log.close()
    assert np.load(path)[5].tolist() == [9, 8, 7, -6, 5, 4] and log.rows == 6


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"])
@pytest.mark.parametrize("shape", [(1,), (4, 3), (2, 2, 3, 1)])
def test_types_and_shapes(tmp_path, dtype, shape):
    rows = np.arange(3 * np.prod(shape)).reshape(3, *shape).astype(dtype)
    with bitreplay.record(str(tmp_path / "log.npy"), shape, dtype) as log:
        for row in rows:
            log.append(array(log.row.typecode, row.ravel().tolist()))
    found = np.load(tmp_path / "log.npy")
    assert found.dtype == rows.dtype and np.array_equal(found, rows)


def test_a_file_is_continued(tmp_path):
    for value in range(3):
        with bitreplay.record(tmp_path / "log.npy", (2, 2)) as log:
            log.append(bytes([value] * 4))
    assert np.load(tmp_path / "log.npy")[:, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("torn", [0, 1, 11])
def test_rows_that_were_not_counted_are_found_again(tmp_path, torn):
    """Power failed after rows were written, and in the middle of one: NumPy reads what was counted, record() all."""
    path = tmp_path / "log.npy"
    with bitreplay.record(path, 3, "int32") as log:
        log.append([1, 2, 3])
    path.write_bytes(path.read_bytes() + np.array([4, 5, 6], "<i4").tobytes() + bytes(torn))
    assert np.load(path).tolist() == [[1, 2, 3]]
    with bitreplay.record(path, 3, "int32") as log:
        log.append([7, 8, 9])
    assert np.load(path).tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_an_empty_file_is_begun(tmp_path):
    (tmp_path / "log.npy").touch()
    with bitreplay.record(tmp_path / "log.npy", 1) as log:
        log.append([255])
    assert np.load(tmp_path / "log.npy").tolist() == [[255]]


@pytest.mark.parametrize("content", [b"text", b"x" * 500, "other shape", "other type"])
def test_another_file_is_left_alone(tmp_path, content):
    path = tmp_path / "log.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shape, dtype = (7, "uint8") if content == "other shape" else (6, "int8")
        bitreplay.record(path, shape, dtype).close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^path: .* give another name$"):
        bitreplay.record(path, 6)
    assert path.read_bytes() == before


def test_a_row_that_is_refused_leaves_no_trace(tmp_path):
    with bitreplay.record(tmp_path / "log.npy", 2, "uint8") as log:
        log.append([1, 2])
        for row in ([1, 256], [1], [-1, 0], b"abc", array("h", [1, 2]), None, "ab"):
            with pytest.raises(ValueError, match="^row: must be "):
                log.append(row)
        log.append(b"\3\4")
    assert np.load(tmp_path / "log.npy").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="is closed"):
        log.append([5, 6])


SCRIPT = """
import sys
from array import array
import bitreplay
with bitreplay.record(sys.argv[1], (2, 3), "int16") as log:
    log.append(array("h", [1, -2, 3, -4, 5, -6]))
    log.append([9] * 6)
log = bitreplay.record(sys.argv[1], (2, 3), "int16")
print(log.rows)
floats = bitreplay.record(sys.argv[1] + "f", 1, "float32")
for call in (
    lambda: bitreplay.record("", 1), lambda: bitreplay.record("a.npy", ()), lambda: bitreplay.record("a.npy", 0),
    lambda: bitreplay.record("a.npy", 1, "int64"), lambda: bitreplay.record(sys.argv[1], 6, "int16"),
    lambda: log.append([1]), lambda: log.append([70000] * 6), lambda: log.append(bytes(6)),
    lambda: log.append(array("H", bytes(12))), lambda: floats.append(array("I", bytes(4))),
):
    try:
        print("taken", call())
    except ValueError as error:
        print(error)
"""


def test_boards_write_the_same(micropython, cpython, tmp_path):
    shown = [run(SCRIPT, tmp_path / "log.npy") for run in (micropython, cpython)]
    assert shown[0].splitlines()[0] == "2" and shown[1].splitlines()[0] == "4"
    assert shown[0].splitlines()[1:] == shown[1].splitlines()[1:] and "taken" not in shown[0]
    assert shown[0].splitlines()[-2:] == [
        "row: must be int16 of shape (2, 3)",
        "row: must be float32 of shape (1,)",
    ]
    assert np.load(tmp_path / "log.npy").tolist() == [[[1, -2, 3], [-4, 5, -6]], [[9] * 3] * 2] * 2
