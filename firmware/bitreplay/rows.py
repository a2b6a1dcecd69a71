# Rows of numbers in an .npy file that grows.

from array import array

from .checks import check_integer, check_one_of, check_path, is_other_array
from .safetensors import _exists, _explain, _refuse_other

TYPES = {
    "uint8": ("B", "|u1", 1),
    "int8": ("b", "|i1", 1),
    "uint16": ("H", "<u2", 2),
    "int16": ("h", "<i2", 2),
    "uint32": ("I", "<u4", 4),
    "int32": ("i", "<i4", 4),
    "float32": ("f", "<f4", 4),
}
HEADER = 128  # bytes


def _header(descr, shape, rows):
    text = "{'descr': '%s', 'fortran_order': False, 'shape': (%d, %s), }" % (
        descr,
        rows,
        ", ".join([str(side) for side in shape]),
    )
    return b"\x93NUMPY\x01\x00" + bytes([HEADER - 10, 0]) + text.encode() + b" " * (HEADER - 11 - len(text)) + b"\n"


class Record:
    """Appends rows to an .npy file. numpy.load() reads it at any time: the rows of the last flush() or close()."""

    def __init__(self, path, shape, dtype="uint8"):
        self.path = check_path(path)
        shape = (shape,) if type(shape) is int else tuple(shape)
        if not 1 <= len(shape) <= 4:
            raise ValueError("shape: must be an integer or 1 to 4 of them, the shape of a row")
        size = 1
        for side in shape:
            size *= check_integer("shape", side, 1, 1 << 20)
        check_one_of("dtype", dtype, sorted(TYPES))
        self._type, self._descr, item = TYPES[dtype]
        self.shape, self.dtype = shape, dtype
        self.row = array(self._type, bytes(size * item))
        self._bytes = size * item
        self._file, self.rows = self._open()

    def _open(self):
        """The file, at its end, and how many whole rows it has."""
        _refuse_other(self.path)
        try:
            file = open(self.path, "r+b" if _exists(self.path) else "w+b")  # noqa: SIM115
        except OSError as error:
            _explain(error, self.path, "could not be opened; check the path")
            raise
        head = file.read(HEADER)
        rows = (file.seek(0, 2) - HEADER) // self._bytes
        if not head:
            file.write(_header(self._descr, self.shape, 0))
            file.flush()
            rows = 0
        elif len(head) < HEADER or _header(self._descr, self.shape, self._told(head)) != head:
            file.close()
            raise ValueError(
                "path: %s exists, but record() did not write it with rows %s of %s; give another name"
                % (self.path, self.shape, self.dtype)
            )
        # Rows that power failed before they were counted are whole; what is left of one is written over.
        file.seek(HEADER + rows * self._bytes)
        return file, rows

    def _told(self, head):
        """The rows that a header tells."""
        start = head.find(b"'shape': (") + 10
        digits = head[start : head.find(b",", start)]
        return int(digits) if digits.isdigit() else -1

    def append(self, row):
        """A row: a buffer of this type, such as array, or a list or tuple of its numbers (of one dimension)."""
        if self._file is None:
            raise ValueError("record: %s is closed" % self.path)
        if type(row) in (list, tuple):
            self._copy(row)
            row = self.row
        try:
            if is_other_array(row, self._type):
                raise TypeError  # which MicroPython does not
            memoryview(self.row)[:] = memoryview(row)
        except (TypeError, ValueError):
            raise ValueError("row: must be %s of shape %s" % (self.dtype, self.shape))
        try:
            if self._file.write(self.row) != self._bytes:
                raise OSError(28)  # ENOSPC
        except OSError:
            # Rows before this one are whole, and the next one goes where it would have been.
            self._file.seek(HEADER + self.rows * self._bytes)
            raise
        self.rows += 1

    def _copy(self, numbers):
        if len(numbers) != len(self.row):
            raise ValueError("row: must be %d numbers, got %d" % (len(self.row), len(numbers)))
        bits = 8 * self._bytes // len(self.row)
        low = 0 if self.dtype[0] == "u" else -(1 << (bits - 1))
        for i in range(len(numbers)):
            if self._type != "f":
                check_integer("row", numbers[i], low, low + (1 << bits) - 1)
            self.row[i] = numbers[i]

    def flush(self):
        """What was appended is in the file, and its header tells so."""
        if self._file is not None:
            self._file.flush()  # the rows before their number
            self._file.seek(0)
            self._file.write(_header(self._descr, self.shape, self.rows))
            self._file.flush()
            self._file.seek(HEADER + self.rows * self._bytes)

    def close(self):
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
