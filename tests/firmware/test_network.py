"""Models: what a Network computes, on CPython and on MicroPython, and the memory it takes."""

import hashlib
import json

import _bitreplay as kernels
import numpy as np
import pytest
import safetensors.numpy
from bitreplay import load

import models

U16 = np.uint16


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.safetensors")


def latent_of(net, image):
    out = bytearray(net.latent_bytes)
    net.latent(image, out)
    return out


# What it computes.


def affine(t, name, shift):
    return np.ascontiguousarray(t[f"{name}.slope"]), t[f"{name}.bias"], shift


def pack_signs(weight):
    return np.packbits(weight >= 0, axis=-1, bitorder="little").view(np.uint32)


def tiny_by_hand(model, image):
    """(latent, features, probabilities) of models.tiny(), kernel by kernel."""
    t = model.tensors
    stream, bits = np.zeros((4, 4, 32), np.int8), np.zeros((4, 4, 1), np.uint32)
    kernels.conv2d(np.array([8, 8, 3, 32, 3, 2, 1, 1], U16), image, t["stem.weight"], *affine(t, "stem", 13), stream)
    kernels.binarize(stream, t["block.threshold"], bits)
    geometry = np.array([4, 4, 32, 32, 3, 1, 1, 1], U16)
    kernels.bconv2d(geometry, bits, t["block.weight"], *affine(t, "block", 8), stream)
    pooled, latent = np.zeros((2, 2, 32), np.int8), np.zeros((2, 2, 1), np.uint32)
    kernels.avg_pool(np.array([4, 4, 32, 2, 1], U16), stream, pooled)
    kernels.binarize(pooled, t["latent.threshold"], latent)
    above, features = np.zeros((2, 2, 32), np.int8), np.zeros(32, np.int8)
    kernels.expand(latent, 16, above)
    if "tail.weight" in t:
        groups = 32 // t["tail.weight"].shape[1]
        geometry = np.array([2, 2, 32, 32, 1, 1, 0, groups], U16)
        kernels.bconv2d(geometry, latent, pack_signs(t["tail.weight"]), *affine(t, "tail", 8), above)
    kernels.avg_pool(np.array([2, 2, 32, 2, 1], U16), above, features)
    scores, errors = np.zeros(3, np.int32), np.zeros(3, np.int16)
    kernels.dense(features, t["head.weight"], t["head.shift"], scores)
    kernels.softmax(scores, bytes([1, 1, 1]), -1, errors)
    return latent, features, errors / 16384


def mixed_by_hand(model, image):
    """(latent, features) of models.mixed(), kernel by kernel."""
    t = model.tensors
    stream = np.zeros((32, 32, 32), np.int8)
    geometry = np.array([32, 32, 1, 32, 5, 1, 2, 1], U16)
    kernels.conv2d(geometry, image, t["stem.weight"], *affine(t, "stem", 14), stream)
    pooled, bits = np.zeros((16, 16, 64), np.int8), np.zeros((16, 16, 2), np.uint32)
    kernels.max_pool(np.array([32, 32, 32, 2, 2], U16), stream, pooled)
    kernels.binarize(pooled, t["plain.threshold"], bits)
    stream = np.zeros((16, 16, 96), np.int8)
    geometry = np.array([16, 16, 64, 96, 3, 1, 1, 2], U16)
    kernels.bconv2d(geometry, bits, t["plain.weight"], *affine(t, "plain", 9), stream)
    bits = np.zeros((16, 16, 3), np.uint32)
    kernels.binarize(stream, t["bits.threshold"], bits)
    for name, geometry, shape in (
        ("sign0", [16, 16, 96, 64, 3, 2, 0, 1], (7, 7, 2)),
        ("sign1", [7, 7, 64, 32, 2, 1, 1, 2], (8, 8, 1)),
        ("sign2", [8, 8, 32, 64, 1, 2, 0, 1], (4, 4, 2)),
    ):
        out = np.zeros(shape, np.uint32)
        weight, threshold, flip = (t[f"{name}.{part}"] for part in ("weight", "threshold", "flip"))
        kernels.bconv2d_sign(np.array(geometry, U16), bits, weight, threshold, flip, out)
        bits = out
    above, features = np.zeros((4, 4, 64), np.int8), np.zeros(64, np.int8)
    kernels.expand(bits, 9, above)
    geometry = np.array([4, 4, 64, 64, 1, 1, 0, 2], U16)
    kernels.bconv2d(geometry, bits, pack_signs(t["tail.weight"]), *affine(t, "tail", 7), above)
    kernels.avg_pool(np.array([4, 4, 64, 4, 1], U16), above, features)
    return bits, features


@pytest.mark.parametrize("seed", range(5))
def test_tiny(path, seed):
    model = models.tiny(seed)
    net = load(models.save(path, model))
    for i in range(10):
        image = models.image(i)
        latent, features, probabilities = tiny_by_hand(model, image)
        assert latent_of(net, image.tobytes()) == latent.tobytes()
        out = bytearray(32)
        net.features_of(latent_of(net, image), net.pack_signs(), out)
        assert out == features.tobytes()
        label, probability = net.classify(image)
        assert label == model.labels[probabilities.argmax()]
        assert probability == probabilities.max()
        assert isinstance(probability, float)


def test_images_matter(path):
    """The synthetic model is no constant."""
    net = load(models.tiny_model(path))
    assert len({bytes(latent_of(net, models.image(i))) for i in range(20)}) == 20
    assert len({net.classify(models.image(i)) for i in range(20)}) > 10


def test_no_trainable_layer(path):
    model = models.tiny(trainable=False)
    net = load(models.save(path, model))
    assert net.trainable is None
    latent, features, probabilities = tiny_by_hand(model, models.image())
    out = bytearray(32)
    net.features_of(latent, None, out)
    assert out == features.tobytes()
    assert net.classify(models.image())[1] == probabilities.max()
    with pytest.raises(ValueError, match="no trainable layer"):
        net.pack_signs()


def test_no_head(path):
    net = load(models.tiny_model(path, head=False))
    assert net.labels is None
    with pytest.raises(ValueError, match="no pretrained head"):
        net.classify(models.image())


@pytest.mark.parametrize("seed", range(3))
def test_mixed(path, seed):
    model = models.mixed(seed)
    net = load(models.save(path, model))
    for i in range(3):
        image = models.image(i, (32, 32, 1))
        latent, features = mixed_by_hand(model, image)
        assert latent_of(net, image) == latent.tobytes()
        out = bytearray(64)
        net.features_of(latent, net.pack_signs(), out)
        assert out == features.tobytes()


def test_attributes(path):
    net = load(models.tiny_model(path))
    assert (net.name, net.image_shape, net.image_bytes) == ("tiny", (8, 8, 3), 192)
    assert (net.latent_shape, net.latent_bytes, net.features) == ((2, 2, 32), 16, 32)
    assert net.labels == ["mug", "Tür", 'a "b"\n']
    with open(path, "rb") as file:
        assert net.digest == hashlib.sha256(file.read()).hexdigest()
    assert list(net.trainable.geometry) == [2, 2, 32, 32, 1, 1, 0, 1]
    assert (len(net.trainable.weight), len(net.trainable.slope), len(net.trainable.bias), net.trainable.shift) == (
        1024,
        128,
        128,
        8,
    )
    assert (net.expand_value, list(net.feature_pool)) == (16, [2, 2, 32, 2, 1])
    assert net.binary_macs == 16 * 32 * 288 + 4 * 32 * 32
    assert net.int8_macs == 16 * 32 * 27
    # The stream of 4x4x32, and its bits.
    assert net.scratch_bytes == 512 + 64
    assert net.weights_bytes == sum(array.nbytes for array in models.tiny().tensors.values())
    assert not net.in_place
    assert repr(net) == (
        "<Network tiny: image 8x8x3, latent 2x2x32 (16 bytes), 0.2 M binary and 0.0 M int8 MACs, "
        f"576 bytes of scratch in RAM, {net.weights_bytes} bytes of weights in RAM>"
    )


def test_scratch_of_mixed(path):
    # 32x32x32 (and pooled 16x16x64) of the stream; bits of 16x16x96 and 7x7x64, 8x8x32 lies where the first were.
    assert load(models.save(path, models.mixed())).scratch_bytes == 32 * 32 * 32 + 16 * 16 * 96 // 8 + 7 * 7 * 64 // 8


def test_pack_signs(path):
    model = models.tiny()
    model.tensors["tail.weight"][0, :4] = [-128, -1, 0, 127]
    packed = load(models.save(path, model)).pack_signs()
    assert packed[0] & 15 == 0b1100
    assert packed == pack_signs(model.tensors["tail.weight"]).tobytes()


@pytest.mark.parametrize("size", [0, 191, 193, 768])
def test_image_size(path, size):
    net = load(models.tiny_model(path))
    with pytest.raises(ValueError, match=r"^image: expected 192 bytes, uint8 of shape \(8, 8, 3\)$"):
        net.latent(bytes(size), bytearray(16))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_out_size(path, size):
    net = load(models.tiny_model(path))
    with pytest.raises(ValueError, match="^out: expected 16 bytes"):
        net.latent(bytes(192), bytearray(size))


def test_a_latent_does_not_depend_on_the_last(path):
    for model, shape in ((models.tiny(), (8, 8, 3)), (models.mixed(), (32, 32, 1))):
        net = load(models.save(path, model))
        first = latent_of(net, models.image(1, shape))
        latent_of(net, models.image(2, shape))
        assert latent_of(net, models.image(1, shape)) == first


def test_file_of_the_safetensors_package(path):
    model = models.tiny()
    before = load(models.save(path, model)).classify(models.image())
    metadata = {**model.metadata, "labels": json.dumps(model.labels)}
    metadata["graph"] = json.dumps({"image": model.image, "layers": model.layers})
    safetensors.numpy.save_file(model.tensors, path, metadata)
    assert load(path).classify(models.image()) == before


def test_path_object(path, tmp_path):
    models.tiny_model(path)
    assert load(tmp_path / "model.safetensors").name == "tiny"


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        load(path)


def test_memory_error(path, monkeypatch):
    models.tiny_model(path)
    monkeypatch.setattr("bitreplay.network.bytearray", lambda size: (_ for _ in ()).throw(MemoryError), raising=False)
    with pytest.raises(MemoryError, match="running it needs 576 bytes of RAM, 512 of them in one piece"):
        load(path)


# The same under MicroPython.

SAME = """
import binascii, sys
from bitreplay.network import load
for path in sys.argv[1:]:
    net = load(path)
    print(repr(net), net.digest, list(net.trainable.geometry), list(net.feature_pool), net.int8_macs)
    packed = net.pack_signs()
    for i in range(6):
        image = bytes((j * j * (i + 3) + j * (i + 1) >> 3) & 255 for j in range(net.image_bytes))
        latent, features = bytearray(net.latent_bytes), bytearray(net.features)
        net.latent(image, latent)
        net.features_of(latent, packed, features)
        print(binascii.hexlify(latent), binascii.hexlify(features))
        if net.labels:
            label, probability = net.classify(image)
            print(label.encode(), "%.6f" % probability)
    for image, out in ((bytes(5), latent), (image, bytearray(5))):
        try:
            net.latent(image, out)
        except ValueError as error:
            print(error)
"""


def test_same_under_micropython(tmp_path, micropython, cpython):
    paths = [models.save(tmp_path / "mixed", models.mixed())]
    paths += [models.tiny_model(tmp_path / f"tiny{seed}", seed=seed) for seed in range(3)]
    assert micropython(SAME, *paths) == cpython(SAME, *paths)


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
from bitreplay.network import load
for path in sys.argv[1:]:
    net = load(path)
    image, latent, features = bytes(net.image_bytes), bytearray(net.latent_bytes), bytearray(net.features)
    packed = net.pack_signs()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for i in range(100):
        net.latent(image, latent)
        net.features_of(latent, packed, features)
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
