"""The layers above the latent in float32, forward and backward. Nothing is rounded, but signs are signs.

Streams are in units of 1.0, which is 16 of the integers'; latent weights in units of 1.0, which is 128.
"""

from __future__ import annotations

import numpy as np
from bitreplay.trainer import LATENT_WEIGHT, PASSED

STREAM = 16  # stream units per 1.0
LATENT = 128  # latent weight units per 1.0
LOW, HIGH = -128 / STREAM, 127 / STREAM  # where the stream saturates
LIMIT = 127 / LATENT


def sign(x):
    return np.where(x >= 0, np.float32(1), np.float32(-1))


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Packed bits, uint8 (n, bytes), to +-1, float32 (n, *shape)."""
    bits = np.unpackbits(packed, axis=-1, bitorder="little").reshape(len(packed), *shape)
    return bits.astype(np.float32) * 2 - 1


def _numbers(view, dtype, scale):
    return np.frombuffer(view, dtype).astype(np.float32) * np.float32(scale)


class FloatConv:
    """A binary convolution with its affine. weight: latent, float32 (cout, kernel_h, kernel_w, cin / groups)."""

    def __init__(self, layer, trained):
        self.height, self.width, cin, cout, *sides, self.groups = map(int, layer.geometry)
        self.kernel, self.stride, self.padding = sides[:2], sides[2:4], sides[4:]  # vertical and horizontal
        rows = np.frombuffer(layer.weight, np.uint8).reshape(cout, -1)
        signs = unpack(rows, (*self.kernel, cin // self.groups))
        self.weight = signs * np.float32(LATENT_WEIGHT / LATENT)
        slope, bias, shift = layer.affine
        self.slope = _numbers(slope, np.int16, 2.0**-shift / STREAM).reshape(-1, 2)
        self.bias = _numbers(bias, np.int32, 2.0**-shift / STREAM)
        self.residual, self.trained, self.rms = layer.residual, trained, None
        self.out = layer.shape[:2]

    def _taps(self, padded):
        """(ky, kx, what the tap sees: (n, height, width, cin), a view) of padded bits."""
        (down, right), (rows, columns) = self.stride, self.out
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                yield ky, kx, padded[:, ky::down, kx::right][:, :rows, :columns]

    def _grouped(self, x):
        return x.reshape(-1, self.groups, x.shape[-1] // self.groups).transpose(1, 0, 2)

    def _by_group(self, ky, kx):
        weight = sign(self.weight[:, ky, kx])
        return weight.reshape(self.groups, -1, weight.shape[-1])

    def forward(self, bits, stream):
        self.padded = np.pad(bits, ((0, 0), (self.padding[0],) * 2, (self.padding[1],) * 2, (0, 0)))
        taps = self._taps(self.padded)
        acc = sum(self._grouped(seen) @ self._by_group(ky, kx).transpose(0, 2, 1) for ky, kx, seen in taps)
        acc = acc.transpose(1, 0, 2).reshape(len(bits), *self.out, -1)
        self.local = np.where(acc < 0, self.slope[:, 1], self.slope[:, 0])
        y = acc * self.local + self.bias + (stream if self.residual else 0)
        self.passes = (y >= LOW) & (y < HIGH + 1 / STREAM)
        return np.clip(y, LOW, HIGH)

    def backward(self, g, below):
        """The gradients of the stream and, if `below`, of the bits; dW is kept if the layer is trained."""
        g = g * self.passes
        at = self._grouped(g * self.local)
        if self.trained:
            self.dw = np.empty_like(self.weight)
            for ky, kx, seen in self._taps(self.padded):
                self.dw[:, ky, kx] = (at.transpose(0, 2, 1) @ self._grouped(seen)).reshape(len(self.weight), -1)
        if not below:
            return g, None
        d = np.zeros_like(self.padded)
        for ky, kx, seen in self._taps(d):
            seen += (at @ self._by_group(ky, kx)).transpose(1, 0, 2).reshape(seen.shape)
        top, left = self.padding
        return g, d[:, top : top + self.height, left : left + self.width]

    def step(self, rate, fall):
        """As Trainer.update, of the trained channels: by the size of dW, a power of two, in the steps before."""
        channels = self.trained.channels
        dw = self.dw[channels]
        if self.rms is not None:
            moved = self.weight[channels] - np.float32(rate) * dw / np.float32(2.0**self.rms)
            self.weight[channels] = np.clip(moved, -LIMIT, LIMIT)
        found = np.sqrt((dw**2).mean())
        if found > 0:
            exponent = round(float(np.log2(found)))
            self.rms = exponent if self.rms is None else max(self.rms - fall, exponent)


class FloatLayers:
    """All of them. parts: what a Trainer trains. ValueError for a layer that no gradient passes."""

    def __init__(self, net, parts):
        for layer in net.above:
            if layer.op not in PASSED:
                raise ValueError(f"float32 has no {layer.op}; take a model without one above its latent")
        trained = {part.index: part for part in parts}
        self.lowest = min(trained, default=len(net.above))
        self.pooling, self.layers = net.pooling, net.above
        self.convolutions = {
            i: FloatConv(one, trained.get(i)) for i, one in enumerate(net.above) if one.op == "bconv2d"
        }

    def forward(self, bits, values=None):
        """Bits, +-1 (n, height, width, channels), to features (n, features).

        values: what the bits are signs of, for the first layer's shortcut instead of its two levels a channel.
        """
        self.kept, stream = {}, None
        for i, layer in enumerate(self.layers):
            if layer.op == "bconv2d":
                stream = self.convolutions[i].forward(bits, stream)
            elif layer.op == "binarize":
                off = stream - _numbers(layer.threshold, np.int8, 1 / STREAM)
                direction = -unpack(np.frombuffer(layer.flip, np.uint8)[None], off.shape[3:])[0]  # -1 where flipped
                self.kept[i], bits = (np.abs(off) < 1) * direction, sign(off) * direction
            elif layer.op == "expand":
                levels = _numbers(layer.levels, np.int8, 1 / STREAM).reshape(-1, 2)
                self.kept[i] = (levels[:, 1] - levels[:, 0]) / 2
                stream = np.where(bits > 0, levels[:, 1], levels[:, 0]) if i or values is None else values
            else:
                stream = self._pool(layer.pool, stream)
        self.shape = stream.shape
        return stream.mean(axis=(1, 2)) if self.pooling == "global_avg_pool" else stream.reshape(len(stream), -1)

    @staticmethod
    def _pool(pool, x):
        size_h, size_w, repeat = map(int, pool[3:])
        n, height, width, channels = x.shape
        y = x.reshape(n, height // size_h, size_h, width // size_w, size_w, channels).mean(axis=(2, 4))
        return np.tile(y, repeat)

    @staticmethod
    def _unpool(pool, g):
        size_h, size_w, repeat = map(int, pool[3:])
        g = g.reshape(*g.shape[:3], repeat, -1).sum(axis=3)
        return g.repeat(size_h, axis=1).repeat(size_w, axis=2) / np.float32(size_h * size_w)

    def backward(self, df):
        """The gradient of the features (n, features), down to the lowest trained layer."""
        if self.pooling == "global_avg_pool":
            area = self.shape[1] * self.shape[2]
            g = np.broadcast_to(df[:, None, None, :] / np.float32(area), self.shape)
        else:
            g = df.reshape(self.shape)
        d = None
        for i in range(len(self.layers) - 1, self.lowest - 1, -1):
            layer = self.layers[i]
            if layer.op == "bconv2d":
                g, d = self.convolutions[i].backward(g, i > self.lowest)
                g = g if layer.residual else 0
            elif layer.op == "binarize":
                g, d = g + d * self.kept[i], None
            elif layer.op == "expand":
                g, d = 0, g * self.kept[i] + (0 if d is None else d)
            else:
                g = self._unpool(layer.pool, g)

    def begin(self):
        """As Trainer.begin."""
        for convolution in self.convolutions.values():
            convolution.rms = None

    def step(self, rate, fall):
        """fall: by how much the power of two that scales the steps may fall, 0 or 1."""
        for convolution in self.convolutions.values():
            if convolution.trained:
                convolution.step(rate, fall)
