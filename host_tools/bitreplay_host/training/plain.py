"""The plain binary net: no shortcuts, so that nothing but bits is between its layers.

Source: VGG-like nets with binary weights and activations (Courbariaux et al. 2016). Batch norm and sign are folded
into an integer threshold, which is exact.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import WIDTHS
from .affine import Affine
from .net import LATENT, Binary, Net, Stem, TrainableLayer, sign
from .twin import FLOAT, FloatNet

PLAIN = "vgg"


class Threshold(nn.Module):
    """What batch norm is folded into: the bits (acc >= threshold) ^ flip, as +-1."""

    def __init__(self, threshold, flip):
        super().__init__()
        self.register_buffer("threshold", torch.from_numpy(threshold.astype(np.float64)).view(1, -1, 1, 1))
        self.register_buffer("flip", torch.from_numpy(flip).view(1, -1, 1, 1))

    def forward(self, acc):
        return torch.where((acc >= self.threshold) ^ self.flip, 1.0, -1.0).to(acc.dtype)


class PlainBlock(Binary):
    """Bits to bits: binary convolution, batch norm, sign; before it, with stride 2, the maxima of 2x2."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) * 0.1)
        self.affine = Affine(outputs, slope=1.0, learned=False)
        self.stride = stride

    def forward(self, x):
        return self.above(self.bits(x))

    def bits(self, x):
        return F.max_pool2d(x, 2) if self.stride == 2 else x

    def above(self, bits):
        """The bits after this block, of those that its convolution reads."""
        return sign(self.affine(F.conv2d(bits, self.signs(), padding=1)))

    def fixed_point(self):
        """The threshold, i16, and where the bits are flipped, bool."""
        gain, _, bias = (v.numpy() for v in self.affine.coefficients())
        with np.errstate(divide="ignore", invalid="ignore"):
            limit = np.where(gain == 0, np.where(bias >= 0, -np.inf, np.inf), -bias / gain)
        flip = gain < 0
        # Of a negative gain the bit is acc <= limit, which is not acc >= the next integer.
        threshold = np.where(flip, np.floor(limit) + 1, np.ceil(limit))
        return np.clip(threshold, -32768, 32767).astype(np.int16), flip

    def fold(self, threshold, flip):
        """From now on computes what fixed_point() returned."""
        self.affine = Threshold(threshold, flip)


class PlainNet(Net):
    """As Net, with PlainBlocks; `threshold` is that of the stem's stream. It is cut anywhere as it is."""

    def __init__(self, classes=100, groups=2, widths=WIDTHS, latent=LATENT, image=(32, 32, 3)):
        nn.Module.__init__(self)
        self.image = image
        self.stem = Stem(widths[0], Affine, image[2])
        self.threshold = nn.Parameter(torch.zeros(widths[0]))
        self.blocks = nn.ModuleList(PlainBlock(a, b, b // a) for a, b in itertools.pairwise(widths))
        self.trainable = TrainableLayer(widths[-1], groups, Affine)
        self.head = nn.Parameter(torch.randn(classes, widths[-1]) * 0.05)
        self.integer = False
        self.cut(latent)

    def cut(self, latent):
        """Cut at this one of latents(); UserError if it is none of them."""
        self.cut_at = self.index(latent)

    def calibrate(self, images):
        """There are no levels."""

    def first(self, x):
        return sign(self.stem(x), self.threshold)

    def last(self, x):
        return F.max_pool2d(x, 2)

    def thresholds(self):
        """As of Net."""
        return {"block0": self.threshold}


def make(kind, norm=True, **arguments):
    """The net of a kind, one of training.KINDS, with the arguments of Net."""
    special = {PLAIN: PlainNet, FLOAT: FloatNet}
    return special[kind](**arguments) if kind in special else Net(norm=norm, style=kind, **arguments)
