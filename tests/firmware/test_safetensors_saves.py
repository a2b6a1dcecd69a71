"""A save survives power cuts and full disks, at every step: on a disk in memory."""

from array import array

import pytest
from bitreplay import safetensors as files


class PowerCut(BaseException):
    pass


class Disk:
    """Files in memory. A step is anything that reaches the disk; the one numbered fail_at fails.

    error None cuts the power: nothing works from then on, and of what was written but not synced, `kept` (0..1) is
    there. Else the step raises it, once. fat: a rename over a file removes that first.
    """

    def __init__(self, contents, fail_at, error=None, kept=0.0, fat=False):
        self.contents, self.pending = dict(contents), {}
        self.steps, self.fail_at, self.error, self.kept, self.fat = 0, fail_at, error, kept, fat

    def step(self):
        self.steps += 1
        if self.error is None and self.steps > self.fail_at:
            for name, data in self.pending.items():
                self.contents[name] = data[: int(len(data) * self.kept)]
            raise PowerCut
        if self.steps == self.fail_at + 1:
            raise self.error

    def open(self, name, mode):
        self.step()
        if mode == "wb":
            self.contents[name] = b""
            self.pending[name] = b""
        elif name not in self.contents:
            raise FileNotFoundError(2, "No such file", name)
        return DiskFile(self, name)

    def stat(self, name):
        if name not in self.contents:
            raise FileNotFoundError(2, "No such file", name)
        return (0x8000,)  # a regular file

    def rename(self, old, new):
        self.step()
        if self.fat and new in self.contents:
            del self.contents[new]
            self.step()
        self.contents[new] = self.contents.pop(old)

    def remove(self, name):
        self.step()
        self.stat(name)
        del self.contents[name]
        self.pending.pop(name, None)

    def fsync(self, name):
        self.step()
        self.contents[name] = self.pending.pop(name)


class DiskFile:
    def __init__(self, disk, name):
        self.disk, self.name, self.position = disk, name, 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.disk.step()

    def write(self, data):
        self.disk.step()
        data = memoryview(data).tobytes()
        self.disk.pending[self.name] += data
        return len(data)

    def flush(self):
        self.disk.step()

    def fileno(self):
        return self.name

    def seek(self, offset, whence=0):
        self.position = offset + (len(self.disk.contents[self.name]) if whence == 2 else 0)
        return self.position

    def read(self, size):
        self.position += size
        return self.disk.contents[self.name][self.position - size : self.position]

    def readinto(self, buffer):
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


FILE = "/me.safetensors"
FOREVER = 1 << 30
VERSIONS = [{"version": str(i)} for i in range(3)]


def content(version):
    return [("a", "U32", (300,), bytes(1200)), ("b", "U8", (1,), bytes([version]))]


def mount(monkeypatch, disk):
    monkeypatch.setattr(files, "open", disk.open, raising=False)
    monkeypatch.setattr(files, "os", disk)


def save(version):
    files.write(FILE, VERSIONS[version], content(version))


def reboot(monkeypatch, disk):
    disk = Disk(disk.contents, FOREVER, fat=disk.fat)
    mount(monkeypatch, disk)
    return disk


def version_on(disk):
    """The version that is read, None if there is no file. Anything else raises."""
    try:
        metadata, tensors = files.read(FILE)
    except FileNotFoundError:
        return None
    version = VERSIONS.index(metadata)
    assert tensors["b"].data[0] == version
    return version


def saved(monkeypatch, version, fat):
    disk = Disk({}, FOREVER, fat=fat)
    mount(monkeypatch, disk)
    if version is not None:
        save(version)
    return disk.contents


@pytest.mark.parametrize("fat", [False, True])
@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("before", [None, 0])
def test_power_cut(monkeypatch, before, kept, fat):
    """The power goes at every step of a save, and again at every step of the save after it."""
    contents = saved(monkeypatch, before, fat)
    for first in range(100):
        disk = Disk(contents, first, kept=kept, fat=fat)
        mount(monkeypatch, disk)
        try:
            save(1)
        except PowerCut:
            pass
        else:
            break
        after = disk.contents
        disk = reboot(monkeypatch, disk)
        version = version_on(disk)
        assert version in (before, 1)
        for second in range(100):
            disk = Disk(after, second, kept=kept, fat=fat)
            mount(monkeypatch, disk)
            try:
                save(2)
            except PowerCut:
                pass
            else:
                break
            disk = reboot(monkeypatch, disk)
            assert version_on(disk) in (version, 2)
        assert second > 5
        disk = reboot(monkeypatch, disk)
        assert version_on(disk) == 2
        assert list(disk.contents) == [FILE]
    assert first > 5


@pytest.mark.parametrize("fat", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), MemoryError()], ids=repr)
@pytest.mark.parametrize("before", [None, 0])
def test_failure(monkeypatch, before, error, fat):
    """Every step of a save fails once: the old file is untouched, and nothing else is left."""
    contents = saved(monkeypatch, before, fat)
    for step in range(100):
        disk = Disk(contents, step, error, fat=fat)
        mount(monkeypatch, disk)
        try:
            save(1)
        except type(error):
            pass
        else:
            break
        removed = fat and before == 0 and FILE not in disk.contents
        disk = reboot(monkeypatch, disk)
        if removed:
            # FAT removed the old file, then the rename failed.
            assert list(disk.contents) == [FILE + ".new"]
            assert version_on(disk) == 1
        else:
            assert version_on(disk) == before
            if isinstance(error, OSError):
                assert disk.contents == contents
        save(2)
        assert version_on(disk) == 2
        assert list(disk.contents) == [FILE]
    assert step > 5


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "me.new" / "kept").mkdir(parents=True)
    with pytest.raises(OSError, match=r"me\.new: is a folder"):
        files.write(str(tmp_path / "me"), {}, [])
    assert (tmp_path / "me.new" / "kept").exists() and not (tmp_path / "me").exists()


@pytest.mark.parametrize("most", [1, 4, 100, 10000])
@pytest.mark.parametrize("typecode", "bhi")
def test_files_may_take_less_than_they_are_given(most, typecode):
    """At most so many bytes at a time. An element that is cut in two cannot go on, and the bytes say so."""
    data, taken = array(typecode, range(100)), bytearray()

    def write(piece):
        taken.extend(bytes(piece)[:most])
        return min(most, len(bytes(piece)))

    moved = files._moved(write, data)
    assert moved == len(taken) and bytes(taken) == data.tobytes()[:moved]
    assert moved == (100 * data.itemsize if most % data.itemsize == 0 else most)
    assert files._moved(lambda piece: None, data) == 0 == files._moved(write, b"")


READ_ONLY = """
import os
from bitreplay import safetensors

class Rom:
    def mount(self, readonly, mkfs): pass
    def umount(self): pass
    def stat(self, path): raise OSError(2)
    def open(self, path, mode): raise OSError(30)

os.mount(Rom(), "/rom")
try:
    safetensors.write("/rom/me", {}, [])
except OSError as error:
    print(error.errno, error.args[1])
"""


def test_a_read_only_filesystem_is_told(micropython):
    """A ROMFS has no remove."""
    assert micropython(READ_ONLY) == "30 /rom/me: could not be written; check its folder and the free space\n"
