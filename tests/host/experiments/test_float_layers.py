"""The float32 layers above the latent: forward as the integers', backward as numerical differentiation has it."""

from types import SimpleNamespace

import _bitreplay as kernels
import bitreplay
import deep
import numpy as np
import pytest
from bitreplay import trainer
from bitreplay.above import Above
from bitreplay_host.experiments.float_layers import FloatLayers
from bitreplay_host.experiments.float_learner import FloatLearner, unpack
from synthetic_data import models

LOW, HIGH = -8, 127 / 16  # of the stream
RESIDUAL = deep.RESIDUAL
# What a gradient passes on its way to a lower layer, one kind in each.
KINDS = {
    "expand": [("bconv2d", {}), ("binarize", {}), ("expand", {}), ("flatten", {})],
    "global_avg_pool": [("bconv2d", {}), ("global_avg_pool", {})],
    "avg_pool": [("bconv2d", {}), ("avg_pool", {"size": 2, "repeat": 1}), ("flatten", {})],
    "avg_pool, repeat": [("bconv2d", {}), ("avg_pool", {"size": 2, "repeat": 2}), ("flatten", {})],
    "padded": [("bconv2d", {}), ("binarize", {}), ("bconv2d", {"kernel": 3, "padding": 1}), ("flatten", {})],
    "residual": [("bconv2d", {}), ("binarize", {}), ("bconv2d", RESIDUAL), ("flatten", {})],
    "residual, strided": [
        ("bconv2d", {}),
        ("binarize", {}),
        ("avg_pool", {"size": 2, "repeat": 2}),
        ("bconv2d", {**RESIDUAL, "stride": 2, "cout": 64}),
        ("flatten", {}),
    ],
    "residual, grouped": [
        ("bconv2d", {"cout": 64}),
        ("binarize", {}),
        ("bconv2d", {**RESIDUAL, "groups": 2}),
        ("flatten", {}),
    ],
}
NETS = ["tiny", "deep", "blocks", "strided", "flat", "little", "twice", "oblong", "sensors", "flipped"]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A function: the network of this name, of KINDS or of the firmware's tests."""

    def load(name):
        if name in KINDS:
            monkeypatch.setitem(deep.LAYERS, name, KINDS[name])
        return bitreplay.load(models.save(tmp_path / "model.safetensors", deep.any_model(name)))

    return load


def made_latents(net, count, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, net.latent_bytes), dtype=np.uint8)


def trained(net, **arguments):
    """The FloatLayers of a learner that trains all it can."""
    return FloatLearner(net, **{"replay": 0, "classes": 2, "train": "all", **arguments}).layers


# Forward.


def lower(net, count):
    """The lowest layers alone; their stream is the features."""
    shape = net.above[count - 1].shape
    cut = {"above": net.above[:count], "pooling": "flatten", "features": int(np.prod(shape))}
    return SimpleNamespace(**cut, scratch=net.scratch, tables=net.tables, latent_bytes=net.latent_bytes)


def before_the_first_sign(net):
    """Places of the layers that make a stream before a sign may differ: one of a sum that was rounded."""
    summed, found = False, []
    for i, layer in enumerate(net.above):
        if layer.op != "binarize":
            found.append(i)
        elif summed:
            return found
        summed = summed or layer.op == "bconv2d"
    return found


@pytest.mark.parametrize("name", NETS)
def test_streams_are_those_of_the_integers(load, name):
    """Up to the first sign of a rounded sum: each sum, and each mean, is half a unit off at most; levels are exact."""
    net = load(name)
    latents = made_latents(net, 6)
    places, most = before_the_first_sign(net), 0.0
    assert "bconv2d" in [net.above[i].op for i in places]
    for i in places:
        part = lower(net, i + 1)
        above, out = Above(part), bytearray(part.features)
        rows = []
        for row in latents:
            above.features(row.tobytes(), out)
            rows.append(np.frombuffer(bytes(out), np.int8) / 16)
        off = np.abs(FloatLayers(part, ()).forward(unpack(latents, net.latent_shape)) - rows)
        most += 0 if net.above[i].op == "expand" else 1 / 32
        assert off.max() <= most + 1e-6, net.above[i].name
        assert (off.max() > 0) == (most > 0), "nothing was rounded"
        assert (np.abs(rows) < 7.9).mean() > 0.5, "most of it saturates"


@pytest.mark.parametrize("name", ["plain", "signs", "maximum", "pooled bits"])
def test_layers_that_float32_lacks(load, name):
    """They are refused before anything is computed."""
    op = {"maximum": "max_pool", "pooled bits": "max_pool_bits"}.get(name, "bconv2d_sign")
    with pytest.raises(ValueError, match=f"^float32 has no {op}; take a model without one above its latent$"):
        FloatLearner(load(name))


# Backward.


class Reference:
    """The same layers in float64, written otherwise.

    What has a step or a corner is, after the first call, the line through what that call met, of the slope that a
    gradient is specified to have there: so features() is smooth, and may be differentiated numerically.
    """

    def __init__(self, net):
        self.net, self.first = net, {}

    def line(self, key, x, function, slope):
        at = self.first.setdefault(key, x)
        return function(at) + slope(at) * (x - at)

    def features(self, bits, weights):
        """weights: floats in place of signs, by layer."""
        bits, stream = bits.astype(np.float64), 0
        for i, layer in enumerate(self.net.above):
            if layer.op == "bconv2d":
                slopes, bias, shift = layer.affine
                slopes = np.frombuffer(slopes, np.int16).reshape(-1, 2) / 2**shift / 16
                y = self.line(
                    (i, "acc"),
                    convolved(layer, bits, weights[i]),
                    lambda acc, s=slopes: np.where(acc >= 0, acc * s[:, 0], acc * s[:, 1]),
                    lambda acc, s=slopes: np.where(acc >= 0, s[:, 0], s[:, 1]),
                )
                y = y + np.frombuffer(bias, np.int32) / 2**shift / 16 + (stream if layer.residual else 0)
                stream = self.line((i, "sum"), y, lambda y: np.clip(y, LOW, HIGH), lambda y: (y >= LOW) & (y < 8))
            elif layer.op == "binarize":
                off = stream - np.frombuffer(layer.threshold, np.int8) / 16
                bits = self.line(i, off, lambda off: np.where(off >= 0, 1.0, -1.0), lambda off: np.abs(off) < 1)
                bits = bits * -unpack(np.frombuffer(layer.flip, np.uint8)[None], off.shape[3:])[0]
            elif layer.op == "expand":
                low, high = np.frombuffer(layer.levels, np.int8).reshape(-1, 2).T / 16
                stream = (low + high) / 2 + bits * (high - low) / 2
            else:
                *_, size_h, size_w, repeat = layer.pool
                parts = [stream[:, y::size_h, x::size_w] for y in range(size_h) for x in range(size_w)]
                means = sum(parts) / len(parts)
                stream = np.concatenate([means] * repeat, axis=3)
        return stream.mean(axis=(1, 2)) if self.net.pooling == "global_avg_pool" else stream.reshape(len(stream), -1)


def convolved(layer, bits, weight):
    _, _, cin, cout, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, groups = layer.geometry
    kernel = kernel_h, kernel_w
    padded = np.pad(bits, ((0, 0), (padding_h, padding_h), (padding_w, padding_w), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))[:, ::stride_h, ::stride_w]
    seen = seen.reshape(*seen.shape[:3], groups, cin // groups, *kernel)
    weight = weight.reshape(groups, cout // groups, *kernel, cin // groups)
    return np.einsum("nhwgiyx,goyxi->nhwgo", seen, weight, optimize=True).reshape(*seen.shape[:3], cout)


@pytest.mark.parametrize("name", [*KINDS, *NETS])
def test_gradients_are_the_numerical_ones(load, name):
    """dW of every layer, of a random function of the features, with float weights in place of signs."""
    net, rng = load(name), np.random.default_rng(2)
    bits = unpack(made_latents(net, 4), net.latent_shape)
    layers, reference = trained(net), Reference(net)
    signs = {i: np.where(one.weight >= 0, 1.0, -1.0) for i, one in layers.convolutions.items()}
    features = reference.features(bits, signs)
    np.testing.assert_allclose(layers.forward(bits), features, atol=1e-5)
    df = rng.normal(0, 1, features.shape)
    layers.backward(df.astype(np.float32))

    def loss(i, change):
        return (reference.features(bits, signs | {i: signs[i] + change}) * df).sum()

    assert layers.convolutions and all(one.trained for one in layers.convolutions.values())
    for i, one in layers.convolutions.items():
        size = np.abs(one.dw).max()
        assert (np.abs(one.dw) > size / 1000).mean() > 0.2, "there is hardly a gradient"
        changes = [rng.normal(0, 1e-3, one.dw.shape)]  # all weights
        for at in rng.choice(one.dw.size, 20, replace=False):
            changes.append(np.zeros_like(signs[i]))
            changes[-1].flat[at] = 1e-3
        for change in changes:
            expected = (loss(i, change) - loss(i, -change)) / 2
            tolerance = 1e-4 * size * np.linalg.norm(change)
            assert (one.dw * change).sum() == pytest.approx(expected, rel=1e-4, abs=tolerance), net.above[i].name


@pytest.mark.parametrize("summed", [True, False], ids=["and the stream's", "alone"])
def test_a_sign_passes_the_gradient_near_its_threshold(summed):
    """A box of 1.0 to both sides, as the integers' is; the gradient that the stream has is not changed by it."""
    threshold = np.array([-128, -40, -1, 0, 1, 127] * 16, np.int8)  # channels
    flip = np.array([0, 2**32 - 1, 0x0F0F0F0F], np.uint32)
    up = -unpack(flip.view(np.uint8)[None], threshold.shape)[0]
    stream = np.arange(-128, 128, dtype=np.int8)[None, :, None, None].repeat(len(threshold), axis=3)
    near = bytearray(stream.size // 8)
    kernels.near_threshold(np.ascontiguousarray(stream), threshold, near)
    near = np.unpackbits(np.frombuffer(near, np.uint8), bitorder="little").reshape(stream.shape)
    g, d = np.random.default_rng(3).normal(0, 1, (2, *stream.shape)).astype(np.float32)
    g = g if summed else np.zeros_like(g)
    seen, received = [], []
    # A layer below, whose stream this is, the sign, and a layer above, which gives the gradients.
    layers = FloatLayers(SimpleNamespace(above=[], pooling="flatten"), ())
    layers.layers = [
        SimpleNamespace(op="bconv2d", residual=True),
        SimpleNamespace(op="binarize", threshold=threshold, flip=flip),
        SimpleNamespace(op="bconv2d", residual=summed),
    ]
    layers.convolutions = {
        0: SimpleNamespace(
            forward=lambda bits, stream_below: stream / np.float32(16),
            backward=lambda gradient, below: received.append(gradient) or (gradient, None),
        ),
        2: SimpleNamespace(
            forward=lambda bits, below: seen.append(bits) or below,
            backward=lambda gradient, below: (gradient, d),
        ),
    }
    layers.forward(None)
    layers.backward(g)
    assert np.array_equal(seen[0], np.where(stream.astype(int) >= threshold, up, -up))
    assert np.array_equal(near, np.abs(stream.astype(int) - threshold) < 16)
    np.testing.assert_array_equal(received[0], g + d * near * up)


# Steps.


def test_exponents_are_those_of_the_trainer(load, monkeypatch):
    """The same gradients, in size: the power of two is measured, rises at once, and falls by one in FALL steps."""
    net = load("tiny")
    learner, integers = FloatLearner(net, replay=0, train=1), bitreplay.Learner(net, replay=0, train=1).trainer
    (layer,), (part,) = learner.layers.convolutions.values(), integers.parts
    part.exponents[:] = part.exponents.__class__("h", [14 + part.layer.shift] * len(part.exponents))
    square, measured = [], []

    def bconv2d_dw(*arguments):
        measured.append(integers.hyper[4])
        integers.square[0], integers.square[1] = square

    monkeypatch.setattr(trainer, "kernels", SimpleNamespace(bconv2d_dw=bconv2d_dw))
    rng, steps, before, falls = np.random.default_rng(4), 10 * trainer.FALL, None, []
    for step in range(steps):
        mantissa, power = int(rng.choice([3, 5, 7, 11])), int(rng.integers(-2, 3))
        power -= 2 * step // 8  # it gets smaller by far more than a power of two in FALL steps
        power += 40 if step == 100 else 0
        is_zero = step in (0, 50)
        square[:] = (0 if is_zero else mantissa * len(part.weight)), power
        layer.dw = np.full_like(layer.weight, 0 if is_zero else np.sqrt(mantissa * 2.0**power))
        for one in (learner, integers):
            (one._set_rates if one is learner else one.set_rate)(step, steps)
        learner.layers.step(0.01, learner.fall)
        integers.update(b"", None)
        if is_zero and before is None:
            assert layer.rms is None and integers.exponents[0] == trainer.UNKNOWN
            continue
        assert layer.rms == integers.exponents[0], step
        if before is not None and layer.rms < before:
            assert before - layer.rms == 1 and step % trainer.FALL == 0
            falls.append(step)
        assert step != 100 or layer.rms > before + 5
        before = layer.rms
    assert measured == [0, 0] + [1] * (steps - 2), "steps are taken before the gradient was measured"
    assert len(falls) >= 8


@pytest.mark.parametrize("kind", [FloatLearner, bitreplay.Learner])
def test_the_first_minibatch_measures_only(load, kind):
    """Of every learn(): it takes a second one to change the binary layers."""
    net = load("deep")
    learner = kind(net, replay=0, classes=2, train="all", seed=5)

    def weights():
        if kind is FloatLearner:
            return [one.weight.copy() for one in learner.layers.convolutions.values()]
        return [bytes(part.weight) for part in learner.trainer.parts]

    def changed(before):
        return [not np.array_equal(a, b) for a, b in zip(before, weights(), strict=True)]

    for epochs, expected in ((1, False), (2, True), (1, False)):
        before = weights()
        for i, row in enumerate(made_latents(net, learner.batch, seed=epochs)):
            learner.see_latent(row.tobytes(), i % 2)
        learner.learn(epochs, progress=False)  # one minibatch in an epoch
        assert changed(before) == [expected] * 3


def test_trained_channels_alone_move(load):
    """And no further than a latent weight can be."""
    layers = trained(load("deep"), channels=0.25)
    for one in layers.convolutions.values():
        channels, before = list(one.trained.channels), one.weight.copy()
        assert 0 < len(channels) == len(before) // 4
        # What is no part of the step is not measured either.
        one.dw = np.full_like(before, 1e6)
        one.dw[channels] = -1
        for _ in range(2):
            one.step(0.05, 0)
        assert one.rms == 0
        np.testing.assert_allclose(one.weight[channels], before[channels] + 0.05, atol=1e-6)
        for _ in range(20):
            one.step(0.5, 0)
        assert (one.weight[channels] == np.float32(127 / 128)).all()
        others = np.delete(np.arange(len(before)), channels)
        np.testing.assert_array_equal(one.weight[others], before[others])


def test_layers_that_are_not_trained_do_not_move(load):
    net = load("deep")
    layers = trained(net, train=1)
    top = max(layers.convolutions)
    assert [i for i, one in layers.convolutions.items() if one.trained] == [top] == [layers.lowest]
    before = {i: one.weight.copy() for i, one in layers.convolutions.items()}
    for _ in range(2):
        layers.backward(np.ones_like(layers.forward(unpack(made_latents(net, 4), net.latent_shape))))
        layers.step(0.01, 0)
    assert [i for i, one in layers.convolutions.items() if not np.array_equal(one.weight, before[i])] == [top]
