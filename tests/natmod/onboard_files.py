# A filesystem without folders, for what scripts write where MicroPython has none. It uses memory outside of the heap.

import io

import uctypes

ENOENT = 2
ROOM = 65536  # bytes for a file


def octets(buffer):
    """The bytes of any buffer, to be read and written."""
    view = memoryview(buffer)
    return uctypes.bytearray_at(uctypes.addressof(view), len(view) * len(bytes(view[:1])))


class File(io.IOBase):
    def __init__(self, content):
        self.content, self.position = content, 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def readinto(self, buffer):
        buffer = octets(buffer)
        count = min(len(buffer), self.content.size - self.position)
        buffer[:count] = self.content.room[self.position : self.position + count]
        self.position += count
        return count

    def read(self, count=ROOM):
        buffer = bytearray(min(count, self.content.size - self.position))
        self.readinto(buffer)
        return bytes(buffer)

    def write(self, buffer):
        buffer = octets(buffer)
        self.content.room[self.position : self.position + len(buffer)] = buffer
        self.position += len(buffer)
        self.content.size = max(self.content.size, self.position)
        return len(buffer)

    def seek(self, offset, whence=0):
        self.position = offset + (0, self.position, self.content.size)[whence]
        return self.position

    def flush(self):
        pass

    close = flush


class Content:
    def __init__(self, address):
        self.room, self.size = uctypes.bytearray_at(address, ROOM), 0


class Memory:
    """address: of memory for so many files as are written in all."""

    def __init__(self, address):
        self.address, self.files = address, {}

    def mount(self, readonly, mkfs):
        pass

    umount = chdir = mount

    def open(self, path, mode):
        if "w" in mode:
            self.files[path] = Content(self.address)
            self.address += ROOM
        return File(self.content(path))

    def stat(self, path):
        return 0x8000, 0, 0, 0, 0, 0, self.content(path).size, 0, 0, 0

    def rename(self, old, new):
        self.files[new] = self.content(old)
        del self.files[old]

    def remove(self, path):
        self.content(path)
        del self.files[path]

    def content(self, path):
        if path not in self.files:
            raise OSError(ENOENT)
        return self.files[path]
