"""Gradients against those in floating point."""

import math

import numpy as np
import pytest
from bitreplay import Learner
from bitreplay.replay import BATCH


def by_hand(me, net):
    """The float gradient of the loss by the layer's latent weights, through a straight-through sign."""
    positions, n = 4, net.features
    bits = np.unpackbits(np.frombuffer(me.x, np.uint8), bitorder="little").reshape(BATCH, positions, n)
    x = bits * 2.0 - 1
    sign = np.where(np.frombuffer(me.weight, np.int8).reshape(n, n) >= 0, 1.0, -1.0)
    slope = np.frombuffer(net.trainable.slope, np.int16).reshape(n, 2) / 2.0**net.trainable.shift
    acc = x @ sign.T
    local = np.where(acc < 0, slope[:, 1], slope[:, 0])
    stream = (
        net.expand_value * x + acc * local + np.frombuffer(net.trainable.bias, np.int32) / 2.0**net.trainable.shift
    )
    features = np.clip(stream, -128, 127).mean(axis=1) / 16
    head = np.frombuffer(me.tw, np.int16).reshape(-1, n) * 2.0**-14
    scores = (features @ head.T)[:, : len(me.labels)]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    e = p / p.sum(axis=1, keepdims=True)
    e[np.arange(BATCH), [me.fresh.classes[i] for i in range(BATCH)]] -= 1
    upstream = (e @ head[: len(me.labels)])[:, None, :] / positions * local / 16 * (np.abs(stream) <= 128)
    return np.einsum("bpo,bpi->oi", upstream, x), np.einsum("bc,bf->cf", e, features)


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("q_b, least", [(16, 0.99), (8, 0.99), (4, 0.9), (2, 0.5)])
def test_gradients_have_the_direction_of_those_in_floating_point(net, q_b, least, rounding):
    me, rng = Learner(net, q_b=q_b, rounding=rounding), np.random.default_rng(0)
    for i in range(BATCH):
        me.see_latent(rng.bytes(net.latent_bytes), i % 4)
    me._begin()
    tw = np.frombuffer(me.tw, np.int16)
    tw[:] = rng.integers(-6000, 6000, tw.size)
    me._quantize(me.tw, 16)
    # No latent weight may reach its limit.
    np.frombuffer(me.weight, np.int8)[:] = rng.integers(-40, 40, len(me.weight))
    me.pack()
    before, tw_before = np.frombuffer(me.weight, np.int8).astype(int), tw.astype(int)
    for row in range(BATCH):
        me.x_rows[row][:] = me.fresh.latent(row)
    layer, head = by_hand(me, net)
    # Large steps, so that what is measured is not the rounding of the weights.
    rate = 2.0 ** math.floor(math.log2(60 / np.abs(layer).max() * BATCH / 128))
    me.config["conv_rate"], me.config["rate"] = rate, 0.05
    me._set_hyper()
    me._minibatch(range(BATCH))
    step = (before - np.frombuffer(me.weight, np.int8)).reshape(layer.shape)
    assert 20 < np.abs(step).max() < 87
    assert cosine(step, layer) > least
    # The rate has a meaning: weights are in units of 1/128, the gradient is the mean over the minibatch.
    if q_b == 16:
        assert (step * layer).sum() / (layer * layer).sum() == pytest.approx(rate * 128 / BATCH, rel=0.05)
    step = (tw_before - tw)[: head.size].reshape(-1, net.features)[:4]
    assert cosine(step, head[:4]) > 0.99
    assert (step * head[:4]).sum() / (head[:4] ** 2).sum() == pytest.approx(0.05 * 2**14 / BATCH, rel=0.05)
