"""MicroPython's ROMFS, a filesystem that is used where it lies in flash: its images, with files at aligned addresses.

An image is a header and records, each a kind, a length and that many bytes; docs/formats.md tells more. What mpremote
makes has files at any address.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = b"\xd2\xcd\x31"
HEADER_BYTES = 8  # the magic and a length of five digits, so that the first record is aligned
PADDING, DATA, FOLDER, FILE = 1, 2, 4, 5
ALIGNMENT = 4  # of what is a file's content; a Cortex-M0+ reads no other words


@dataclass
class Entry:
    """A file or folder. record: its bytes, those from `content` on to be aligned. start: where it was in an image."""

    name: str
    record: bytes
    content: int
    is_file: bool
    start: int = 0

    @property
    def size(self) -> int:
        return len(self.record) - (self.content if self.is_file else 0)


def number(n: int, digits: int = 1) -> bytes:
    """n in base 128, the high digits first; all but the last digit have bit 7. At least so many digits."""
    found = [n & 127]
    while n > 127 or len(found) < digits:
        n >>= 7
        found.insert(0, n & 127 | 128)
    return bytes(found)


def file_entry(name: str, content: bytes) -> Entry:
    encoded = name.encode()
    data = number(DATA) + number(len(content)) + content
    payload = number(len(encoded)) + encoded + data
    record = number(FILE) + number(len(payload)) + payload
    return Entry(name, record, len(record) - len(content), True)


def image_size(start: bytes) -> int:
    """How long an image is that starts so, its header included; 0 if it is none."""
    if not start.startswith(MAGIC):
        return 0
    try:
        size, position = _number(start, len(MAGIC))
    except ValueError:
        return 0
    return position + size


def entries(image: bytes) -> list[Entry]:
    """What is at the top of an image. ValueError if it is not one, or has what build() could not move."""
    found = []
    position = _number(image, len(MAGIC))[1]
    while position < len(image):
        start = position
        kind, position = _number(image, position)
        size, position = _number(image, position)
        if kind not in (PADDING, FOLDER, FILE) or position + size > len(image):
            raise ValueError
        if kind != PADDING:
            length, name = _number(image, position)
            # The rest of a folder keeps its place modulo ALIGNMENT, and so do the files in it.
            content = (-start) % ALIGNMENT
            if kind == FILE:
                data, after = _number(image, name + length)
                if data != DATA:
                    raise ValueError
                content = _number(image, after)[1] - start
            record = image[start : position + size]
            found.append(Entry(image[name : name + length].decode(), record, content, kind == FILE, start))
        position += size
    return found


def build(entries: list[Entry]) -> bytes:
    """An image with these, in order; the content of every file is aligned."""
    image = bytearray(HEADER_BYTES)
    for entry in entries:
        padding = -(len(image) + entry.content) % ALIGNMENT
        if padding:
            # A record has at least two bytes: its kind and its length.
            fill = (padding - 2) % ALIGNMENT
            image += number(PADDING) + number(fill) + bytes(fill)
        image += entry.record
    image[:HEADER_BYTES] = MAGIC + number(len(image) - HEADER_BYTES, HEADER_BYTES - len(MAGIC))
    return bytes(image)


def _number(data, position):
    """(number, position after it)"""
    value = 0
    while True:
        if position >= len(data):
            raise ValueError
        digit = data[position]
        position += 1
        value = value << 7 | digit & 127
        if digit < 128:
            return value, position
