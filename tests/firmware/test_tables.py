"""The memory for tables: where it comes from, who has it, and that nobody keeps it."""

import gc
from pathlib import Path

import _bitreplay as kernels
import bitreplay
import pytest
from bitreplay import tables

MODEL = Path(__file__).resolve().parents[2] / "models" / "small.safetensors"


@pytest.fixture
def board(monkeypatch):
    """A processor that has a use for tables, and a heap that has so many bytes free: a list of one number."""
    free = [200_000]
    monkeypatch.setattr(kernels, "bconv2d_scratch", lambda geometry: 5120)
    monkeypatch.setattr(gc, "mem_free", lambda: free[0], raising=False)
    return free


def convolutions(calls):
    return [arguments for kernel, arguments in calls if kernel is kernels.bconv2d]


def lent(net):
    """How much each binary convolution of the backbone has."""
    return {len(arguments[-2]) for arguments in convolutions(net._served)}


@pytest.fixture
def net():
    return lambda: bitreplay.load(str(MODEL))


def run(net):
    net.latent(bytes(net.image_bytes), bytearray(net.latent_bytes))


def test_none_where_the_processor_has_no_use_for_it(net):
    net = net()
    run(net)
    assert lent(net) == {0} and net.tables.memory is tables.NONE


def test_a_network_takes_it_from_the_heap_when_it_runs(board, net):
    net = net()
    assert lent(net) == {0}
    run(net)
    assert lent(net) == {tables.MOST}


def test_none_where_little_is_free(board, net):
    board[0] = tables.MOST + tables.PLENTY - 1
    net = net()
    run(net)
    assert lent(net) == {0}


def test_it_is_given_back_before_a_learner_is_made(board, net, monkeypatch):
    net, seen = net(), []
    run(net)
    allocate = bitreplay.Learner._allocate
    monkeypatch.setattr(bitreplay.Learner, "_allocate", lambda self: (seen.append(lent(net)), allocate(self)))
    learner = bitreplay.Learner(net, replay=4, fresh=4, classes=2)
    assert seen == [{0}]
    learner.see(bytes(net.image_bytes), "a")
    assert lent(net) == {tables.MOST}
    learner.learn(epochs=1, progress=False)
    assert {len(arguments[-2]) for arguments in convolutions(learner.above._calls)} <= {tables.MOST}


def test_a_learner_of_layers_lends_gradients_and_does_not_use_them_itself(board, net, monkeypatch):
    net = net()
    monkeypatch.setattr(tables, "LEAST", 1)
    learner = bitreplay.Learner(net, replay=4, fresh=4, classes=2, train=1)
    learner.see(bytes(net.image_bytes), "a")
    buffer = learner.trainer.lendable()
    assert net.tables.memory is buffer and lent(net) == {len(buffer)}
    learner.learn(epochs=1, progress=False)
    assert {len(arguments[-2]) for arguments in convolutions(learner.above._calls)} == {0}


def test_what_is_too_small_is_not_lent(board, net):
    net = net()
    net.tables.set(bytearray(tables.LEAST - 4))
    assert net.tables.memory is None
