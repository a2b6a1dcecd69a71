"""Binary convolutions on this PC, beside a plain loop and, where it is installed, Larq Compute Engine. See README.md.

Needs NumPy, a C compiler and `make lib`; any Python will do.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHAPES = (16, 64), (8, 128), (4, 256)  # side, channels
REPEATS = 400
LAYERS = 10  # more of Larq's in one net than in the other: what a call costs beside them is not counted

Call = Callable[[], Any]


class Affine(ctypes.Structure):
    _fields_ = (("slope", ctypes.c_void_p), ("bias", ctypes.c_void_p), ("shift", ctypes.c_uint32))


NO_SCRATCH = None, ctypes.c_size_t(0)  # of use to other processors


class Layer:
    """Random signs and weights of a 3x3 layer, and what follows it."""

    def __init__(self, side: int, channels: int):
        random = np.random.default_rng(1)
        words = channels // 32
        self.side, self.channels = side, channels
        self.geometry = np.array([side, side, channels, channels, 3, 3, 1, 1, 1, 1, 1], np.uint16)
        self.x = random.integers(0, 2**32, side * side * words, np.uint32)
        self.weight = random.integers(0, 2**32, channels * 9 * words, np.uint32)
        self.slope = random.integers(-20000, 20000, 2 * channels, np.int16)
        self.bias = random.integers(-50, 50, channels, np.int32) << 16
        self.affine = Affine(self.slope.ctypes.data, self.bias.ctypes.data, 16)
        self.threshold, self.flip = np.zeros(channels, np.int16), np.zeros(words, np.uint32)

    def bconv2d(self, function: Any) -> tuple[Call, np.ndarray]:
        """A call, and where its result is."""
        y = np.zeros(self.side**2 * self.channels, np.int8)
        inputs = [pointer(array) for array in (self.geometry, self.x, self.weight)]
        return lambda: function(*inputs, ctypes.byref(self.affine), *NO_SCRATCH, pointer(y)), y

    def sign(self, function: Any) -> tuple[Call, np.ndarray]:
        y = np.zeros(self.x.size, np.uint32)
        inputs = [pointer(a) for a in (self.geometry, self.x, self.weight, self.threshold, self.flip)]
        return lambda: function(*inputs, *NO_SCRATCH, pointer(y)), y


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def signs(words: np.ndarray, *shape: int) -> np.ndarray:
    """Packed signs as +1 and -1."""
    bits = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(shape)
    return 2 * bits.astype(np.float32) - 1


def compile_plain(folder: str, level: str) -> Any:
    path = Path(folder) / f"plain{level}.so"
    include = f"-I{ROOT / 'usermod_c' / 'core'}"
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, level, "-march=native", "-fPIC", "-shared", include, HERE / "plain.c", "-o", path], check=True
    )
    return ctypes.CDLL(str(path)).plain


def larq(layer: Layer, layers: int) -> Call:
    """A call of a net of as many binary layers, in the fastest way that Larq Compute Engine has on a PC.

    Its result on the pixels that see no padding, which it takes for +1 and we leave out, is compared with ours.
    """
    import larq
    import larq_compute_engine
    import tensorflow
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    how = {"padding": "same", "pad_values": 1, "use_bias": False}
    binary = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    x = start = tensorflow.keras.Input((layer.side, layer.side, layer.channels))
    for _ in range(layers):
        x = larq.layers.QuantConv2D(layer.channels, 3, **how, **binary)(x)
    net = tensorflow.keras.Model(start, x)
    weight = signs(layer.weight, layer.channels, 3, 3, layer.channels).transpose(1, 2, 3, 0)
    net.set_weights([weight] * layers)
    interpreter = Interpreter(larq_compute_engine.convert_keras_model(net), use_indirect_bgemm=True)
    image = signs(layer.x, 1, layer.side, layer.side, layer.channels)
    if layers == 1:
        check(layer, np.asarray(interpreter.predict(image)))
    return lambda: interpreter.predict(image)


def check(layer: Layer, sums: np.ndarray) -> None:
    call, y = layer.sign(library().br_bconv2d_sign)
    call()
    shape = layer.side, layer.side, layer.channels
    inside = np.s_[1:-1, 1:-1]
    ours = signs(y, *shape)[inside] > 0
    if not np.array_equal(ours, sums.reshape(shape)[inside] >= 0):
        sys.exit("Larq's result differs from ours")


def library() -> Any:
    path = Path(os.environ.get("BITREPLAY_LIBRARY", ROOT / "build" / "libbitreplay.so"))
    if not path.exists():
        sys.exit(f"{path} is missing; run `make lib` first")
    return ctypes.CDLL(str(path))


def best(calls: dict[str, Call]) -> dict[str, float]:
    """The least microseconds of each, of interleaved runs."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(REPEATS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            least[name] = min(least[name], 1e6 * (time.perf_counter() - start))
    return least


def main() -> None:
    with_larq = importlib.util.find_spec("larq_compute_engine") is not None
    print("microseconds          bconv2d  plain -O2  plain -O3  bconv2d_sign", " Larq" if with_larq else "")
    with tempfile.TemporaryDirectory() as folder:
        plain = {level: compile_plain(folder, level) for level in ("-O2", "-O3")}
        for side, channels in SHAPES:
            layer, kernels = Layer(side, channels), library()
            made = {"bconv2d": layer.bconv2d(kernels.br_bconv2d)}
            made |= {level: layer.bconv2d(function) for level, function in plain.items()}
            for call, y in made.values():
                call()
                if not np.array_equal(y, made["bconv2d"][1]):
                    sys.exit("the plain loop's result differs from ours")
            calls = {name: call for name, (call, _) in made.items()} | {"sign": layer.sign(kernels.br_bconv2d_sign)[0]}
            if with_larq:
                calls |= {"one": larq(layer, 1), "more": larq(layer, 1 + LAYERS)}
            t = best(calls)
            text = f"{side}x{side}x{channels} to {channels}".ljust(20)
            text += f"{t['bconv2d']:9.1f}{t['-O2']:11.1f}{t['-O3']:11.1f}{t['sign']:14.1f}"
            print(text + (f"{(t['more'] - t['one']) / LAYERS:7.1f}" if with_larq else ""))


if __name__ == "__main__":
    main()
