# Logs on the board: rows of numbers in an .npy file, which numpy.load reads (docs/formats.md, "Logs").

import os

from .checks import check_integer, check_path, plain

HEADER = 128  # bytes, whatever the number of rows
MAGIC = b"\x93NUMPY\x01\x00" + bytes([HEADER - 10, 0])
TYPES = {
    "uint8": "|u1",
    "int8": "|i1",
    "uint16": "<u2",
    "int16": "<i2",
    "uint32": "<u4",
    "int32": "<i4",
    "float32": "<f4",
}


def record(path, shape, dtype="uint8"):
    """A Record that appends to the .npy file at path, or begins it.

    shape: of a row, a tuple of 1..4 integers of 1..65535, or one integer. dtype: "uint8", "int8", "uint16", "int16",
    "uint32", "int32" or "float32". ValueError for others, and for a file that has other rows.
    """
    path, shape = check_path(path), plain(shape)
    if type(shape) is int:
        shape = (shape,)
    if type(shape) is not tuple or not 1 <= len(shape) <= 4:
        raise ValueError("shape: must be a tuple of 1..4 integers, such as (6,)")
    shape = tuple([check_integer("shape", plain(n), 1, 65535) for n in shape])
    if dtype not in TYPES:
        raise ValueError("dtype: must be one of %s, got %r" % (", ".join(sorted(TYPES)), dtype))
    return Record(path, shape, TYPES[dtype])


class Record:
    """Rows of numbers in an .npy file. add(row), flush(), close(); also `with bitreplay.record(...) as log:`."""

    def __init__(self, path, shape, descr):
        self.path, self.shape = path, shape
        self.row_bytes = int(descr[2])
        for n in shape:
            self.row_bytes *= n
        self._form = "{'descr': '%s', 'fortran_order': False, 'shape': (%%s, %s), }" % (
            descr,
            ", ".join([str(n) for n in shape]),
        )
        self.rows = 0
        try:
            size = os.stat(path)[6]
        except OSError:
            self._file = open(path, "w+b")  # noqa: SIM115
            self._count()
        else:
            self._file = open(path, "r+b")  # noqa: SIM115
            try:
                self._go_on(size)
            except ValueError:
                self._file.close()
                raise

    def _header(self, rows):
        text = MAGIC + (self._form % rows).encode()
        return text + b" " * (HEADER - 1 - len(text)) + b"\n"

    def _count(self):
        """The rows are in the file before the header counts them."""
        self._file.flush()
        self._file.seek(0)
        self._file.write(self._header(self.rows))
        self._file.flush()
        self._seek()

    def _seek(self):
        self._file.seek(HEADER + self.rows * self.row_bytes)

    def _go_on(self, size):
        """Behind the last whole row, which may be one that no header counted before the power went."""
        found = self._file.read(HEADER)
        parts, rows = self._header("#").split(b"#")[0], 0
        if found[: len(parts)] == parts:
            digits = found[len(parts) :].split(b",")[0]
            rows = int(digits) if digits.isdigit() else 0
        if found != self._header(rows) or size < HEADER + rows * self.row_bytes:
            raise ValueError("%s: is there already and has no such rows; give another path" % self.path)
        self.rows = (size - HEADER) // self.row_bytes
        self._count()

    def add(self, row):
        """Appends a row: a buffer of row_bytes bytes, such as array("h", ...). Another size is a ValueError."""
        file = self._opened()
        if isinstance(row, (int, str, list, tuple)):
            raise TypeError("row: must be a buffer, such as an array, got " + type(row).__name__)
        data = bytes(row)
        if len(data) != self.row_bytes:
            raise ValueError("row: must have %d bytes, got %d" % (self.row_bytes, len(data)))
        try:
            if file.write(data) != len(data):
                raise OSError("%s: the disk is full" % self.path)
        except BaseException:
            self._seek()
            raise
        self.rows += 1

    def flush(self):
        """From now on all rows survive a reset, and numpy.load sees them."""
        self._opened()
        self._count()

    def close(self):
        """As flush(); nothing can be added any more."""
        if self._file:
            self._count()
            self._file.close()
            self._file = None

    def _opened(self):
        if self._file is None:
            raise ValueError("%s: was closed; record() goes on with it" % self.path)
        return self._file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __len__(self):
        return self.rows

    def __repr__(self):
        return "<Record of %d rows of %d bytes in %s%s>" % (
            self.rows,
            self.row_bytes,
            self.path,
            "" if self._file else ", closed",
        )
