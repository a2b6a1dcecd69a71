"""The float twin of a net, which teaches it: the same blocks, with real weights and ReLU in place of sign."""

import torch.nn.functional as F

from ..errors import UserError
from .net import Block, Net, TrainableLayer, average

FLOAT = "float"


def relu(x, threshold):
    """x (n, channels, height, width) minus the threshold of each channel, where that is above 0."""
    return F.relu(x - threshold.to(x.dtype).view(1, -1, 1, 1))


class _Real:
    """Of a layer: its weights themselves in place of their signs."""

    def signs(self):
        return self.weight

    def fixed_point(self):
        raise UserError("a float net cannot be exported: it is for `bitreplay pretrain --teacher`")


class FloatBlock(_Real, Block):
    """As Block."""

    def bits(self, x):
        return relu(x, self.threshold)


class FloatLayer(_Real, TrainableLayer):
    """As TrainableLayer."""


class FloatNet(Net):
    """As Net; its weights have the same names. It cannot be cut or exported."""

    block, layer = FloatBlock, FloatLayer

    def last(self, x):
        return relu(average(x, 2), self.threshold)
