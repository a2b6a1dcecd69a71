"""ROMFS images: aligned, as MicroPython reads them, and what was there stays as it was."""

import subprocess

import pytest
from bitreplay_host.device import romfs
from hypothesis import given
from hypothesis import strategies as st
from mpremote.romfs import VfsRomWriter

names = st.text(st.sampled_from("abc.é"), min_size=1, max_size=9)
files = st.lists(st.tuples(names, st.binary(max_size=200)), max_size=5, unique_by=lambda file: file[0])


def by_mpremote(contents, folder):
    """An image with a folder of these files and with the files, as `mpremote romfs build` writes it."""
    writer = VfsRomWriter()
    writer.opendir("folder")
    for name, content in folder:
        writer.mkfile(name, content)
    writer.closedir()
    for name, content in contents:
        writer.mkfile(name, content)
    return writer.finalise()


def built(contents):
    return romfs.build([romfs.file_entry(name, content) for name, content in contents])


@given(files)
def test_files_are_aligned(contents):
    image = built(contents)
    assert romfs.image_size(image[:16]) == len(image)
    for entry, (name, content) in zip(romfs.entries(image), contents, strict=True):
        assert (entry.name, entry.size) == (name, len(content))
        start = entry.start + entry.content
        assert start % 4 == 0 and image[start : start + len(content)] == content


@given(files, files, st.binary(max_size=50))
def test_entries_are_kept(contents, in_folder, model):
    """What mpremote wrote stays when a model is added, and what is in a folder is as aligned as it was."""
    contents, in_folder = ([file for file in group if file[0].isascii()] for group in (contents, in_folder))
    kept = romfs.entries(by_mpremote(contents, in_folder))
    image = romfs.build([romfs.file_entry("model", model), *kept])
    found = romfs.entries(image)[1:]
    assert [entry.record for entry in found] == [entry.record for entry in kept]
    assert all((entry.start + entry.content) % 4 == 0 for entry in found if entry.is_file)
    assert found[0].start % 4 == kept[0].start % 4 and not found[0].is_file


MOUNT = """
import os, sys, uctypes, vfs
with open(sys.argv[1], "rb") as f:
    rom = f.read()
vfs.mount(vfs.VfsRom(memoryview(rom)), "/rom")
start = uctypes.addressof(rom)
for name in os.listdir("/rom"):
    with open("/rom/" + name, "rb") as f:
        print(name, f.read(), (uctypes.addressof(memoryview(f)) - start) % 4)
"""


def test_micropython_reads_it(micropython, tmp_path):
    contents = [("a" * n, bytes([n]) * (5 * n)) for n in range(1, 9)]
    (tmp_path / "image").write_bytes(built(contents))
    printed = subprocess.check_output([micropython, "-c", MOUNT, tmp_path / "image"], text=True)
    assert printed.splitlines() == [f"{name} {content!r} 0" for name, content in contents]


@given(st.binary(max_size=60))
def test_what_is_no_image(noise):
    for image in (noise, romfs.MAGIC + noise):
        try:
            size = romfs.image_size(image)
            if 0 < size <= len(image):
                found = romfs.entries(image[:size])
                again = romfs.entries(romfs.build(found))
                assert [entry.record for entry in again] == [entry.record for entry in found]
        except ValueError:
            pass


def test_what_points_elsewhere_is_not_moved():
    writer = VfsRomWriter()
    offset = writer.mkdata(b"shared")
    writer.mkfile("pointer", (6, offset))
    with pytest.raises(ValueError):
        romfs.entries(writer.finalise())
