"""Models: what a Network computes, and the memory it takes."""

import hashlib
import json

import _bitreplay as kernels
import direct
import numpy as np
import pytest
import safetensors.numpy
from bitreplay import load
from bitreplay.above import Above
from kinds import MODELS

import models


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.safetensors")


def latent_of(net, image):
    out = bytearray(net.latent_bytes)
    net.latent(image, out)
    return out


def features_of(net, latent):
    out = bytearray(net.features)
    Above(net).features(latent, out)
    return out


# What it computes.


def pack(bits):
    return np.packbits(bits.astype(bool), axis=-1, bitorder="little").tobytes()


def probability_of(scores):
    errors = np.zeros(len(scores), np.int16)
    kernels.softmax(scores.astype(np.int32), bytes([1] * len(scores)), -1, errors)
    return errors / 16384


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MODELS)
def test_computes_what_numpy_does(path, name, seed):
    model = MODELS[name](seed)
    net = load(models.save(path, model))
    above, seen = Above(net), set()
    for i in range(3 if name == "mixed" else 8):
        image = models.image(i, model.image)
        latent, features, scores = direct.evaluate(model, image)
        assert net.latent_shape == latent.shape
        assert latent_of(net, image.tobytes()) == pack(latent)
        out = bytearray(net.features)
        above.features(latent_of(net, image), out)
        assert out == features.astype(np.int8).tobytes()
        seen.add(bytes(out))
        if model.labels:
            label, probability = net.classify(image)
            assert label == model.labels[probability_of(scores).argmax()]
            assert probability == probability_of(scores).max()
            assert isinstance(probability, float)
    assert len(seen) > 2  # it is no constant


def test_images_matter(path):
    """The synthetic model is no constant."""
    net = load(models.tiny_model(path))
    assert len({bytes(latent_of(net, models.image(i))) for i in range(20)}) == 20
    assert len({net.classify(models.image(i)) for i in range(20)}) > 10


def test_no_head(path):
    net = load(models.tiny_model(path, head=False))
    assert net.labels is None
    with pytest.raises(ValueError, match="no pretrained head"):
        net.classify(models.image())


def test_other_weights_above(path):
    """A buffer of packed signs takes a layer's place, and may change."""
    model = models.deep()
    net = load(models.save(path, model))
    latent = latent_of(net, models.image(0, model.image))
    rng = np.random.default_rng(1)
    signs = {i: bytearray(len(net.above[i].weight)) for i in (2, 5, 9)}
    above, out = Above(net, signs), bytearray(net.features)
    for _ in range(3):
        for i in signs:
            name = net.above[i].name + ".weight"
            signs[i][:] = rng.bytes(len(signs[i]))
            model.tensors[name] = np.frombuffer(bytes(signs[i]), np.uint32).reshape(model.tensors[name].shape)
        above.features(latent, out)
        assert out == direct.evaluate(model, models.image(0, model.image))[1].astype(np.int8).tobytes()
    assert out != features_of(net, latent)


def test_attributes(path):
    net = load(models.tiny_model(path))
    assert (net.name, net.image_shape, net.image_bytes) == ("tiny", (8, 8, 3), 192)
    assert (net.latent_shape, net.latent_bytes, net.features) == ((2, 2, 32), 16, 32)
    assert net.labels == ["mug", "Tür", 'a "b"\n']
    with open(path, "rb") as file:
        assert net.digest == hashlib.sha256(file.read()).hexdigest()
    assert (net.pooling, [layer.op for layer in net.above]) == ("global_avg_pool", ["expand", "bconv2d"])
    assert net.binary_macs == 16 * 32 * 288 + 4 * 32 * 32
    assert net.int8_macs == 16 * 32 * 27
    # The stream of 4x4x32, and its bits.
    assert [len(view) for view in net.scratch] == [512, 64, 0]
    assert net.scratch_bytes == 512 + 64
    assert net.weights_bytes == sum(array.nbytes for array in models.tiny().tensors.values())
    assert not net.in_place
    assert repr(net) == (
        "<Network tiny: image 8x8x3, latent 2x2x32 (16 bytes), 0.2 M binary and 0.0 M int8 MACs, "
        f"576 bytes of scratch in RAM, {net.weights_bytes} bytes of weights in RAM>"
    )


def test_layers_above(path):
    model = models.deep()
    net = load(models.save(path, model))
    found = [(layer.op, layer.name, layer.shape_in, layer.shape) for layer in net.above]
    assert found == [
        ("expand", "latent", (4, 8, 32), (4, 8, 32)),
        ("binarize", "same", (4, 8, 32), (4, 8, 32)),
        ("bconv2d", "same", (4, 8, 32), (4, 8, 32)),
        ("binarize", "down", (4, 8, 32), (4, 8, 32)),
        ("avg_pool", None, (4, 8, 32), (2, 4, 64)),
        ("bconv2d", "down", (4, 8, 32), (2, 4, 64)),
        ("avg_pool", None, (2, 4, 64), (1, 2, 64)),
        ("binarize", "top", (1, 2, 64), (1, 2, 64)),
        ("expand", "top", (1, 2, 64), (1, 2, 64)),
        ("bconv2d", "top", (1, 2, 64), (1, 2, 64)),
    ]
    down = net.above[5]
    assert (list(down.geometry), down.shift, down.residual) == ([4, 8, 32, 64, 3, 3, 2, 2, 1, 1, 1], 9, True)
    assert list(net.above[4].pool) == [4, 8, 32, 2, 2, 2]
    for part in ("weight", "slope", "bias"):
        assert bytes(getattr(down, part)) == model.tensors[f"down.{part}"].tobytes()
    assert bytes(net.above[0].levels) == model.tensors["latent.levels"].tobytes()
    assert bytes(net.above[1].threshold) == model.tensors["same.threshold"].tobytes()
    assert net.above[1].weight is None
    assert (net.features, net.pooling) == (64, "global_avg_pool")


def test_layers_of_two_sides(path):
    """What differs vertically and horizontally; one integer stands for both."""
    model = models.sensors()
    net = load(models.save(path, model))
    assert (net.image_shape, net.latent_shape, net.features) == ((128, 1, 6), (9, 1, 32), 256)
    down = net.above[5]
    assert (list(down.geometry), down.shape) == ([8, 1, 32, 64, 3, 1, 2, 1, 1, 0, 1], (4, 1, 64))
    assert list(net.above[4].pool) == [8, 1, 32, 2, 1, 2]
    assert net.int8_macs == 64 * 32 * 5 * 6
    same = models.tiny()
    before = repr(load(models.save(path, same)))
    for layer in same.layers:
        layer.update(
            {field: models.pair(layer[field]) for field in ("kernel", "stride", "padding", "size") if field in layer}
        )
    assert same.layer("bconv2d")["kernel"] == [3, 3] and same.layer("avg_pool")["size"] == [2, 2]
    assert repr(load(models.save(path, same))) == before


def test_scratch(path):
    """It holds what the backbone writes and what is written above it, but not the latent."""
    # 32x32x32 (and pooled 16x16x64) of the stream; bits of 16x16x96 and 7x7x64, 8x8x32 lies where the first were.
    sizes = {"mixed": [32 * 32 * 32, 16 * 16 * 96 // 8, 7 * 7 * 64 // 8]}
    # The stream of both; bits of 4x8x32 above the latent, where the backbone has none but the latent.
    sizes["deep"] = [4 * 8 * 32, 4 * 8 * 32 // 8, 0]
    # The backbone's bits of 8x8x32 have room for the 4x4x64 above.
    sizes["plain"] = [8 * 8 * 32, 8 * 8 * 32 // 8, 0]
    for name in sizes:
        net = load(models.save(path, MODELS[name](0)))
        assert ([len(view) for view in net.scratch], net.scratch_bytes) == (sizes[name], sum(sizes[name]))


def test_scratch_above_is_larger(path):
    def enlarge(m):
        m.layers[6:8] = [
            m.layers[6],
            {"op": "avg_pool", "size": 1, "repeat": 1},
            {"op": "binarize", "tensor": "more"},
            models._conv("bconv2d", "tail", 512, 2, 1, 1, groups=1, shift=8, residual=False),
        ]
        rng = np.random.default_rng(1)
        m.tensors["more.threshold"] = np.zeros(32, np.int8)
        m.tensors["tail.weight"] = rng.integers(0, 1 << 32, (512, 2, 2, 1), dtype=np.uint32)
        m.tensors["tail.slope"] = np.full((512, 2), 100, np.int16)
        m.tensors["tail.bias"] = np.zeros(512, np.int32)

    net = load(models.tiny_model(path, enlarge, head=False))
    assert ([len(view) for view in net.scratch], net.features) == ([3 * 3 * 512, 64, 0], 512)
    features_of(net, bytes(16))


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


@pytest.mark.parametrize("size", [0, 15, 32, 64])
def test_latent_size(path, size):
    above = Above(load(models.tiny_model(path)))
    with pytest.raises(ValueError, match="^latent: expected 16 bytes, aligned to 4$"):
        above.features(bytes(size), bytearray(32))


@pytest.mark.parametrize("make", [models.tiny, models.plain])
def test_features_size(path, make):
    net = load(models.save(path, make()))
    for size in (0, 16, net.features - 1, net.features + 1, 2 * net.features):
        with pytest.raises(ValueError, match=f"^out: expected {net.features} bytes, got {size}$"):
            Above(net).features(bytes(net.latent_bytes), bytearray(size))


@pytest.mark.parametrize("name", MODELS)
def test_results_do_not_depend_on_the_last(path, name):
    model = MODELS[name](0)
    net = load(models.save(path, model))
    above, out, seen = Above(net), bytearray(net.features), []
    for i in (1, 2, 1):
        latent = latent_of(net, models.image(i, model.image))
        above.features(latent, out)
        seen.append(bytes(latent) + bytes(out))
    assert seen[0] == seen[2] != seen[1]


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
