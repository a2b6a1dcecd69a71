"""Models under MicroPython: the same numbers as on CPython, and the memory that they take."""

import pytest
from bitreplay import load
from kinds import MODELS

import models


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.safetensors")


SAME = """
import binascii, sys
from bitreplay.above import Above
from bitreplay.network import load
for path in sys.argv[1:]:
    net = load(path)
    print(repr(net), net.digest, net.pooling, net.features, net.int8_macs)
    for layer in net.above:
        print(layer.op, layer.name, layer.source, layer.shape_in, layer.target, layer.shape, layer.residual)
    above = Above(net)
    for i in range(6):
        image = bytes((j * j * (i + 3) + j * (i + 1) >> 3) & 255 for j in range(net.image_bytes))
        latent, features = bytearray(net.latent_bytes), bytearray(net.features)
        net.latent(image, latent)
        above.features(latent, features)
        print(binascii.hexlify(latent), binascii.hexlify(features))
        if net.labels:
            label, probability = net.classify(image)
            print(label.encode(), "%.6f" % probability)
    for image, out in ((bytes(5), latent), (image, bytearray(5)), (image, bytes(net.latent_bytes)), (image, None)):
        try:
            net.latent(image, out)
        except (TypeError, ValueError) as error:
            print(error)
"""


def test_same_under_micropython(tmp_path, micropython, cpython):
    paths = [models.save(tmp_path / name, make(0)) for name, make in MODELS.items()]
    paths += [models.tiny_model(tmp_path / f"tiny{seed}", seed=seed) for seed in range(3)]
    told = micropython(SAME, *paths)
    assert told == cpython(SAME, *paths)
    for wrong in ("bytes", "NoneType"):
        assert told.count("bytes to write to, such as bytearray, got %s\n" % wrong) == len(paths)


ROMFS = """
import gc, os, sys, uctypes, vfs
from bitreplay.network import load

def number(n):
    digits = bytes([n & 127])
    while n > 127:
        n >>= 7
        digits = bytes([n & 127 | 128]) + digits
    return digits

def record(kind, payload):
    return number(kind) + number(len(payload)) + payload

with open(sys.argv[1], "rb") as f:
    model = f.read()
for padding in range(4):
    rom = record(1, bytes(padding)) + record(5, number(1) + b"m" + record(2, model))
    length = number(len(rom))
    rom = bytearray(b"\\xd2\\xcd\\x31" + length + rom)
    vfs.mount(vfs.VfsRom(memoryview(rom)), "/rom")
    with open("/rom/m", "rb") as f:
        address = uctypes.addressof(memoryview(f))
    gc.collect()
    before = gc.mem_alloc()
    net = load("/rom/m")
    gc.collect()
    assert net.in_place == (address % 4 == 0)
    assert (gc.mem_alloc() - before > len(model)) == (not net.in_place)
    print(address % 4 == 0, net.classify(bytes(192)), net.digest, repr(net).split(" ")[-1])
    vfs.umount("/rom")
"""


def test_in_place(path, micropython):
    """ROMFS puts a file anywhere: where its words are aligned it is used in place, else it is copied."""
    models.tiny_model(path)
    net = load(path)
    lines = sorted(micropython(ROMFS, path).split("\n")[:-1])
    assert [line.split()[0] for line in lines] == ["False", "False", "False", "True"]
    assert lines[0].endswith("RAM>")
    assert lines[3].endswith("flash>")
    for line in lines:
        assert f"{net.classify(bytes(192))} {net.digest}" in line


ALLOCATES = """
import gc, sys
from bitreplay.above import Above
from bitreplay.network import load
for path in sys.argv[1:]:
    net = load(path)
    above = Above(net)
    image, latent, features = bytes(net.image_bytes), bytearray(net.latent_bytes), bytearray(net.features)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for i in range(100):
        net.latent(image, latent)
        above.features(latent, features)
    print((gc.mem_alloc() - before) / 100)
    gc.enable()
"""


def test_allocates_next_to_nothing(tmp_path, micropython):
    paths = [models.tiny_model(tmp_path / "tiny"), models.save(tmp_path / "mixed", models.mixed())]
    tiny, mixed = map(float, micropython(ALLOCATES, *paths).split())
    assert tiny < 64
    # A layer that has no shortcut sets the stream to zero, slice by slice.
    assert mixed < 10000


MEMORY = """
import sys
from bitreplay.network import load
try:
    load(sys.argv[1])
except MemoryError as error:
    print(error)
"""


def test_memory_error_under_micropython(path, micropython):
    with open(path, "wb") as file:
        file.write(bytes(2000000))
    output = micropython(MEMORY, path, heap="700k")
    assert output.startswith(path + ": 2000000 bytes do not fit in RAM; put the file into ROMFS, at an address")

    def enlarge(m):
        m.image = [256, 256, 3]
        m.layer("avg_pool")["size"] = 8
        m.layers.insert(4, m.layer("avg_pool"))

    models.tiny_model(path, enlarge)
    output = micropython(MEMORY, path, heap="700k")
    assert output.startswith(path + ": running it needs 589824 bytes of RAM, 524288 of them in one piece; free some")
    load(path)
