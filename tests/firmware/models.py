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


def _levels(rng, channels):
    """What a bit of 0, and one of 1, becomes in the stream."""
    return np.stack([-rng.integers(8, 24, channels), rng.integers(8, 24, channels)], axis=1).astype(np.int8)


def _conv(op, tensor, cout, kernel, stride, padding, **more):
    layer = {"op": op, "tensor": tensor, "cout": cout, "kernel": kernel, "stride": stride, "padding": padding}
    return {**layer, **more}


def _stem(rng):
    return {"stem.weight": rng.integers(-20, 20, (32, 3, 3, 3), dtype=np.int8), **_affine(rng, "stem", 32, 100)}


def _head(rng, features):
    weight = rng.integers(-128, 128, (3, features), dtype=np.int8)
    return {"head.weight": weight, "head.shift": np.array([-2, -3, -2], np.int8)}


LABELS = ["mug", "Tür", 'a "b"\n']


def tiny(seed=0, trainable=True, head=True):
    """8x8x3 image, a residual block, latent of 2x2x32 bits, a 1x1 layer above it, head of 3 classes."""
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 3, 2, 1, shift=13),
        {"op": "binarize", "tensor": "block"},
        _conv("bconv2d", "block", 32, 3, 1, 1, groups=1, shift=8, residual=True),
        {"op": "avg_pool", "size": 2, "repeat": 1},
        {"op": "binarize", "tensor": "latent"},
        {"op": "latent"},
        {"op": "expand", "tensor": "expand"},
    ]
    tensors = {
        **_stem(rng),
        "block.threshold": _threshold(rng, 32),
        "block.weight": _words(rng, 32, 3, 3, 1),
        **_affine(rng, "block", 32, 300),
        "latent.threshold": _threshold(rng, 32),
        "expand.levels": _levels(rng, 32),
    }
    if trainable:
        layers.append(_conv("bconv2d", "tail", 32, 1, 1, 0, groups=1, shift=8, residual=True))
        tensors["tail.weight"] = _words(rng, 32, 1, 1, 1)
        tensors.update(_affine(rng, "tail", 32, 700))
    layers.append({"op": "global_avg_pool"})
    if head:
        layers.append({"op": "dense", "tensor": "head"})
        tensors.update(_head(rng, 32))
    return Model("tiny", [8, 8, 3], layers, list(LABELS) if head else None, tensors)


def mixed(seed=0):
    """The ops that tiny() lacks: max_pool, repeat, groups, flips, no shortcut, sign convolutions."""
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 5, 1, 2, shift=14),
        {"op": "max_pool", "size": 2, "repeat": 2},
        {"op": "binarize", "tensor": "plain"},
        _conv("bconv2d", "plain", 96, 3, 1, 1, groups=2, shift=9, residual=False),
        {"op": "binarize", "tensor": "bits", "flip": True},
        _conv("bconv2d_sign", "sign0", 64, 3, 2, 0, groups=1),
        _conv("bconv2d_sign", "sign1", 32, 2, 1, 1, groups=2),
        _conv("bconv2d_sign", "sign2", 64, 1, 2, 0, groups=1),
        {"op": "latent"},
        {"op": "expand", "tensor": "expand"},
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
        "bits.flip": _words(np.random.default_rng(seed + 1), 3),
        "sign0.weight": _words(rng, 64, 3, 3, 3),
        "sign1.weight": _words(rng, 32, 2, 2, 1),
        "sign2.weight": _words(rng, 64, 1, 1, 1),
        "expand.levels": _levels(rng, 64),
        "tail.weight": _words(rng, 64, 1, 1, 1),
        **_affine(rng, "tail", 64, 500),
    }
    for name, cout in (("sign0", 64), ("sign1", 32), ("sign2", 64)):
        tensors.update(_sign(rng, name, cout))
    return Model("mixed", [32, 32, 1], layers, None, tensors)


def _sign(rng, name, cout):
    return {f"{name}.threshold": rng.integers(-10, 10, cout, dtype=np.int16), f"{name}.flip": _words(rng, cout // 32)}


def deep(seed=0):
    """Latent of 4x8x32 bits, and above it two residual blocks, one with stride 2, and bits that are expanded."""
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 3, 2, 1, shift=13),
        {"op": "binarize", "tensor": "latent"},
        {"op": "latent"},
        {"op": "expand", "tensor": "latent"},
        {"op": "binarize", "tensor": "same"},
        _conv("bconv2d", "same", 32, 3, 1, 1, groups=1, shift=9, residual=True),
        {"op": "binarize", "tensor": "down"},
        {"op": "avg_pool", "size": 2, "repeat": 2},
        _conv("bconv2d", "down", 64, 3, 2, 1, groups=1, shift=9, residual=True),
        {"op": "avg_pool", "size": 2, "repeat": 1},
        {"op": "binarize", "tensor": "top"},
        {"op": "expand", "tensor": "top"},
        _conv("bconv2d", "top", 64, 1, 1, 0, groups=2, shift=7, residual=True),
        {"op": "global_avg_pool"},
        {"op": "dense", "tensor": "head"},
    ]
    tensors = {
        **_stem(rng),
        "latent.threshold": _threshold(rng, 32),
        "latent.levels": _levels(rng, 32),
        "same.threshold": _threshold(rng, 32),
        "same.weight": _words(rng, 32, 3, 3, 1),
        **_affine(rng, "same", 32, 300),
        "down.threshold": _threshold(rng, 32),
        "down.weight": _words(rng, 64, 3, 3, 1),
        **_affine(rng, "down", 64, 300),
        "top.threshold": _threshold(rng, 64),
        "top.levels": _levels(rng, 64),
        "top.weight": _words(rng, 64, 1, 1, 1),
        **_affine(rng, "top", 64, 300),
        **_head(rng, 64),
    }
    return Model("deep", [8, 16, 3], layers, list(LABELS), tensors)


def plain(seed=0):
    """No shortcut, a sign convolution and max pooling above a latent of 4x4x32 bits, 288 features flattened."""
    rng = np.random.default_rng(seed)
    layers = [
        _conv("conv2d", "stem", 32, 3, 1, 1, shift=13),
        {"op": "binarize", "tensor": "stem"},
        _conv("bconv2d_sign", "latent", 32, 3, 2, 1, groups=1),
        {"op": "latent"},
        _conv("bconv2d_sign", "sign", 64, 3, 1, 1, groups=1),
        _conv("bconv2d", "wide", 64, 3, 1, 1, groups=2, shift=8, residual=False),
        {"op": "max_pool", "size": 2, "repeat": 1},
        {"op": "binarize", "tensor": "wide"},
        _conv("bconv2d", "last", 32, 2, 1, 1, groups=1, shift=8, residual=False),
        {"op": "flatten"},
        {"op": "dense", "tensor": "head"},
    ]
    tensors = {
        **_stem(rng),
        "stem.threshold": _threshold(rng, 32),
        "latent.weight": _words(rng, 32, 3, 3, 1),
        **_sign(rng, "latent", 32),
        "sign.weight": _words(rng, 64, 3, 3, 1),
        **_sign(rng, "sign", 64),
        "wide.weight": _words(rng, 64, 3, 3, 1),
        **_affine(rng, "wide", 64, 500),
        "wide.threshold": _threshold(rng, 64),
        "last.weight": _words(rng, 32, 2, 2, 2),
        **_affine(rng, "last", 32, 300),
        **_head(rng, 288),
    }
    return Model("plain", [8, 8, 3], layers, list(LABELS), tensors)


def sensors(seed=0):
    """128 samples of 6 sensors in a column: kernels, strides, padding and pools differ in their two directions."""
    rng = np.random.default_rng(seed)
    half = {"op": "avg_pool", "size": [2, 1], "repeat": 2}
    layers = [
        _conv("conv2d", "stem", 32, [5, 1], [2, 1], [2, 0], shift=14),
        {"op": "max_pool", "size": [2, 1], "repeat": 1},
        {"op": "binarize", "tensor": "block"},
        half,
        _conv("bconv2d", "block", 64, [5, 1], [2, 1], [2, 0], groups=1, shift=9, residual=True),
        {"op": "binarize", "tensor": "latent"},
        {"op": "max_pool_bits", "size": [2, 1]},
        _conv("bconv2d_sign", "sign", 32, [2, 1], 1, [1, 0], groups=2),
        {"op": "latent"},
        _conv("bconv2d", "wide", 32, [2, 1], 1, 0, groups=1, shift=8, residual=False),
        {"op": "binarize", "tensor": "same", "flip": True},
        _conv("bconv2d", "same", 32, [3, 1], 1, [1, 0], groups=1, shift=8, residual=True),
        {"op": "binarize", "tensor": "down"},
        half,
        _conv("bconv2d", "down", 64, [3, 1], [2, 1], [1, 0], groups=1, shift=8, residual=True),
        {"op": "flatten"},
        {"op": "dense", "tensor": "head"},
    ]
    tensors = {
        "stem.weight": rng.integers(-20, 20, (32, 5, 1, 6), dtype=np.int8),
        **_affine(rng, "stem", 32, 200),
        "block.threshold": _threshold(rng, 32),
        "block.weight": _words(rng, 64, 5, 1, 1),
        **_affine(rng, "block", 64, 400),
        "latent.threshold": _threshold(rng, 64),
        "sign.weight": _words(rng, 32, 2, 1, 1),
        **_sign(rng, "sign", 32),
        "wide.weight": _words(rng, 32, 2, 1, 1),
        **_affine(rng, "wide", 32, 700),
        "same.threshold": _threshold(rng, 32),
        "same.flip": _words(rng, 1),
        "same.weight": _words(rng, 32, 3, 1, 1),
        **_affine(rng, "same", 32, 500),
        "down.threshold": _threshold(rng, 32),
        "down.weight": _words(rng, 64, 3, 1, 1),
        **_affine(rng, "down", 64, 500),
        **_head(rng, 256),
    }
    return Model("sensors", [128, 1, 6], layers, list(LABELS), tensors)


def pair(value):
    """Both numbers of a field, vertical and horizontal."""
    return value if isinstance(value, list) else [value, value]


def tiny_model(path, edit=None, **changes):
    """Writes tiny(**changes), after edit(model) if given; returns the path as a string."""
    model = tiny(**changes)
    if edit:
        edit(model)
    return save(path, model)


def image(seed=0, shape=(8, 8, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
