"""Gradients against those in floating point: of the head, and of every binary layer that is trained."""

import math
from array import array

import deep
import numpy as np
import pytest
from bitreplay import Learner, load

import models


def signs(packed, *shape):
    """-1 or 1 for each bit."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little").reshape(shape) * 2.0 - 1


def patches(geometry, x):
    """By tap (ky, kx): where it reads x [h][w][c] for each output, whether that is inside, and what it reads, or 0."""
    height, width, _, _, *kernel_stride_padding, _ = geometry
    kernel, stride, padding = np.array(kernel_stride_padding, int).reshape(3, 2)
    outputs = (np.array([height, width]) + 2 * padding - kernel) // stride + 1
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            rows, columns = [np.arange(outputs[i]) * stride[i] + k - padding[i] for i, k in enumerate((ky, kx))]
            inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
            at = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
            yield (ky, kx), at, inside, x[at] * inside[..., None]


class Net:
    """The layers above a latent in floating point, a sample at a time, and how a gradient goes through them."""

    def __init__(self, net, packed):
        self.net, self.packed = net, packed

    def weight(self, i):
        layer = self.net.above[i]
        _, _, cin, cout, kernel_h, kernel_w, *_, groups = layer.geometry
        weight = signs(self.packed.get(i, layer.weight), cout, kernel_h, kernel_w, cin // groups)
        full = np.zeros((cout, kernel_h, kernel_w, cin))
        for o in range(cout):
            first = o // (cout // groups) * (cin // groups)
            full[o, :, :, first : first + cin // groups] = weight[o]
        return full

    def forward(self, latent):
        bits = signs(latent, *self.net.latent_shape)
        stream, self.kept = None, []
        for i, layer in enumerate(self.net.above):
            kept = {}
            if layer.op == "expand":
                low, high = np.frombuffer(layer.levels, np.int8).reshape(-1, 2).T.astype(float)
                kept["local"] = (high - low) / 2
                stream = np.where(bits > 0, high, low)
            elif layer.op == "binarize":
                over = stream - np.frombuffer(layer.threshold, np.int8)
                up = -signs(layer.flip, layer.shape[2])
                kept["passes"] = (np.abs(over) < 16) * up
                bits = np.where(over >= 0, up, -up)
            elif layer.op == "bconv2d":
                weight, acc = self.weight(i), np.zeros(layer.shape)
                for (ky, kx), _, _, read in patches(layer.geometry, bits):
                    acc += read @ weight[:, ky, kx].T
                slope, bias, shift = layer.affine
                slope, bias = np.frombuffer(slope, np.int16).reshape(-1, 2), np.frombuffer(bias, np.int32)
                local = np.where(acc < 0, slope[:, 1], slope[:, 0])
                y = np.floor((acc * local + bias) / 2**shift + 0.5) + (stream if layer.residual else 0)
                kept.update(x=bits, local=local / 2**shift, passes=np.abs(y + 0.5) <= 128)
                stream = y.clip(-128, 127)
            elif layer.op == "bconv2d_sign":
                # Frozen, and nothing passes it: as the kernel has it.
                acc = np.zeros(layer.shape)
                weight = self.weight(i)
                for (ky, kx), _, _, read in patches(layer.geometry, bits):
                    acc += read @ weight[:, ky, kx].T
                up = signs(layer.flip, layer.shape[2]) < 0
                threshold = np.frombuffer(layer.threshold, np.int16)
                bits = np.where((acc >= threshold) == up, 1.0, -1.0)
            elif layer.op == "max_pool_bits":
                h, w, c, size_h, size_w, _ = layer.pool
                bits = bits.reshape(h // size_h, size_h, w // size_w, size_w, c).max((1, 3))
            else:
                h, w, c, size_h, size_w, repeat = layer.pool
                cells = stream.reshape(h // size_h, size_h, w // size_w, size_w, c)
                pooled = np.floor(cells.mean((1, 3)) + 0.5) if layer.op == "avg_pool" else cells.max((1, 3))
                stream = np.tile(pooled, repeat)
            self.kept.append(kept)
        self.shape = stream.shape
        return stream.ravel() if self.net.pooling == "flatten" else np.floor(stream.mean((0, 1)) + 0.5)

    def backward(self, gradient, lowest):
        """The gradient by the weights of each bconv2d from the lowest up: {index: [cout][kernel_h][kernel_w][cin]}."""
        found, bits = {}, 0
        stream = (
            np.broadcast_to(gradient, self.shape) if self.net.pooling != "flatten" else gradient.reshape(self.shape)
        )
        for i in range(len(self.net.above) - 1, lowest - 1, -1):
            layer, kept = self.net.above[i], self.kept[i]
            if layer.op == "expand":
                bits, stream = bits + stream * kept["local"], 0
            elif layer.op == "binarize":
                stream, bits = stream + bits * kept["passes"] / 16, 0
            elif layer.op == "bconv2d":
                stream = stream * kept["passes"]
                local, weight = stream * kept["local"], self.weight(i)
                found[i], below = np.zeros(weight.shape), np.zeros(layer.shape_in)
                for (ky, kx), at, inside, read in patches(layer.geometry, kept["x"]):
                    found[i][:, ky, kx] = np.einsum("yxo,yxi->oi", local, read)
                    np.add.at(below, at, (local @ weight[:, ky, kx]) * inside[..., None])
                bits, stream = bits + below, stream if layer.residual else 0
            elif layer.op == "avg_pool":
                h, w, c, size_h, size_w, repeat = layer.pool
                stream = stream.reshape(h // size_h, w // size_w, repeat, c).sum(2) / (size_h * size_w)
                stream = stream.repeat(size_h, 0).repeat(size_w, 1)
        return found


def by_hand(me, labels):
    """The gradients of the loss in floating point: of the head, and {index in net.above: by latent weight}."""
    net, n = me.net, me.net.features
    above = Net(net, {i: bytes(packed) for i, packed in me.trainer.packed.items()})
    master = np.frombuffer(me.head.tw, np.int16).reshape(-1, n) * 2.0**-14
    head = master[: len(me.labels)]
    lowest = me.trainer.parts[0].index
    total, by_head = {part.index: 0 for part in me.trainer.parts}, 0
    for row in range(me.batch):
        features = above.forward(me._x_rows[row])
        assert features.astype(np.int8).tobytes() == bytes(me._f_rows[row])
        scores = head @ features / 16
        p = np.exp(scores - scores.max())
        e = p / p.sum()
        e[labels[row]] -= 1
        by_head = by_head + np.outer(e, features / 16)
        for i, gradient in above.backward(e @ head, lowest).items():
            if i in total:
                total[i] = total[i] + gradient
    return by_head, total


def of_group(part, gradient):
    """The rows of the trained channels, without what other groups read."""
    groups = part.layer.geometry[10]
    cout, _, _, cin = gradient.shape
    rows = []
    for o in part.channels:
        first = o // (cout // groups) * (cin // groups)
        rows.append(gradient[o, :, :, first : first + cin // groups].ravel())
    return np.array(rows)


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def a_minibatch(net, samples=0, magnitude=6000, **settings):
    """A learner with the gradients of a minibatch, and its labels. magnitude: of the head's weights."""
    me, rng = Learner(net, **settings), np.random.default_rng(samples)
    for i in range(me.batch):
        me.see_latent(rng.bytes(net.latent_bytes), i % 4)
    me.head.begin(4, me.fresh.classes[: me.fresh.n])
    tw = np.frombuffer(me.head.tw, np.int16)
    tw[:] = rng.integers(-magnitude, magnitude, tw.size)
    me.head.quantize(me.head.tw, 16)
    # No latent weight may reach its limit.
    for part in me.trainer.parts:
        np.frombuffer(part.weight, np.int8)[:] = rng.integers(-40, 40, len(part.weight))
    me.trainer.pack()
    me._minibatch(array("H", range(me.batch)), (me.fresh.filled(), b"", me._classes()))
    return me, me.fresh.classes


def steps(me, size):
    """How far the latent weights of each trained layer move, with steps whose root mean square is this."""
    trainer = me.trainer
    before = [np.frombuffer(part.weight, np.int8).astype(int) for part in trainer.parts]
    assert [trainer.exponents[j] for j in range(len(trainer.parts))] == [-128] * len(trainer.parts)
    kept = [bytes(part.gradient) for part in trainer.parts]
    me._set_rates(0, 1)
    trainer.update(me._x, me.rng)
    # Of a layer's first minibatch only the size is noted.
    for part, weight, gradient in zip(trainer.parts, before, kept):
        assert np.array_equal(np.frombuffer(part.weight, np.int8), weight)
        part.gradient[:] = gradient
    trainer.now = 8, int(math.log2(size)) - 3
    trainer.update(me._x, me.rng)
    return [
        (weight - np.frombuffer(part.weight, np.int8)).reshape(len(part.channels), -1)
        for part, weight in zip(trainer.parts, before)
    ]


MODELS = [("blocks", 3), ("strided", 3), ("flat", 3), ("twice", 2), ("made twice", 2), ("signs", 2), ("deep", 3)]
MODELS += [("plain", 1), ("oblong", 3), ("sensors", 3), ("flipped", 3), ("pooled bits", 2)]


@pytest.fixture(scope="module", params=MODELS, ids=lambda param: param[0])
def case(request, tmp_path_factory):
    """(Network, how many of its layers can be trained)"""
    name, train = request.param
    path = models.save(tmp_path_factory.mktemp("gradients") / "model.safetensors", deep.any_model(name))
    return load(path), train


def cosines(me, labels):
    """Of each trained layer's step and its gradient in floating point, from the lowest up."""
    _, expected = by_hand(me, labels)
    found = steps(me, 8)
    # The steps are as large as was asked for, but for the power of two.
    assert all(8 / 1.5 < np.sqrt((step**2).mean()) < 8 * 1.5 for step in found) or me.config["q_b"] == 2
    return [cosine(step, of_group(part, expected[part.index])) for part, step in zip(me.trainer.parts, found)]


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("q_b, least", [(16, 0.995), (8, 0.995), (4, 0.85), (2, 0.05)])
def test_gradients_have_the_direction_of_those_in_floating_point(case, q_b, least, rounding):
    net, train = case
    me, labels = a_minibatch(net, train=train, q_b=q_b, rounding=rounding)
    found = cosines(me, labels)
    assert len(found) == train and min(found) > least
    # Few bits cost less in the upper layers.
    assert found[-1] > (0.99, 0.99, 0.95, 0.5)[(16, 8, 4, 2).index(q_b)]


@pytest.mark.parametrize(
    "settings", [{"channels": 0.25}, {"train": 1}, {"train": 2}, {"train": 2, "channels": 0.4}], ids=str
)
def test_so_have_those_of_some_layers_and_some_channels(case, settings):
    net, train = case
    settings = {"train": train, **settings}
    settings["train"] = min(settings["train"], train)
    me, labels = a_minibatch(net, q_b=16, **settings)
    assert min(cosines(me, labels)) > 0.995
    share = settings.get("channels", 1)
    assert all(abs(len(part.channels) - share * part.layer.shape[2]) <= 1 for part in me.trainer.parts)


@pytest.mark.parametrize("magnitude", [30, 30000])
def test_so_have_those_of_small_and_of_large_errors(case, magnitude):
    """The samples' gradients are of one size, or some of them vanish."""
    net, train = case
    me, labels = a_minibatch(net, 3, magnitude, train=train, q_b=16)
    assert min(cosines(me, labels)) > 0.99


def test_what_two_bits_round_is_right_on_average(case):
    net, train = case
    total, alone = 0, []
    for seed in range(1, 31):
        me, labels = a_minibatch(net, train=train, q_b=2, seed=seed)
        part = me.trainer.parts[0]
        if seed == 1:
            expected = of_group(part, by_hand(me, labels)[1][part.index])
        step = steps(me, 16)[0]
        alone.append(cosine(step, expected))
        total = total + step * 2.0 ** me.trainer.exponents[0]
    # Noise that has no direction is as much smaller in a mean.
    noise = 1 / np.mean(alone) ** 2 - 1
    assert cosine(total, expected) == pytest.approx((1 + noise / len(alone)) ** -0.5, abs=0.07)


def test_the_head_gets_its_gradient(case):
    net, train = case
    me, labels = a_minibatch(net, train=train, rate=0.05)
    expected, _ = by_hand(me, labels)
    tw = np.frombuffer(me.head.tw, np.int16)
    before = tw.astype(int)
    me.head.set_rate(0, 1)
    me.head.update(me._e, me._f, me.rng)
    step = (before - tw).reshape(-1, net.features)
    assert cosine(step[:4], expected) > 0.99 and not step[4:].any()
    # The rate has a meaning: the gradient is the mean over the minibatch.
    size = (step[:4] * expected).sum() / (expected**2).sum()
    assert size == pytest.approx(0.05 * 2**14 / me.batch, rel=0.05)
