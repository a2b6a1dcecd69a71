"""Models: what a Network computes, and every way in which a model is refused."""

import hashlib
import json
import os
import re

import _bitreplay as kernels
import numpy as np
import pytest
import safetensors.numpy
from bitreplay import safetensors as files
from bitreplay.network import load

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


# What is refused.


def graph(**fields):
    return lambda m: m.metadata.update(graph=json.dumps({"image": m.image, "layers": m.layers, **fields}))


def metadata(**fields):
    return lambda m: m.metadata.update(fields)


def without(field):
    return lambda m: m.metadata.pop(field)


def layer(op, nth=0, **fields):
    return lambda m: m.layer(op, nth).update(fields)


def dropped(op, field):
    return lambda m: m.layer(op).pop(field)


def layers(edit):
    """edit(layers, {op: the first such layer})."""
    return lambda m: edit(m.layers, {one["op"]: one for one in reversed(m.layers)})


def labels(value):
    return lambda m: m.metadata.update(labels=value if isinstance(value, str) else json.dumps(value))


def tensor(name, change):
    def edit(m):
        m.tensors[name] = change(m.tensors[name])

    return edit


def filled(name, value, at=...):
    def edit(m):
        m.tensors[name][at] = value

    return edit


def both(*edits):
    return lambda m: [edit(m) for edit in edits]


def int8_slope(m):
    m.tensors["stem.slope"][5, 1] = -32768
    m.tensors["stem.weight"][5] = 127


EXPAND = {"op": "expand", "value": 16}
BINARIZE = {"op": "binarize", "tensor": "block"}

REFUSED = [
    # metadata
    (without("format"), "format: is not bitreplay-model"),
    (metadata(format="pt"), "format: is not bitreplay-model"),
    (without("version"), "version: is not 1"),
    (metadata(version="2"), "version: is not 1"),
    (without("name"), "name: is missing; use `bitreplay export` again"),
    (metadata(name=""), "name: must have"),
    (metadata(name="n" * 65), "name: must have 1..64"),
    (metadata(label="[]"), "label: is not a field of the metadata"),
    (metadata(graph=""), "graph: is not valid JSON"),
    (metadata(graph="{"), "graph: "),
    (metadata(graph="[]"), "graph: is not valid JSON"),
    (metadata(graph="{}"), "graph: must have exactly the fields image and layers"),
    (metadata(graph='{"image": [8, 8, 3]}'), "graph: must have exactly"),
    (graph(more=1), "graph: must have exactly"),
    # image
    (graph(image=[8, 8]), "graph: image must"),
    (graph(image=[8, 8, 3, 1]), "graph: image must"),
    (graph(image="883"), "graph: image must"),
    (graph(image=[0, 8, 3]), "graph: image must"),
    (graph(image=[-8, 8, 3]), "graph: image must"),
    (graph(image=[257, 8, 3]), "graph: image must"),
    (graph(image=[8, 257, 3]), "graph: image must"),
    (graph(image=[8, 8, 17]), "graph: image must"),
    (graph(image=[8, 8.0, 3]), "graph: image must"),
    (graph(image=[8, 8, True]), "graph: image must"),
    (graph(image=[8, 8, None]), "graph: image must"),
    (graph(image=[1, 8, 3]), r"block.weight|graph: layer"),
    # layers
    (graph(layers={}), "graph: layers must be a list"),
    (graph(layers=[]), "graph: layers must be a list"),
    (graph(layers=[{"op": "latent"}] * 257), "graph: layers must be a list of 1..256"),
    (graph(layers=[7]), "graph: layer 0: op must be one of avg_pool, bconv2d"),
    (graph(layers=[{}]), "graph: layer 0: op must"),
    (graph(layers=[{"op": []}]), "graph: layer 0: op must"),
    (graph(layers=[{"op": "relu"}]), "graph: layer 0: op must"),
    (graph(layers=[{"op": "latent"}]), r"graph: layer 0 \(latent\): conv2d comes at the start"),
    (layer("conv2d", more=1), r"graph: layer 0 \(conv2d\): field more is unknown"),
    (layer("conv2d", groups=1), r"\(conv2d\): field groups is unknown"),
    (dropped("conv2d", "shift"), r"\(conv2d\): field shift is missing"),
    (dropped("bconv2d", "residual"), r"layer 2 \(bconv2d\): field residual is missing"),
    (dropped("binarize", "tensor"), r"\(binarize\): field tensor is missing"),
    (dropped("avg_pool", "repeat"), r"\(avg_pool\): field repeat is missing"),
    (dropped("expand", "value"), r"\(expand\): field value is missing"),
    (layer("latent", tensor="a"), r"\(latent\): field tensor is unknown"),
    (layer("conv2d", tensor=""), r"\(conv2d\): tensor must be"),
    (layer("conv2d", tensor="t" * 65), r"\(conv2d\): tensor must be"),
    (layer("conv2d", tensor=1), r"\(conv2d\): tensor must be"),
    *[
        (layer(op, **{field: value}), rf"\({op}\): {field} must be an integer")
        for op, field, values in (
            ("conv2d", "cout", (0, 1025, -1, 32.0, "32", True, None, [32])),
            ("conv2d", "kernel", (0, 8, 3.0)),
            ("conv2d", "stride", (0, 3, False)),
            ("conv2d", "padding", (-1, 7, 1.0)),
            ("conv2d", "shift", (0, 25, 13.0)),
            ("bconv2d", "cout", (0, 1025)),
            ("bconv2d", "groups", (0, 33, 1.0)),
            ("bconv2d", "shift", (0, 25)),
            ("avg_pool", "size", (0, 9, 2.0)),
            ("avg_pool", "repeat", (0, 9, True)),
            ("expand", "value", (0, 128, 16.0)),
        )
        for value in values
    ],
    (layer("bconv2d", residual=1), r"\(bconv2d\): residual must be true or false"),
    (layer("bconv2d", residual=None), r"\(bconv2d\): residual must be true or false"),
    # geometry
    (layer("conv2d", padding=3), "a kernel of 3 with padding 3 does not fit"),
    (layer("conv2d", kernel=7, padding=4, stride=1), r"stem.weight: is I8 \(32, 3, 3, 3\), but .* needs I8"),
    (both(graph(image=[1, 1, 3]), layer("conv2d", padding=0)), "kernel of 3|graph"),
    (layer("bconv2d", groups=2), "groups must divide cout 32, and cin 32 into multiples of 32"),
    (layer("bconv2d", groups=3), "groups must divide"),
    (layer("bconv2d", cout=64), r"block.weight: is U32 \(32, 3, 3, 1\), but graph: layer 2 \(bconv2d\) needs U32"),
    (
        both(layer("bconv2d", stride=2), filled("block.bias", 0)),
        r"residual: the stream is \(4, 4, 32\), but the output",
    ),
    (layer("bconv2d", padding=0), r"residual: the stream is \(4, 4, 32\), but the output \(2, 2, 32\)"),
    (layer("avg_pool", size=3), "size must be 1, 2, 4 or 8 and divide"),
    (layer("avg_pool", size=8), "size must be 1, 2, 4 or 8 and divide the 4x4 stream"),
    (layer("avg_pool", repeat=3), "repeat must be at most size"),
    (
        both(
            layer("conv2d", cout=16),
            tensor("stem.weight", lambda a: a[:16]),
            tensor("stem.slope", lambda a: a[:16]),
            tensor("stem.bias", lambda a: a[:16]),
        ),
        "the stream's 16 channels are not a multiple of 32",
    ),
    # order
    (layers(lambda all, one: all.insert(1, one["conv2d"])), r"layer 1 \(conv2d\): binarize, .* comes after conv2d"),
    (layers(lambda all, one: all.remove(one["conv2d"])), r"layer 0 \(binarize\): conv2d comes at the start"),
    (layers(lambda all, one: all.remove(one["binarize"])), r"layer 1 \(bconv2d\): there are no bits yet"),
    (layers(lambda all, one: all.insert(4, all.pop(5))), r"\(latent\): .* comes after avg_pool"),
    (layers(lambda all, one: all.insert(3, all.pop(5))), r"\(latent\): .* comes after bconv2d"),
    (layers(lambda all, one: all.insert(6, {"op": "latent"})), r"\(latent\): expand comes after latent"),
    (layers(lambda all, one: all.remove(one["latent"])), r"\(expand\): binarize, .*, latent comes after binarize"),
    (layers(lambda all, one: all.remove(one["expand"])), r"\(bconv2d\): its shortcut would cross the latent"),
    (layers(lambda all, one: all.insert(6, BINARIZE)), r"\(binarize\): expand comes after latent"),
    (layers(lambda all, one: all.insert(7, EXPAND)), r"\(expand\): bconv2d, avg_pool comes after expand"),
    (layers(lambda all, one: all.insert(8, all[7])), r"\(bconv2d\): avg_pool comes after bconv2d"),
    (layers(lambda all, one: all.insert(9, all[8])), r"\(avg_pool\): dense comes after avg_pool"),
    (layers(lambda all, one: all.append(all[9])), r"\(dense\): nothing comes after dense"),
    (layers(lambda all, one: all.pop(8)), r"\(dense\): avg_pool comes after bconv2d"),
    (layers(lambda all, one: all.__delitem__(slice(8, None))), "graph: must end in latent, expand, avg_pool"),
    (layers(lambda all, one: all.__delitem__(slice(6, None))), "graph: must end in latent, expand, avg_pool"),
    (layers(lambda all, one: all.__delitem__(slice(5, None))), "graph: must end in latent, expand, avg_pool"),
    # above the latent
    (
        layer("bconv2d", 1, residual=False),
        "the trainable layer needs kernel 1, stride 1, padding 0, cout 32 and resid",
    ),
    (layer("bconv2d", 1, kernel=3, padding=1), "the trainable layer needs"),
    (layer("bconv2d", 1, stride=2), "the trainable layer needs"),
    (layer("bconv2d", 1, cout=64), "the trainable layer needs"),
    (layer("avg_pool", 1, size=1), "must pool the 2x2 stream to 1x1"),
    (layer("avg_pool", 1, repeat=2), "must pool the 2x2 stream to 1x1 with repeat 1"),
    # tensors
    (lambda m: m.tensors.pop("stem.weight"), r"stem.weight: is missing, or two layers use it; .* needs I8 \(32, 3, 3"),
    (lambda m: m.tensors.pop("stem.slope"), "stem.slope: is missing"),
    (lambda m: m.tensors.pop("stem.bias"), "stem.bias: is missing"),
    (lambda m: m.tensors.pop("latent.threshold"), "latent.threshold: is missing"),
    (lambda m: m.tensors.pop("block.weight"), "block.weight: is missing"),
    (lambda m: m.tensors.pop("tail.weight"), "tail.weight: is missing"),
    (lambda m: m.tensors.pop("head.weight"), "head.weight: is missing"),
    (lambda m: m.tensors.pop("head.shift"), "head.shift: is missing"),
    (lambda m: m.tensors.update(more=np.zeros(1, np.uint8)), "more: no layer uses it"),
    (layer("binarize", 1, tensor="block"), "block.threshold: is missing, or two layers use it"),
    (tensor("stem.weight", lambda a: a.view(np.uint8)), r"stem.weight: is U8 \(32, 3, 3, 3\), but .* needs I8"),
    (tensor("stem.weight", lambda a: a.reshape(32, 27)), r"stem.weight: is I8 \(32, 27\)"),
    (tensor("stem.slope", lambda a: a.view(U16)), "stem.slope: is U16"),
    (tensor("stem.slope", lambda a: a.reshape(2, 32)), r"stem.slope: is I16 \(2, 32\), but .* needs I16 \(32, 2\)"),
    (tensor("stem.bias", lambda a: a[:31]), r"stem.bias: is I32 \(31,\)"),
    (tensor("block.threshold", lambda a: a.astype(np.int16)), "block.threshold: is I16"),
    (tensor("block.weight", lambda a: a.view(np.int32)), "block.weight: is I32"),
    (
        tensor("tail.weight", lambda a: a.reshape(32, 1, 1, 32)),
        r"tail.weight: is I8 \(32, 1, 1, 32\), but .* \(32, 32\)",
    ),
    (tensor("head.weight", lambda a: a[:, :31]), r"head.weight: is I8 \(3, 31\)"),
    (tensor("head.shift", lambda a: a[:2]), r"head.shift: is I8 \(2,\)"),
    (filled("head.shift", 7, 1), "head.shift: must be -16..6, got 7"),
    (filled("head.shift", -17, 2), "head.shift: must be -16..6, got -17"),
    # overflow
    (int8_slope, "stem.slope: channel 5 can overflow 32 bits"),
    (filled("stem.bias", 2**31 - 1, 7), "stem.slope: channel 7 can overflow"),
    (filled("block.bias", -(2**31), 31), "block.slope: channel 31 can overflow"),
    (filled("tail.bias", 2**31 - 1, 0), "tail.slope: channel 0 can overflow"),
    # labels
    (lambda m: setattr(m, "labels", None), "labels: must name the classes of the dense layer"),
    (labels(["a", "b"]), r"head.weight: is I8 \(3, 32\), but .* needs I8 \(2, 32\)"),
    (labels([]), "labels: must be a list"),
    (labels({"a": 1}), "labels: is not valid JSON"),
    (labels(["a", "b", 3]), "labels: must be a list of 1..1024 strings"),
    (labels(["a", "b", ""]), "labels: must be a list"),
    (labels(["a", "b", "c" * 65]), "labels: must be a list"),
    (labels(["a", "b", "a"]), "labels: has a label twice"),
    (labels('["a"'), "labels: is not valid JSON"),
    (layers(lambda all, one: all.pop()), "labels: there are labels, but no dense layer"),
]


@pytest.mark.parametrize("edit, message", REFUSED, ids=range(len(REFUSED)))
def test_refuses(path, edit, message):
    models.tiny_model(path, edit)
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: .*({message})"):
        load(path)


def test_refuses_a_model_without_graph(path):
    header, data = models.tiny().header_and_data()
    del header["__metadata__"]["graph"]
    with open(path, "wb") as file:
        file.write(models.encode(header, data))
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: graph: is missing; use `bitreplay export` again$"):
        load(path)


@pytest.mark.parametrize("nested", ["[", '{"a":'])
def test_refuses_deep_graph(path, nested):
    deep = '{"image":' + nested * 5000 + "1" + {"[": "]"}.get(nested, "}") * 5000 + "}"
    models.tiny_model(path, metadata(graph=deep))
    with pytest.raises(ValueError, match=r"graph: is not valid JSON \(RecursionError\)"):
        load(path)


MIXED_REFUSED = [
    (layer("bconv2d_sign", cout=48), "cout must be a multiple of 32"),
    (layer("bconv2d_sign", 1, groups=4), "groups must divide cout 32, and cin 64 into multiples of 32"),
    (layer("bconv2d_sign", shift=3), "field shift is unknown"),
    (tensor("sign0.threshold", lambda a: a.astype(np.int8)), "sign0.threshold: is I8"),
    (tensor("sign0.flip", lambda a: a[:1]), r"sign0.flip: is U32 \(1,\), but .* needs U32 \(2,\)"),
    (layer("max_pool", size=2, repeat=8), "repeat must be at most size"),
    (layer("bconv2d", residual=True), r"residual: the stream is \(16, 16, 64\), but the output \(16, 16, 96\)"),
    (layer("avg_pool", size=2), "must pool the 4x4 stream to 1x1"),
    (graph(image=[256, 256, 1]), r"must pool the \d+x\d+ stream to 1x1|size must"),
    (layer("conv2d", kernel=1, stride=1, padding=0), "stem.weight: is I8"),
    (layers(lambda all, one: all.insert(8, {"op": "max_pool", "size": 2, "repeat": 1})), "comes after max_pool"),
]


@pytest.mark.parametrize("edit, message", MIXED_REFUSED, ids=range(len(MIXED_REFUSED)))
def test_refuses_of_mixed(path, edit, message):
    model = models.mixed()
    edit(model)
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: .*({message})"):
        load(models.save(path, model))


def test_output_larger_than_a_kernel_takes(path):
    model = models.mixed()
    model.image = [256, 256, 1]
    model.layer("conv2d")["padding"] = 4
    with pytest.raises(ValueError, match=r"layer 0 \(conv2d\): its output is 260x260"):
        load(models.save(path, model))


@pytest.mark.parametrize("name, terms", [("block", 288), ("tail", 32)])
def test_overflow_bound_is_exact(path, name, terms):
    model = models.tiny()
    model.tensors[f"{name}.slope"][3] = [300, -32768]
    largest = 2**31 - 1 - terms * 32768 - (1 << 7)
    model.tensors[f"{name}.bias"][3] = -largest
    load(models.save(path, model))
    model.tensors[f"{name}.bias"][3] = largest + 1
    with pytest.raises(ValueError, match=f"{name}.slope: channel 3 can overflow"):
        load(models.save(path, model))


def test_overflow_bound_of_conv2d_is_exact(path):
    model = models.tiny()
    model.tensors["stem.slope"][3] = [-500, 20]
    largest = 2**31 - 1 - 500 * 128 * int(abs(model.tensors["stem.weight"][3].astype(int)).sum()) - (1 << 12)
    model.tensors["stem.bias"][3] = largest
    load(models.save(path, model))
    model.tensors["stem.bias"][3] = largest + 1
    with pytest.raises(ValueError, match="stem.slope: channel 3 can overflow"):
        load(models.save(path, model))


def test_accepts_extremes(path):
    """The ends of the ranges, which the tests above step over."""
    model = models.tiny()
    model.tensors["head.shift"][:] = [-16, 6, 0]
    model.layer("expand")["value"] = 127
    model.metadata["name"] = "n" * 64
    model.labels[0] = "l" * 64
    load(models.save(path, model)).classify(models.image())


# Damaged files.


def test_truncation(path):
    models.tiny_model(path)
    for size in reversed(range(os.stat(path).st_size)):
        os.truncate(path, size)
        with pytest.raises(ValueError, match=f"^{re.escape(path)}: "):
            load(path)


def damaged(whole, rng):
    data = bytearray(whole)
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(rng.integers(1, 3)):
        at = rng.integers(header if rng.integers(8) else len(data))
        data[at] = data[at] ^ 1 << rng.integers(8) if rng.integers(2) else rng.choice(list(b'{}[]",:0123456789 -tu\\'))
    return data


@pytest.mark.parametrize("seed", range(2))
def test_fuzz(path, seed, monkeypatch):
    """A damaged file is refused by a ValueError that names it, or is a model that runs."""
    models.save(path, models.mixed() if seed else models.tiny())
    with open(path, "rb") as file:
        whole = file.read()
    monkeypatch.setattr("gc.collect", lambda: None)  # which takes its time in a large process
    rng, accepted = np.random.default_rng(seed), 0
    for _ in range(3000):
        data = damaged(whole, rng)
        monkeypatch.setattr(files, "open_view", lambda path, data=data: (memoryview(data), None))
        try:
            net = load(path)
        except ValueError as error:
            assert str(error).startswith(path + ": ")
            continue
        accepted += 1
        latent, features = bytearray(net.latent_bytes), bytearray(net.features)
        net.latent(bytes(net.image_bytes), latent)
        net.features_of(latent, net.trainable and net.pack_signs(), features)
        if net.labels:
            net.classify(bytes(net.image_bytes))
    assert 20 < accepted < 2500


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


REFUSE = """
import sys
from bitreplay.network import load
for path in sys.argv[1:]:
    try:
        load(path)
        print("accepted")
    except ValueError as error:
        print(str(error)[len(path):].split("(JSON")[0].split("(Value")[0])
"""


def test_refuses_the_same_under_micropython(tmp_path, micropython, cpython):
    paths = [models.tiny_model(tmp_path / str(i), edit) for i, (edit, _) in enumerate(REFUSED)]
    ours, theirs = micropython(REFUSE, *paths).split("\n"), cpython(REFUSE, *paths).split("\n")
    different = [(a, b) for a, b in zip(ours, theirs) if a != b]
    assert different == []
    assert "accepted" not in ours


FUZZ = """
import random, sys
from bitreplay import safetensors
from bitreplay.network import load
path = sys.argv[1]
random.seed(1)
with open(path, "rb") as f:
    whole = f.read()
header = 8 + int.from_bytes(whole[:8], "little")
accepted = 0
for i in range(6000):
    data = bytearray(whole)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(header if random.getrandbits(3) else len(data))
        data[at] = data[at] ^ 1 << random.getrandbits(3) if random.getrandbits(1) else random.choice(b'{}[]",:019 -tu')
    safetensors.open_view = lambda path: (memoryview(data), None)
    try:
        net = load(path)
    except ValueError as error:
        assert str(error).startswith(path + ": ")
        continue
    accepted += 1
    latent, features = bytearray(net.latent_bytes), bytearray(net.features)
    net.latent(bytes(net.image_bytes), latent)
    net.features_of(latent, net.trainable and net.pack_signs(), features)
    if net.labels:
        net.classify(bytes(net.image_bytes))
print(accepted)
"""


def test_fuzz_under_micropython(path, micropython):
    models.tiny_model(path)
    assert 100 < int(micropython(FUZZ, path)) < 5000


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
