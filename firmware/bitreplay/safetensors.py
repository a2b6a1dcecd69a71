# Files of tensors in the safetensors format: what is read is checked whole, what is written is written atomically.
# docs/formats.md tells which files are accepted.

import gc
import json
import os
import struct

from .checks import check_path
from .header import SIZES, count, header_bytes, larger_first, pieces

MAX_HEADER = 65536
MAX_NAME = 128
PIECE = 256  # bytes that are read or written at once
EISDIR, EINVAL = 21, 22
FIELDS = ("dtype", "shape", "data_offsets")


class Tensor:
    """dtype: a key of SIZES. shape: a tuple. data: a memoryview of the bytes, or None from scan()."""

    def __init__(self, dtype, shape, offset, size):
        self.dtype = dtype
        self.shape = shape
        self.offset = offset  # in the file's data
        self.size = size  # in bytes
        self.data = None
        self.file = None  # keeps what data is a view of


def fail(path, field, what):
    """ValueError: what is wrong with a field, or a tensor, of a file."""
    raise ValueError("%s: %s: %s" % (path, field, what))


# Reading.


def read(path):
    """(metadata, tensors by name) of a file, its data used in place where the filesystem is memory-mapped."""
    view, file = open_view(path)
    return parse(path, view, file)


def open_view(path):
    """(memoryview of a file's bytes, file object), the latter None if the bytes were read into RAM."""
    file = _open(path)
    try:
        view = memoryview(file)
        # ROMFS puts files at any address, and no kernel reads unaligned words.
        if _address(view) & 3 == 0:
            return view, file
    except (TypeError, ImportError):
        pass
    with file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            data = bytearray(size)
        except MemoryError:
            raise MemoryError(
                "%s: %d bytes do not fit in RAM; put the file into ROMFS, at an address that is a "
                "multiple of 4, to use it in place" % (path, size)
            )
        if _moved(file.readinto, data) != size:
            fail(path, "file", "could not be read completely; try again")
    return memoryview(data), None


def parse(path, view, file=None):
    """As read(), of bytes that are in memory."""
    start = _data_start(path, view[:8], len(view))
    metadata, tensors = _parse_header(path, view[8:start], len(view) - start)
    gc.collect()  # as in graph.py
    for tensor in tensors.values():
        first = start + tensor.offset
        tensor.data = view[first : first + tensor.size]
        tensor.file = file
    return metadata, tensors


def scan(path):
    """As read(), but the data stays in the file: use fill()."""
    with _open(path) as file:
        return _scan(path, file)


def _scan(path, file):
    size = file.seek(0, 2)
    file.seek(0)
    start = _data_start(path, _read(file, min(8, size)), size)
    metadata, tensors = _parse_header(path, _read(file, start - 8), size - start)
    for tensor in tensors.values():
        tensor.offset += start  # in the file
    return metadata, tensors


def fill(path, tensor, buffer):
    """Reads the data of a tensor from scan() into a buffer of that many bytes, without another copy."""
    with open(path, "rb") as file:
        file.seek(tensor.offset)
        if _moved(file.readinto, buffer) != tensor.size:
            fail(path, "file", "expected %d bytes at %d; was the file changed?" % (tensor.size, tensor.offset))


def _address(view):
    # Only MicroPython has both files with a buffer and this.
    import uctypes

    return uctypes.addressof(view)


def _data_start(path, head, size):
    if size < 8:
        fail(path, "file", "%d bytes are too few for a safetensors file; copy it again" % size)
    length = struct.unpack("<Q", head)[0]
    if length > MAX_HEADER:
        fail(
            path,
            "header",
            "its length is %d bytes, but at most %d are allowed; is it safetensors?" % (length, MAX_HEADER),
        )
    if length > size - 8:
        fail(path, "header", "its length is %d bytes, but only %d follow; copy the file again" % (length, size - 8))
    if length % 4:
        fail(
            path,
            "header",
            "its length, %d bytes, leaves no tensor aligned; pad it with spaces to a multiple of 4" % length,
        )
    return 8 + length


def _parse_header(path, header, data_size):
    try:
        text = str(header, "utf-8").rstrip(" ")
        header = loads(text, "{}")
    except (ValueError, TypeError, RuntimeError) as error:
        # RuntimeError: nested too deep.
        fail(path, "header", "not the JSON of a safetensors file (%s); copy or export it again" % type(error).__name__)
    metadata = _metadata(path, header.pop("__metadata__", {}))
    tensors = {}
    while header:
        name, entry = header.popitem()
        tensors[name] = _tensor(path, name, entry)
    _check_duplicates(path, text, metadata, tensors)
    _check_offsets(path, tensors, data_size)
    return metadata, tensors


def loads(text, brackets):
    """The JSON value in these brackets. (MicroPython's parser alone would stop at a null, or without the last one.)"""
    if text[:1] != brackets[0] or text[-1:] != brackets[1] or "\0" in text:
        raise ValueError
    return json.loads(text)


def _metadata(path, metadata):
    if type(metadata) is not dict:
        fail(path, "__metadata__", "must be an object of strings; export the file again")
    for key, value in metadata.items():
        if type(key) is not str or type(value) is not str:
            fail(path, "__metadata__", "its values must be strings; export the file again")
    return metadata


def _tensor(path, name, entry):
    if type(name) is not str or not 0 < len(name) <= MAX_NAME:
        fail(path, "header", "a tensor's name must be a string of 1..%d characters" % MAX_NAME)
    if type(entry) is not dict or len(entry) != len(FIELDS) or not all(field in entry for field in FIELDS):
        fail(path, name, "must have exactly the fields " + ", ".join(FIELDS))
    dtype, shape, offsets = [entry[field] for field in FIELDS]
    if type(dtype) is not str or dtype not in SIZES:
        dtype = dtype[:16] if type(dtype) is str else type(dtype).__name__
        fail(path, name, "dtype %s is not supported; use one of %s" % (dtype, ", ".join(sorted(SIZES))))
    if not _integers(shape) or len(shape) > 8:
        fail(path, name, "shape must be a list of at most 8 integers >= 0")
    if not _integers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        fail(path, name, "data_offsets must be a list of two integers, begin <= end")
    offset, size = offsets[0], offsets[1] - offsets[0]
    if count(shape) * SIZES[dtype] != size:
        fail(path, name, "its shape and dtype do not give the size in data_offsets; export the file again")
    if offset % SIZES[dtype]:
        fail(path, name, "is not aligned to %d bytes; export the file again, larger elements first" % SIZES[dtype])
    return Tensor(dtype, tuple(shape), offset, size)


def _integers(values):
    return type(values) is list and all(type(v) is int and v >= 0 for v in values)


def _check_duplicates(path, text, metadata, tensors):
    # A parser keeps one of two equal keys; the text shows both.
    strings = list(tensors) + list(metadata) + list(metadata.values())
    for key in FIELDS + ("__metadata__",):
        keys = 1 if key == "__metadata__" else len(tensors)
        if text.count('"%s"' % key) > keys + strings.count(key):
            fail(path, "header", "has a key twice; export the file again")


def _check_offsets(path, tensors, data_size):
    position = 0
    for offset, size, name in sorted([(t.offset, t.size, name) for name, t in tensors.items()]):
        if offset != position:
            fail(
                path,
                name,
                "begins at %d, but the one before it ends at %d; export the file again" % (offset, position),
            )
        position += size
    if data_size < position:
        fail(path, "file", "%d bytes are missing at its end; copy it again" % (position - data_size))
    if data_size > position:
        fail(path, "file", "%d bytes follow the last tensor; copy it again" % (data_size - position))


# Writing.


def write(path, metadata, tensors):
    """Replaces the file at path by metadata and tensors, a list of (name, dtype, shape, buffer).

    metadata: strings by strings; a long one may be a function that yields it in pieces. Whatever happens meanwhile,
    the old file or the new one is there; a failure leaves the old one. The same content gives the same bytes
    everywhere.
    """
    path = check_path(path)
    _refuse_other(path)
    tensors = larger_first(tensors)
    size = _checked_header(path, metadata, tensors)
    _recover(path)
    existed, new = _exists(path), path + ".new"
    if _exists(new):
        _remove(new)  # it may be a link, and what it leads to is not ours
    try:
        with open(new, "wb") as file:
            _write_header(path, file, metadata, tensors, size)
            for name, dtype, shape, buffer in tensors:
                expected = count(shape) * SIZES[dtype]
                written = _moved(file.write, buffer)
                if written != expected:
                    fail(path, name, "its buffer has %d bytes, its shape and dtype make %d" % (written, expected))
            _sync(file)
        getattr(os, "replace", os.rename)(new, path)
    except BaseException as error:
        # A rename on FAT may have removed the old file: then the new one is the only one.
        if not existed or _exists(path):
            _remove(new)
        if isinstance(error, OSError):
            _explain(error, path, "could not be written; check its folder and the free space")
        raise


def _checked_header(path, metadata, tensors):
    """The header's bytes, after all checks: what could not be read is not written."""
    if type(metadata) is dict:
        _metadata(path, {key: "" if callable(value) else value for key, value in metadata.items()})
    else:
        _metadata(path, metadata)
    names = [name for name, _, _, _ in tensors] + ["__metadata__"]
    for name, dtype, shape, _ in tensors:
        if names.count(name) != 1:
            fail(path, name, "the name is used twice or reserved")
        size = count(shape) * SIZES.get(dtype, 0)
        _tensor(path, name, {"dtype": dtype, "shape": list(shape), "data_offsets": [0, size]})
    size = header_bytes(metadata, tensors)
    if size > MAX_HEADER:
        fail(path, "header", "would be %d bytes long, at most %d are read" % (size, MAX_HEADER))
    return size


def _write_header(path, file, metadata, tensors, size):
    """size: its header_bytes()."""
    left, piece = size, struct.pack("<Q", size)
    for text in pieces(metadata, tensors):
        _write(path, file, piece)
        piece = text.encode()
        left -= len(piece)
    _write(path, file, piece + b" " * left)


def _write(path, file, data):
    if _moved(file.write, data) != len(data):
        fail(path, "file", "could not be written completely; is there room?")


# Files. A save goes to path + ".new", which then takes the place of path. That rename is one step on littlefs and
# POSIX; on FAT it is two, and between them only the .new file is there.


def _moved(move, buffer):
    """Moves a buffer by a file's write or readinto, piece by piece; returns the bytes, fewer if the file ends.

    A file may take or give less than it is asked to, and a folder that mpremote mounts hangs where much is written.
    """
    view = memoryview(buffer)
    size = len(bytes(view[:1])) or 1  # of an element
    at, step = 0, max(1, PIECE // size)
    while at < len(view):
        moved = move(view[at : at + step]) or 0
        at += moved // size
        if moved == 0 or moved % size:
            return at * size + moved % size
    return at * size


def _read(file, size):
    data = bytearray(size)
    return memoryview(data)[: _moved(file.readinto, data)]


def _open(path):
    path = check_path(path)
    _refuse_other(path)
    _recover(path)
    try:
        return open(path, "rb")
    except OSError as error:
        _explain(error, path, "could not be opened; check the path, or copy the file there")
        raise


def _explain(error, path, what):
    """Raises an OSError with the path, unless it has it: MicroPython's has only the number."""
    if getattr(error, "filename", None) is None:
        raise OSError(error.errno, "%s: %s" % (path, what))


def _refuse_other(path):
    """OSError for what is there and is no regular file."""
    # MicroPython opens a folder, or renames a file over it, and fails later by something else. A rename would replace
    # a device, and a pipe would be waited for.
    try:
        mode = os.stat(path)[0] & 0xF000
    except OSError:
        return
    if mode == 0x4000:
        raise OSError(EISDIR, "%s: is a folder; give another name" % path)
    if mode != 0x8000:
        raise OSError(EINVAL, "%s: is no regular file, but a device or the like; give another name" % path)


def _recover(path):
    """Ends a save that was cut off between the steps of its rename."""
    _refuse_other(path + ".new")
    if _exists(path) or not _exists(path + ".new"):
        return
    try:
        with open(path + ".new", "rb") as file:
            _scan(path, file)
    except ValueError:
        return  # it was cut off earlier, and no file was there before
    os.rename(path + ".new", path)


def _sync(file):
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())
    elif hasattr(os, "sync"):
        os.sync()


def _exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def _remove(path):
    try:
        os.remove(path)
    except (OSError, AttributeError):  # a filesystem that is read-only has no remove
        pass
