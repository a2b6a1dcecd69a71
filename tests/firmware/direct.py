"""What a model computes, straight from docs/formats.md and docs/numbers.md: plain NumPy, no kernel, nothing packed."""

import numpy as np

from models import pair


def evaluate(model, image):
    """(latent bits [height, width, c], features, scores or None) of a models.Model, as arrays of int64."""
    stream = bits = latent = scores = None
    for layer in model.layers:
        op, t = layer["op"], _Tensors(model, layer)
        if op == "conv2d":
            stream = _saturate(_affine(_convolve(image.astype(np.int64) - 128, t["weight"], 1, layer), t, layer))
        elif op == "binarize":
            bits = (stream >= t["threshold"]).astype(np.int64) ^ (_unpack(t["flip"]) if "flip" in layer else 0)
        elif op == "expand":
            stream = np.where(bits > 0, t["levels"][:, 1], t["levels"][:, 0])
        elif op in ("bconv2d", "bconv2d_sign"):
            acc = _convolve(2 * bits - 1, 2 * _unpack(t["weight"]) - 1, layer["groups"], layer)
            if op == "bconv2d":
                stream = _saturate(_affine(acc, t, layer) + (stream if layer["residual"] else 0))
            else:
                bits = (acc >= t["threshold"]) ^ _unpack(t["flip"])
        elif op in ("avg_pool", "max_pool"):
            stream = _pool(op, stream, pair(layer["size"]), layer["repeat"])
        elif op == "max_pool_bits":
            bits = _pool("max_pool", bits, pair(layer["size"]), 1)
        elif op == "latent":
            latent, stream = bits, None
        elif op == "global_avg_pool":
            positions = stream.shape[0] * stream.shape[1]
            features = (stream.sum((0, 1)) + positions // 2) // positions
        elif op == "flatten":
            features = stream.ravel()
        elif op == "dense":
            scores = np.floor(t["weight"] @ features * 2.0 ** t["shift"]).astype(np.int64)
    return latent, features, scores


class _Tensors:
    """A layer's tensors by the last part of their names, as int64."""

    def __init__(self, model, layer):
        self.model, self.layer = model, layer

    def __getitem__(self, part):
        return self.model.tensors[f"{self.layer['tensor']}.{part}"].astype(np.int64)


def _unpack(words):
    bits = (words[..., None] >> np.arange(32)) & 1
    return bits.reshape(*words.shape[:-1], -1)


def _saturate(values):
    return values.clip(-128, 127)


def _convolve(x, weight, groups, layer):
    """Sums over the taps inside the image: x [height, width, cin], weight [cout, kernel_h, kernel_w, cin/groups]."""
    kernel, stride, padding = [pair(layer[field]) for field in ("kernel", "stride", "padding")]
    height, width = [(x.shape[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    x = np.pad(x, ((padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    out = np.zeros((height, width, len(weight)), np.int64)
    inputs, outputs = weight.shape[-1], len(weight) // groups
    for row in range(height):
        for column in range(width):
            window = x[row * stride[0] :, column * stride[1] :][: kernel[0], : kernel[1]]
            for group in range(groups):
                own = slice(group * outputs, (group + 1) * outputs)
                seen = window[:, :, group * inputs : (group + 1) * inputs]
                out[row, column, own] = (weight[own] * seen).sum((1, 2, 3))
    return out


def _affine(acc, t, layer):
    slope = np.where(acc < 0, t["slope"][:, 1], t["slope"][:, 0])
    return np.floor((acc * slope + t["bias"]) / 2.0 ** layer["shift"] + 0.5).astype(np.int64)


def _pool(op, x, size, repeat):
    height, width, channels = x.shape
    windows = x.reshape(height // size[0], size[0], width // size[1], size[1], channels)
    pooled = windows.max((1, 3)) if op == "max_pool" else np.floor(windows.mean((1, 3)) + 0.5).astype(np.int64)
    return np.tile(pooled, repeat)
