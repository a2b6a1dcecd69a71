# The header of a file of tensors, as it is written: the same bytes from CPython and from MicroPython.

SIZES = {"U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4}  # bytes of an element
# What a save needs of RAM for its time: the file, and pieces of the header. Network.reserve keeps it, from a network's
# first learner on, so that the largest learner that can be made can be saved.
RESERVE = 2048


def count(shape):
    """The elements of a tensor."""
    count = 1
    for n in shape:
        count *= n
    return count


def quote(text):
    """JSON of a string: unlike json.dumps, the same under CPython and MicroPython."""
    return '"%s"' % escape(text)


def escape(text):
    """It without the quotes."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    for code in text.encode():
        if code < 32:
            text = text.replace(chr(code), "\\u%04x" % code)
    return text


def larger_first(tensors):
    """Larger elements first, so that all are aligned without holes. (MicroPython's sort is not stable.)"""
    return [t for size in (4, 2, 1) for t in tensors if SIZES.get(t[1], 1) == size]


def header_bytes(metadata, tensors):
    """How many bytes write() needs for the header, padded; at most MAX_HEADER are read."""
    size = 0
    for piece in pieces(metadata, larger_first(tensors)):
        size += len(piece.encode())
    return (size + 7) // 8 * 8


def pieces(metadata, tensors):
    """The header in pieces: whole, it would need RAM several times over."""
    before = '{"__metadata__":{'
    for key in sorted(metadata):
        yield before + quote(key) + ':"'
        value = metadata[key]
        for piece in value() if callable(value) else (value,):
            yield escape(piece)
        before = '",'
    yield '"}' if metadata else before + "}"
    begin = 0
    for name, dtype, shape, _ in tensors:
        end = begin + count(shape) * SIZES[dtype]
        sizes = ",".join([str(n) for n in shape])
        yield ',%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}' % (quote(name), dtype, sizes, begin, end)
        begin = end
    yield "}"
