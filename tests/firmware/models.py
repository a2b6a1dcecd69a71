"""Small synthetic models: random weights in every op of the format, some 8 KB each."""

import json
import struct

import numpy as np

DTYPES = {"int8": "I8", "int16": "I16", "int32": "I32", "uint8": "U8", "uint16": "U16", "uint32": "U32"}


class Model:
    """A model in parts, to be changed before it is written."""

    def __init__(self, name, image, layers, labels, tensors):
        self.metadata = {"format": "bitreplay-model", "version": "2", "name": name}
        self.image, self.layers, self.labels, self.tensors = image, layers, labels, tensors

    def layer(self, op, nth=0):
        return [layer for layer in self.layers if layer.get("op") == op][nth]

    def header_and_data(self):
        """The safetensors header as a dict, and the data: larger elements first."""
        metadata = dict(self.metadata)
        metadata.setdefault("graph", json.dumps({"image": self.image, "layers": self.layers}))
        if self.labels is not None:
            metadata.setdefault("labels", json.dumps(self.labels))
        header, data = {"__metadata__": metadata}, b""
        for name, array in sorted(self.tensors.items(), key=lambda item: -item[1].itemsize):
            offsets = [len(data), len(data) + array.nbytes]
            header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
            data += array.tobytes()
        return header, data


def encode(header, data):
    """The bytes of a file; header is a dict or its JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def save(path, model):
    with open(path, "wb") as file:
        file.write(encode(*model.header_and_data()))
    return str(path)


def _affine(rng, tensor, channels, scale):
    slope = rng.integers(scale // 2, scale, (channels, 2))
    slope[:, 1] //= 4
    bias = rng.integers(-16 * scale, 16 * scale, channels)
    return {f"{tensor}.slope": slope.astype(np.int16), f"{tensor}.bias": bias.astype(np.int32)}


def _words(rng, *shape):
    return rng.integers(0, 1 << 32, shape, dtype=np.uint32)


def _threshold(rng, channels):
    return rng.integers(-20, 20, channels, dtype=np.int8)


def _sign(rng, tensor, cout, kernel, words):
    return {
        f"{tensor}.weight": _words(rng, cout, kernel, kernel, words),
        f"{tensor}.threshold": rng.integers(-10, 10, cout, dtype=np.int16),
        f"{tensor}.flip": _words(rng, cout // 32),
    }


def _conv(op, tensor, cout, kernel, stride, padding, **more):
    layer = {"op": op, "tensor": tensor, "cout": cout, "kernel": kernel, "stride": stride, "padding": padding}
    return {**layer, **more}


def _levels(rng, channels):
    return np.stack([rng.integers(-24, -4, channels), rng.integers(4, 24, channels)], axis=1).astype(np.int8)


def _head(rng, features, shift):
    """Scores that differ by some units, so that probabilities are neither 0 nor 1."""
    return {
        "head.weight": rng.integers(-128, 128, (3, features), dtype=np.int8),
        "head.shift": np.array([shift, shift - 1, shift], np.int8),
    }


def tiny(seed=0, trainable=True, head=True, groups=1):
    """8x8x3 image, a residual block, latent of 2x2x(32 * groups) bits, a layer to train, head of 3 classes.

    groups: 1 or 2.
    """
    rng = np.random.default_rng(seed)
    width = 32 * groups
    layers = [
        _conv("conv2d", "stem", 32, 3, 2, 1, shift=13),
        {"op": "binarize", "tensor": "block"},
        _conv("bconv2d", "block", 32, 3, 1, 1, groups=1, shift=8, residual=True),
        {"op": "avg_pool", "size": 2, "repeat": groups},
        {"op": "binarize", "tensor": "latent"},
        {"op": "latent"},
        {"op": "expand", "tensor": "levels"},
    ]
    tensors = {
        "stem.weight": rng.integers(-20, 20, (32, 3, 3, 3), dtype=np.int8),
        **_affine(rng, "stem", 32, 100),
        "block.threshold": _threshold(rng, 32),
        "block.weight": _words(rng, 32, 3, 3, 1),
        **_affine(rng, "block", 32, 300),
        "latent.threshold": _threshold(rng, width),
        "levels.levels": _levels(rng, width),
    }
    if trainable:
        layers.append(_conv("bconv2d", "tail", width, 1, 1, 0, groups=groups, shift=8, residual=True))
        tensors["tail.weight"] = _words(rng, width, 1, 1, 1)
        tensors.update(_affine(rng, "tail", width, 700))
    layers.append({"op": "global_avg_pool"})
    if head:
        layers.append({"op": "dense", "tensor": "head"})
        tensors.update(_head(rng, width, -2))
    return Model("tiny", [8, 8, 3], layers, ["mug", "Tür", 'a "b"\n'] if head else None, tensors)


def mixed(seed=0):
    """The ops that tiny() lacks: max_pool, repeat, groups, a convolution without shortcut, three sign convolutions."""
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 5, 1, 2, shift=14),
        {"op": "max_pool", "size": 2, "repeat": 2},
        {"op": "binarize", "tensor": "plain"},
        _conv("bconv2d", "plain", 96, 3, 1, 1, groups=2, shift=9, residual=False),
        {"op": "binarize", "tensor": "bits"},
        _conv("bconv2d_sign", "sign0", 64, 3, 2, 0, groups=1),
        _conv("bconv2d_sign", "sign1", 32, 2, 1, 1, groups=2),
        _conv("bconv2d_sign", "sign2", 64, 1, 2, 0, groups=1),
        {"op": "latent"},
        {"op": "expand", "tensor": "levels"},
        _conv("bconv2d", "tail", 64, 1, 1, 0, groups=2, shift=7, residual=True),
        {"op": "global_avg_pool"},
    ]
    tensors = {
        "stem.weight": rng.integers(-20, 20, (32, 5, 5, 1), dtype=np.int8),
        **_affine(rng, "stem", 32, 300),
        "plain.threshold": _threshold(rng, 64),
        "plain.weight": _words(rng, 96, 3, 3, 1),
        **_affine(rng, "plain", 96, 400),
        "bits.threshold": _threshold(rng, 96),
        **_sign(rng, "sign0", 64, 3, 3),
        **_sign(rng, "sign1", 32, 2, 1),
        **_sign(rng, "sign2", 64, 1, 1),
        "levels.levels": _levels(rng, 64),
        "tail.weight": _words(rng, 64, 1, 1, 1),
        **_affine(rng, "tail", 64, 500),
    }
    return Model("mixed", [32, 32, 1], layers, None, tensors)


def deep(seed=0, head=True):
    """8x8x3 image, latent of 4x4x32 bits, three layers to train: the first reads the latent's own bits, the second has
    a pooled shortcut, the third one of two levels.
    """
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 3, 2, 1, shift=13),
        {"op": "binarize", "tensor": "latent"},
        {"op": "latent"},
        {"op": "expand", "tensor": "levels"},
        _conv("bconv2d", "first", 32, 3, 1, 1, groups=1, shift=8, residual=True),
        {"op": "binarize", "tensor": "second"},
        {"op": "avg_pool", "size": 2, "repeat": 2},
        _conv("bconv2d", "second", 64, 3, 2, 1, groups=1, shift=8, residual=True),
        {"op": "binarize", "tensor": "third"},
        {"op": "expand", "tensor": "third"},
        _conv("bconv2d", "third", 64, 1, 1, 0, groups=2, shift=8, residual=True),
        {"op": "global_avg_pool"},
    ]
    tensors = {
        "stem.weight": rng.integers(-20, 20, (32, 3, 3, 3), dtype=np.int8),
        **_affine(rng, "stem", 32, 100),
        "latent.threshold": _threshold(rng, 32),
        "levels.levels": _levels(rng, 32),
        "first.weight": _words(rng, 32, 3, 3, 1),
        **_affine(rng, "first", 32, 300),
        "second.threshold": _threshold(rng, 32),
        "second.weight": _words(rng, 64, 3, 3, 1),
        **_affine(rng, "second", 64, 300),
        "third.threshold": _threshold(rng, 64),
        "third.levels": _levels(rng, 64),
        "third.weight": _words(rng, 64, 1, 1, 1),
        **_affine(rng, "third", 64, 700),
    }
    if head:
        layers.append({"op": "dense", "tensor": "head"})
        tensors.update(_head(rng, 64, -2))
    return Model("deep", [8, 8, 3], layers, ["a", "b", "c"] if head else None, tensors)


def plain(seed=0, head=True):
    """8x8x1 image, latent of 4x4x32 bits, no shortcut: two layers to train, a sign convolution between; flatten."""
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 3, 1, 1, shift=13),
        {"op": "max_pool", "size": 2, "repeat": 1},
        {"op": "binarize", "tensor": "latent"},
        {"op": "latent"},
        _conv("bconv2d", "first", 32, 3, 1, 1, groups=1, shift=8, residual=False),
        {"op": "binarize", "tensor": "bits"},
        _conv("bconv2d_sign", "sign", 64, 3, 1, 0, groups=1),
        _conv("bconv2d", "last", 64, 2, 1, 1, groups=2, shift=8, residual=False),
        {"op": "flatten"},
    ]
    tensors = {
        "stem.weight": rng.integers(-20, 20, (32, 3, 3, 1), dtype=np.int8),
        **_affine(rng, "stem", 32, 200),
        "latent.threshold": _threshold(rng, 32) + np.int8(30),  # of the largest of four
        "first.weight": _words(rng, 32, 3, 3, 1),
        **_affine(rng, "first", 32, 400),
        "bits.threshold": _threshold(rng, 32),
        **_sign(rng, "sign", 64, 3, 1),
        "last.weight": _words(rng, 64, 2, 2, 1),
        **_affine(rng, "last", 64, 500),
    }
    if head:
        layers.append({"op": "dense", "tensor": "head"})
        tensors.update(_head(rng, 576, -4))
    return Model("plain", [8, 8, 1], layers, ["a", "b", "c"] if head else None, tensors)


def tiny_model(path, edit=None, **changes):
    """Writes tiny(**changes), after edit(model) if given; returns the path as a string."""
    model = tiny(**changes)
    if edit:
        edit(model)
    return save(path, model)


def image(seed=0, shape=(8, 8, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
