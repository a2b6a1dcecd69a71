"""A small synthetic model with layers of all kinds above its latent, so that a deep training runs on any board."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import models

LAYERS = 4  # that can be trained


def write(path: str) -> None:
    """Writes the model: images of 8x8x3, a latent of 64 bytes, a sign layer, four that are trained, 32 features."""
    maker = _Maker(np.random.default_rng(1))
    maker.conv2d("stem", 3, 32)
    maker.binarize("latent", 32)
    maker.layers.append({"op": "latent"})
    maker.sign("frozen", 32, 32)
    maker.expand("first", 32)
    maker.bconv2d("first", 32, 32, 3, 1, 1, residual=True)
    maker.binarize("second", 32)
    maker.layers.append({"op": "avg_pool", "size": 2, "repeat": 2})
    maker.bconv2d("second", 32, 64, 1, 2, 1, residual=True)
    maker.binarize("third", 64)
    maker.expand("third", 64)
    maker.bconv2d("third", 64, 64, 1, 1, 2, residual=True)
    maker.binarize("fourth", 64, flip=True)
    maker.bconv2d("fourth", 64, 32, 2, 1, 1, residual=False)  # to 3x3: a minibatch's 72 positions are rounded up
    maker.layers.append({"op": "global_avg_pool"})
    models.write(path, "deep", [8, 8, 3], maker.layers, maker.tensors)


class _Maker:
    """Layers and their tensors, of noise that keeps the stream between its limits."""

    def __init__(self, random: np.random.Generator):
        self.random = random
        self.layers: list[dict[str, Any]] = []
        self.tensors: dict[str, np.ndarray] = {}

    def _integers(self, low: int, high: int, shape: Any, dtype: Any) -> np.ndarray:
        return self.random.integers(low, high, shape, dtype)

    def _affine(self, name: str, cout: int, slope: int, shift: int) -> int:
        self.tensors[f"{name}.slope"] = self._integers(slope // 2, slope, (cout, 2), np.int16)
        self.tensors[f"{name}.bias"] = self._integers(-16 << shift, 16 << shift, cout, np.int32)
        return shift

    def conv2d(self, name: str, cin: int, cout: int) -> None:
        self.tensors[f"{name}.weight"] = self._integers(-20, 20, (cout, 3, 3, cin), np.int8)
        shift = self._affine(name, cout, 100, 13)
        layer = {"op": "conv2d", "tensor": name, "cout": cout, "kernel": 3, "stride": 2, "padding": 1, "shift": shift}
        self.layers.append(layer)

    def _binary(self, op: str, name: str, cin: int, cout: int, kernel: int, stride: int, groups: int) -> None:
        shape = cout, kernel, kernel, cin // groups // 32
        self.tensors[f"{name}.weight"] = self._integers(0, 1 << 32, shape, np.uint32)
        numbers = {"cout": cout, "kernel": kernel, "stride": stride, "padding": kernel // 2, "groups": groups}
        self.layers.append({"op": op, "tensor": name, **numbers})

    def bconv2d(
        self, name: str, cin: int, cout: int, kernel: int, stride: int, groups: int, *, residual: bool
    ) -> None:
        self._binary("bconv2d", name, cin, cout, kernel, stride, groups)
        self.layers[-1] |= {"shift": self._affine(name, cout, 400, 8), "residual": residual}

    def sign(self, name: str, cin: int, cout: int) -> None:
        self._binary("bconv2d_sign", name, cin, cout, 3, 1, 1)
        self.tensors[f"{name}.threshold"] = self._integers(-10, 10, cout, np.int16)
        self.tensors[f"{name}.flip"] = self._integers(0, 1 << 32, cout // 32, np.uint32)

    def binarize(self, name: str, channels: int, *, flip: bool = False) -> None:
        self.tensors[f"{name}.threshold"] = self._integers(-9, 9, channels, np.int8)
        self.layers.append({"op": "binarize", "tensor": name})
        if flip:
            self.tensors[f"{name}.flip"] = self._integers(0, 1 << 32, channels // 32, np.uint32)
            self.layers[-1]["flip"] = True

    def expand(self, name: str, channels: int) -> None:
        high = self._integers(8, 24, channels, np.int8)
        self.tensors[f"{name}.levels"] = np.stack([-high, high], axis=1)
        self.layers.append({"op": "expand", "tensor": name})
