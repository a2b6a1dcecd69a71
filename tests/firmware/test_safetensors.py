"""Files: what is accepted, what is refused and how, and that a save survives everything."""

import json
import struct
from array import array

import numpy as np
import pytest
import safetensors.numpy
from bitreplay import safetensors as files

import models

METADATA = {"format": "synthetic", "note": 'Tür "a\\b"\n'}
TENSORS = [
    ("bytes", "U8", (3,), bytes([1, 2, 3])),
    ("words", "U32", (2, 2), array("I", [1, 2, 3, 1 << 31])),
    ("none", "I16", (0, 5), b""),
    ("halves", "I16", (3,), array("h", [-1, 0, 32767])),
    ("one", "I8", (), memoryview(b"\x80")),
    ("signed", "I32", (1, 1), array("i", [-7])),
    ("unsigned", "U16", (1,), array("H", [65535])),
]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.safetensors")


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


def get(path):
    with open(path, "rb") as file:
        return file.read()


def check(metadata, tensors):
    assert metadata == METADATA
    assert len(tensors) == len(TENSORS)
    for name, dtype, shape, buffer in TENSORS:
        assert (tensors[name].dtype, tensors[name].shape) == (dtype, shape)
        assert tensors[name].data == memoryview(buffer).cast("B")


def test_round_trip(path):
    files.write(path, METADATA, TENSORS)
    check(*files.read(path))


def test_empty(path):
    files.write(path, {}, [])
    assert files.read(path) == ({}, {})


def test_scan_and_fill(path):
    files.write(path, METADATA, TENSORS)
    metadata, tensors = files.scan(path)
    for name, _, _, buffer in TENSORS:
        assert tensors[name].data is None
        tensors[name].data = memoryview(bytearray(memoryview(buffer).nbytes))
        files.fill(path, tensors[name], tensors[name].data)
    check(metadata, tensors)
    with pytest.raises(ValueError, match="expected 16 bytes"):
        files.fill(path, tensors["words"], bytearray(15))


def test_their_package_reads_ours(path):
    files.write(path, METADATA, TENSORS)
    arrays = safetensors.numpy.load_file(path)
    for name, _, shape, buffer in TENSORS:
        assert arrays[name].shape == shape
        assert arrays[name].tobytes() == bytes(memoryview(buffer).cast("B"))
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == METADATA


def test_ours_reads_their_package(path):
    rng = np.random.default_rng(0)
    arrays = {
        f"{kind}.{shape}": rng.integers(0, 100, shape).astype(kind)
        for kind in models.DTYPES
        for shape in [(), (1,), (0,), (3, 5), (7, 1, 3)]
    }
    safetensors.numpy.save_file(arrays, path, METADATA)
    metadata, tensors = files.read(path)
    assert metadata == METADATA
    assert tensors.keys() == arrays.keys()
    for name, values in arrays.items():
        assert (tensors[name].dtype, tensors[name].shape) == (models.DTYPES[str(values.dtype)], values.shape)
        assert bytes(tensors[name].data) == values.tobytes()


def test_data_is_aligned(path):
    files.write(path, METADATA, TENSORS)
    start = len(get(path)) - sum(tensor.size for tensor in files.read(path)[1].values())
    for tensor in files.read(path)[1].values():
        assert (start + tensor.offset) % files.SIZES[tensor.dtype] == 0
    assert start % 8 == 0


# Files that are refused.


def entry(dtype="U8", shape=(2,), offsets=(0, 2)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header, size, message",
    [
        ({"a": entry("F32", [1], [0, 4])}, 4, "a: dtype F32 is not supported; use one of I16, I32"),
        ({"a": entry("X" * 99, [2])}, 2, "a: dtype X{16} is"),
        ({"a": entry(7, [2])}, 2, "a: dtype int is"),
        ({"a": entry(None, [2])}, 2, "a: dtype NoneType is"),
        ({"a": entry(["U8"], [2])}, 2, "a: dtype list is"),
        ({"a": entry("U8", [3])}, 2, "a: its shape and dtype"),
        ({"a": entry("U16", [2])}, 2, "a: its shape and dtype"),
        ({"a": entry("U8", [-2])}, 2, "a: shape must"),
        ({"a": entry("U8", [-1, -2])}, 2, "a: shape must"),
        ({"a": entry("U8", [2.0])}, 2, "a: shape must"),
        ({"a": entry("U8", [True, 2])}, 2, "a: shape must"),
        ({"a": entry("U8", ["2"])}, 2, "a: shape must"),
        ({"a": entry("U8", [[2]])}, 2, "a: shape must"),
        ({"a": entry("U8", [None])}, 2, "a: shape must"),
        ({"a": entry("U8", 2)}, 2, "a: shape must"),
        ({"a": entry("U8", {"2": 2})}, 2, "a: shape must"),
        ({"a": entry("U8", [1] * 8 + [2])}, 2, "a: shape must"),
        ({"a": entry("U8", [10**40])}, 2, "a: its shape"),
        ({"a": entry("U8", [2], [0, 2, 2])}, 2, "a: data_offsets"),
        ({"a": entry("U8", [2], [2])}, 2, "a: data_offsets"),
        ({"a": entry("U8", [2], [2, 0])}, 2, "a: data_offsets"),
        ({"a": entry("U8", [2], [-2, 0])}, 2, "a: data_offsets"),
        ({"a": entry("U8", [2], [0.0, 2.0])}, 2, "a: data_offsets"),
        ({"a": entry("U8", [1], [False, True])}, 1, "a: data_offsets"),
        ({"a": entry("U8", [2], "02")}, 2, "a: data_offsets"),
        ({"a": entry("U8", [2], [10**40, 10**40 + 2])}, 2, "a: begins at 1000"),
        ({"a": entry("U8", [2], [1, 3])}, 3, "a: begins at 1, but the one before it ends at 0"),
        ({"a": entry(), "b": entry("U8", [2], [1, 3])}, 3, "b: begins at 1, but the one before it ends at 2"),
        ({"a": entry(), "b": entry("U8", [2], [3, 5])}, 5, "b: begins at 3, but the one before it ends at 2"),
        ({"a": entry(), "b": entry()}, 2, "b: begins at 0, but the one before it ends at 2"),
        ({"a": entry("U8", [1], [0, 1]), "b": entry("U32", [1], [1, 5])}, 5, "b: is not aligned to 4 bytes"),
        ({"a": entry("U8", [1], [0, 1]), "b": entry("I16", [1], [1, 3])}, 3, "b: is not aligned to 2 bytes"),
        ({"a": entry()}, 1, "file: 1 bytes are missing"),
        ({"a": entry("U8", [10**12], [0, 10**12])}, 5, "file: 999999999995 bytes are missing"),
        ({"a": entry()}, 3, "file: 1 bytes follow"),
        ({}, 3, "file: 3 bytes follow"),
        ({"a": 1}, 0, "a: must have exactly the fields dtype"),
        ({"a": []}, 0, "a: must have exactly"),
        ({"a": {"dtype": "U8", "shape": [2]}}, 2, "a: must have exactly"),
        ({"a": dict(entry(), more=1)}, 2, "a: must have exactly"),
        ({"a": {"dtype": "U8", "shape": [2], "offsets": [0, 2]}}, 2, "a: must have exactly"),
        ({"": entry()}, 2, "header: a tensor's name must"),
        ({"a" * 129: entry()}, 2, "header: a tensor's name must"),
        ({"__metadata__": []}, 0, "__metadata__: must be an object"),
        ({"__metadata__": None}, 0, "__metadata__: must be an object"),
        ({"__metadata__": {"a": 1}}, 0, "__metadata__: its values must"),
        ({"__metadata__": {"a": {"b": "c"}}}, 0, "__metadata__: its values must"),
        (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"shape":[2]}}', 2, "header: has a key twice"),
        (b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}', 0, "a: must have exactly"),
        (b'{"a":%s,"a":%s}' % ((b'{"dtype":"U8","shape":[2],"data_offsets":[0,2]}',) * 2), 2, "has a key twice"),
        (b'{"__metadata__":{},"__metadata__":{}}', 0, "header: has a key twice"),
        (b"", 0, "header: not the JSON"),
        (b"[]", 0, "header: not the JSON"),
        (b' {"a":1}', 0, "header: not the JSON"),
        (b'{"a":', 0, "header: not the JSON"),
        (b"{}x", 0, "header: not the JSON"),
        (b"{}{}", 0, "header: not the JSON"),
        (b"{}\0", 0, "header: not the JSON"),
        (b'{"a\xff":1}', 0, "header: not the JSON"),
        (b"{1:2}", 0, "header: not the JSON"),
        (b"{[1]:2}", 0, "header: not the JSON"),
        (b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,2]}}', 2, "a: shape must"),
        (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1e999]}}', 2, "a: data_offsets"),
        (b'{"a":' * 9000 + b"1" + b"}" * 9000, 0, r"header: not the JSON .*\(RecursionError\)"),
        (b'{"a":' + b"[" * 30000 + b"]" * 30000 + b"}", 0, r"header: not the JSON .*\(RecursionError\)"),
        (b'{"a":%s}' % (b"9" * 9000), 0, "header: not the JSON"),
    ],
)
def test_refuses_header(path, header, size, message):
    put(path, models.encode(header, bytes(size)))
    with pytest.raises(ValueError, match=f"^{path}: .*{message}"):
        files.read(path)
    with pytest.raises(ValueError, match=f"^{path}: .*{message}"):
        files.scan(path)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "file: 0 bytes are too few"),
        (b"\x02\0\0\0\0\0\0", "file: 7 bytes are too few"),
        (bytes(8), "header: not the JSON"),
        (struct.pack("<Q", 8), "header: its length is 8 bytes, but only 0 follow"),
        (
            struct.pack("<Q", 65537) + b"{}" + b" " * 65535,
            "header: its length is 65537 bytes, but at most 65536 are allowed",
        ),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "header: its length is 18446744073709551615 bytes"),
        (struct.pack("<Q", 2) + b"{}", "header: its length, 2 bytes, leaves no tensor aligned"),
    ],
)
def test_refuses_file(path, data, message):
    put(path, data)
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        files.read(path)


def test_missing_file(path):
    for function in (files.read, files.scan):
        with pytest.raises(FileNotFoundError):
            function(path)


def test_largest_header(path):
    text = b"{}" + b" " * 65534
    put(path, struct.pack("<Q", 65536) + text)
    assert files.read(path) == ({}, {})


def test_keys_as_values(path):
    metadata = {"shape": "dtype", "x": "data_offsets", "y": "__metadata__", "z": '"shape":'}
    files.write(path, metadata, [("shape", "U8", (1,), b"a")])
    assert files.read(path)[0] == metadata


# What is not written.


@pytest.mark.parametrize(
    "metadata, tensors, message",
    [
        ({"a": 1}, [], "__metadata__: its values must"),
        ({1: "a"}, [], "__metadata__: its values must"),
        (None, [], "__metadata__: must be"),
        ({}, [("a", "F32", (1,), bytes(4))], "a: dtype F32"),
        ({}, [("a", "U8", (-1,), b"")], "a: shape must"),
        ({}, [("a", "U8", (1.0,), b"")], "a: shape must"),
        ({}, [("a", "U8", (1,), b"a"), ("a", "U8", (1,), b"a")], "a: the name is used twice"),
        ({}, [("__metadata__", "U8", (1,), b"a")], "__metadata__: the name is used twice or reserved"),
        ({}, [("", "U8", (1,), b"a")], "header: a tensor's name"),
        ({}, [("a", "U8", (2,), b"a")], "a: its buffer has 1 bytes, its shape and dtype make 2"),
        ({}, [("a", "U8", (2,), b"abc")], "a: its buffer has 3 bytes"),
        ({}, [("a", "U16", (2,), array("H", [1]))], "a: its buffer has 2 bytes"),
        ({"a": "b" * 65536}, [], "header: would be"),
    ],
)
def test_refuses_to_write(path, metadata, tensors, message):
    files.write(path, METADATA, TENSORS)
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        files.write(path, metadata, tensors)
    check(*files.read(path))
    assert not files._exists(path + ".new")


def test_refuses_to_write_no_buffer(path):
    with pytest.raises(TypeError):
        files.write(path, {}, [("a", "U8", (2,), 5)])
    assert not files._exists(path + ".new")


# Whatever happens to a file.


def test_truncation(path):
    files.write(path, METADATA, TENSORS)
    whole = get(path)
    for size in range(len(whole)):
        put(path, whole[:size])
        with pytest.raises(ValueError, match=f"^{path}: "):
            files.read(path)
        with pytest.raises(ValueError, match=f"^{path}: "):
            files.scan(path)
    for extra in (1, 3, 100):
        put(path, whole + bytes(extra))
        with pytest.raises(ValueError, match=f"file: {extra} bytes follow"):
            files.read(path)


def test_real_failure(path, monkeypatch):
    """On a real filesystem: the directory of the file is gone, and a buffer that cannot be written."""
    files.write(path, METADATA, TENSORS)
    with pytest.raises(OSError):
        files.write(path + "/x", METADATA, TENSORS)
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: files.os.close(-1))
    with pytest.raises(OSError):
        files.write(path, {}, [])
    check(*files.read(path))
    assert not files._exists(path + ".new")


# The same under MicroPython.

SAME = """
import binascii, hashlib, sys
from array import array
from bitreplay import safetensors
path = sys.argv[1]
for i in range(2):
    safetensors.write(path, {"b": "T\\u00fcr \\x07\\x7f\\b\\f\\n\\t", "a": '{"x": "\\\\\\\\y"}', "c%d" % i: ""}, [
        ("one", "U8", (3,), b"123"), ("zwei", "U32", (2,), array("I", [1, 2])), ("3", "I16", (0, 2), b""),
        ("4", "I8", (1,), memoryview(bytearray(b"4"))), ("5", "U32", (), memoryview(array("I", [5]))),
    ])
with open(path, "rb") as f:
    data = f.read()
print(binascii.hexlify(hashlib.sha256(data).digest()))
metadata, tensors = safetensors.read(path)
for key in sorted(metadata):
    print(repr(key), binascii.hexlify(metadata[key].encode()))
for name in sorted(tensors):
    t = tensors[name]
    print(name, t.dtype, t.shape, bytes(t.data))
metadata, tensors = safetensors.scan(path)
buffer = array("I", [0, 0])
safetensors.fill(path, tensors["zwei"], buffer)
print(buffer, len(metadata))
for size in range(len(data)):
    with open(path, "wb") as f:
        f.write(data[:size])
    try:
        safetensors.read(path)
        print("accepted", size)
    except ValueError as error:
        print(str(error).split("(")[0])
"""


def test_same_under_micropython(path, micropython, cpython):
    output = micropython(SAME, path)
    assert output == cpython(SAME, path)
    assert "accepted" not in output


def test_headers_under_micropython(path, micropython):
    """MicroPython's JSON parser accepts more and knows no recursion limit; it must not matter."""
    headers = [
        json.dumps(value).encode() if not isinstance(value, bytes) else value
        for value, _, _ in test_refuses_header.pytestmark[0].args[1]
    ]
    sizes = [size for _, size, _ in test_refuses_header.pytestmark[0].args[1]]
    script = """
import sys
from bitreplay import safetensors
for path in sys.argv[1:]:
    try:
        safetensors.read(path)
        print("accepted")
    except ValueError as error:
        print("refused" if str(error).startswith(path) else error)
"""
    paths = [f"{path}{i}" for i in range(len(headers))]
    for name, header, size in zip(paths, headers, sizes):
        put(name, models.encode(header, bytes(size)))
    results = micropython(script, *paths).split("\n")[:-1]
    wrong = [header for header, result in zip(headers, results) if result != "refused"]
    assert len(results) == len(headers)
    assert wrong == []
