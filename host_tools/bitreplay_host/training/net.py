"""The backbone in PyTorch: what the integer network computes, with gradients.

Activations between blocks ("the stream") are int8 multiples of 1/16, weights of the blocks are +-1, the first
layer and the head have int8 weights: all of it is simulated while training, so that only the folding of batch norm
into 16-bit slopes remains for the export. `Net.fold` does it in PyTorch, which then computes what the integers do.
A net that was read from a model has slopes in place of batch norm; it can be trained further with them.

Sources: Bi-Real-Net (Liu et al. 2018: one real-valued shortcut per binary convolution, piecewise polynomial
gradient of sign), ReActNet (Liu et al. 2020: learned thresholds, PReLU, down-sampling by average pooling and
channel duplication), QuickNet (Bannink et al. 2021: ReLU, down-sampling by maxima). A plain net is in plain.py.
"""

import copy
import functools
import itertools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import UserError
from . import WIDTHS
from .affine import FINEST, Affine, Slopes, fixed_point, straight_through

STREAM = 16  # stream units per 1.0
STEM_SCALE = 64  # first layer: weight units per 1.0
PIXEL_SCALE = 64  # a pixel p is (p - 128) / 64
HEAD_SCALE = 128  # head: weight units per 1.0
SCORE = 1024  # units of a score per 1.0
CALIBRATION = 1000  # images
LATENT = "latent"  # the name of the sign after the last block


class Style(NamedTuple):
    """How the blocks of a residual net differ from others'. learned: thresholds, and slopes for acc < 0, are trained.

    slope: for acc < 0, at the start. pool: how a shortcut is down-sampled. In all, its channels are then doubled.
    """

    learned: bool
    slope: float
    pool: str


STYLES = {
    "reactnet": Style(True, 0.25, "avg_pool"),
    "birealnet": Style(False, 1.0, "avg_pool"),
    "quicknet": Style(False, 0.0, "max_pool"),
}


def to_input(images):
    """uint8 (n, 3, height, width) to what a Net takes."""
    return ((images.float() - 128) / PIXEL_SCALE).contiguous(memory_format=torch.channels_last)


class _Sign(torch.autograd.Function):
    """sign(x) with sign(0) = +1; the gradient is Bi-Real-Net's, 2 - 2|x| for |x| < 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (2 - 2 * x.abs()).clamp_(min=0)


def sign(x, threshold=None):
    """+-1, with sign(0) = +1, of x (n, channels, height, width) minus the threshold of each channel."""
    return _Sign.apply(x if threshold is None else x - threshold.to(x.dtype).view(1, -1, 1, 1))


def round_half_up(x, scale):
    return torch.floor(x * scale + 0.5) / scale


def saturate(x):
    """The stream's int8: rounds half up to 1/16 and saturates; the gradient passes where it did not saturate."""
    x = x.clamp(-128 / STREAM, 127 / STREAM)
    return straight_through(x, round_half_up(x, STREAM))


def average(x, size):
    """Average pooling of the stream, rounded half up."""
    x = F.avg_pool2d(x, size)
    return straight_through(x, round_half_up(x, STREAM))


POOLS = {"avg_pool": average, "max_pool": F.max_pool2d}


def int8_weight(weight, scale):
    weight = weight.clamp(-127 / scale, 127 / scale)
    return straight_through(weight, round_half_up(weight, scale))


class _Layer(nn.Module):
    """A convolution and what its accumulators, in `unit` per 1.0, go through: `affine`."""

    unit = 1

    def _fixed_point(self, largest):
        """(slope i16 (channels, 2), bias i32, shift) for accumulators of up to `largest`."""
        positive, negative, bias = (v.numpy() for v in self.affine.coefficients())
        slopes = np.stack([positive, negative], axis=1) * (STREAM / self.unit)
        # Slopes have a shift already, and are exact with it.
        finest = FINEST if isinstance(self.affine, Affine) else round(-np.log2(self.affine.units[1].item() * STREAM))
        return fixed_point(slopes, bias * STREAM, largest, finest)

    def fold(self, slope, bias, shift):
        """From now on computes what fixed_point() returned."""
        units = torch.tensor([self.unit, 1.0], dtype=torch.float64) * (2.0**-shift / STREAM)
        self.affine = Slopes.of(
            torch.from_numpy(slope.astype(np.float64)), torch.from_numpy(bias.astype(np.float64)), units
        )


class Stem(_Layer):
    """uint8 image to stream: 3x3 convolution of int8 weights, stride 2."""

    unit = STEM_SCALE * PIXEL_SCALE

    def __init__(self, channels, affine, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, inputs, 3, 3) * 0.3)
        self.affine = affine(channels)

    def forward(self, x):
        acc = F.conv2d(x, int8_weight(self.weight, STEM_SCALE), stride=2, padding=1)
        return saturate(self.affine(acc))

    def fixed_point(self):
        units = int8_weight(self.weight.detach(), STEM_SCALE).double().numpy() * STEM_SCALE
        return self._fixed_point(128 * np.abs(units).sum(axis=(1, 2, 3)))


class Binary(_Layer):
    """A layer of +-1 weights, of which `weight` holds the latent ones."""

    def signs(self):
        return straight_through(self.weight, torch.where(self.weight >= 0, 1.0, -1.0).to(self.weight.dtype))

    def fixed_point(self):
        outputs, *filter_shape = self.weight.shape
        return self._fixed_point(np.full(outputs, float(np.prod(filter_shape))))


class Block(Binary):
    """stream to stream: threshold, binary convolution, affine, shortcut."""

    def __init__(self, inputs, outputs, affine, stride, style):
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(inputs), requires_grad=style.learned)
        self.pool = style.pool
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) * 0.1)
        self.affine = affine(outputs)
        self.stride = stride
        self.register_parameter("levels", None)

    def forward(self, x):
        return self.convolve(self.bits(x), x)

    def bits(self, x):
        return sign(x, self.threshold)

    def convolve(self, bits, x):
        """The stream after this block, of its bits and the stream before it."""
        acc = F.conv2d(bits, self.signs(), stride=self.stride, padding=1)
        shortcut = x
        if self.stride == 2:
            shortcut = POOLS[self.pool](x, 2)
            shortcut = torch.cat((shortcut, shortcut), 1)
        return saturate(shortcut + self.affine(acc))

    def cut(self, levels):
        """From now on nothing but the bits is known here: `levels` (channels, 2) of bits 0 and 1 are the stream."""
        self.levels = nn.Parameter(levels)

    def above(self, bits):
        """The stream after this block, of its bits alone."""
        low, high = saturate(self.levels).to(bits.dtype).t().reshape(2, 1, -1, 1, 1)
        return self.convolve(bits, low + (high - low) * (bits + 1) / 2)


class TrainableLayer(Binary):
    """Bits to stream: 1x1, grouped; the bits themselves are its shortcut."""

    def __init__(self, channels, groups, affine):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels // groups, 1, 1) * 0.1)
        self.affine = affine(channels)
        self.groups = groups

    def forward(self, bits):
        return saturate(bits + self.affine(F.conv2d(bits, self.signs(), groups=self.groups)))


class Net(nn.Module):
    """Pixels, as float (p - 128) / 64, to class scores.

    widths: channels of the stem, of stride 2, and of each block; where they double, the sides halve, to an eighth of
    the image's in the end. Then the mean of 2x2, its sign, and a 1x1 layer from the last to the last. latent: one of
    latents(), where nothing but bits goes on. norm: with batch norm, else with Slopes. style: one of STYLES. image:
    height and width, multiples of 16, and channels. A net of 0 classes has no head.
    """

    block, layer = Block, TrainableLayer

    def __init__(
        self, classes=100, groups=2, widths=WIDTHS, latent=LATENT, norm=True, style="reactnet", image=(32, 32, 3)
    ):
        super().__init__()
        self.image, kind = image, STYLES[style]
        affine = functools.partial(Affine, slope=kind.slope, learned=kind.learned) if norm else Slopes
        self.stem = Stem(widths[0], affine, image[2])
        self.blocks = nn.ModuleList(self.block(a, b, affine, b // a, kind) for a, b in itertools.pairwise(widths))
        self.threshold = nn.Parameter(torch.zeros(widths[-1]), requires_grad=kind.learned)
        self.trainable = self.layer(widths[-1], groups, affine)
        self.head = nn.Parameter(torch.randn(classes, widths[-1]) * 0.05)
        self.integer = False  # whether it computes just what the integers do
        self.cut(latent)

    def latents(self):
        """The names that a latent can have: of a block, its bits, or `latent`, the sign of the mean after the last."""
        return [*(f"block{i}" for i in range(len(self.blocks))), LATENT]

    def index(self, latent):
        """The number of the block of one of latents(); UserError if it is none of them."""
        if latent not in self.latents():
            raise UserError(f"--latent {latent}: the net can be cut at {', '.join(self.latents())}")
        return self.latents().index(latent)

    @property
    def latent_name(self):
        return self.latents()[self.cut_at]

    def cut(self, latent):
        """Cut at this one of latents(); UserError if it is none of them. The levels of a block are those of a sign."""
        self.cut_at = self.index(latent)
        for block in self.blocks:
            block.levels = None
        if latent != LATENT:
            threshold = self.blocks[self.cut_at].threshold
            self.blocks[self.cut_at].cut(torch.tensor([-1.0, 1.0]).to(threshold).repeat(len(threshold), 1))

    def freeze_below(self):
        """Nothing that the latent depends on is trained any more. For a net without batch norm."""
        frozen = [*self.stem.parameters(), *self.blocks[: self.cut_at].parameters()]
        frozen.append(list(self.thresholds().values())[self.cut_at])
        for parameter in frozen:
            parameter.requires_grad_(False)

    def calibrate(self, images):
        """Set the levels of the latent from the first CALIBRATION of these images, (n, 32, 32, 3) uint8.

        They are the means of the stream where it is below the threshold, and where it is not; by this net folded, so
        that equal nets have equal levels everywhere. Where there is none: the value next to the threshold.
        """
        if self.cut_at == len(self.blocks):
            return
        net, sums, counts = copy.deepcopy(self).fold(), 0.0, 0.0
        with torch.no_grad():
            for batch in torch.from_numpy(images[:CALIBRATION]).permute(0, 3, 1, 2).split(100):
                x = net.below(to_input(batch).double())
                bits = net.blocks[net.cut_at].bits(x)
                sides = torch.stack([bits < 0, bits > 0], -1)
                sums = sums + (x.unsqueeze(-1) * sides).sum((0, 2, 3))
                counts = counts + sides.sum((0, 2, 3))
        threshold = threshold_units(net.blocks[net.cut_at].threshold)
        beside = torch.stack([(threshold - 1).clamp(min=-128), threshold], -1) / STREAM
        levels = self.blocks[self.cut_at].levels
        levels.data = torch.where(counts > 0, round_half_up(sums / counts, STREAM), beside).to(levels)

    def first(self, x):
        """What the first block reads."""
        return self.stem(x)

    def last(self, x):
        """The bits after the last block."""
        return sign(average(x, 2), self.threshold)

    def below(self, x):
        """The stream that the latent is made of."""
        x = self.first(x)
        for block in self.blocks[: self.cut_at]:
            x = block(x)
        return x

    def latent(self, x):
        x = self.below(x)
        return self.last(x) if self.cut_at == len(self.blocks) else self.blocks[self.cut_at].bits(x)

    def features(self, bits):
        """The latent's bits to features."""
        if self.cut_at < len(self.blocks):
            x = self.blocks[self.cut_at].above(bits)
            for block in self.blocks[self.cut_at + 1 :]:
                x = block(x)
            bits = self.last(x)
        x = self.trainable(bits)
        return average(x, x.shape[-2:]).flatten(1)

    def head_weight(self):
        """The head's weights, less what its rows have in common: multiples of 1 / HEAD_SCALE.

        That part changes no prediction, but for ties in a score's last bit. The classes that a learner adds lack it,
        and would win or lose by it. Where a weight would saturate, less is left out, of all rows alike.
        """
        weight, most = int8_weight(self.head, HEAD_SCALE), 127 / HEAD_SCALE
        common = int8_weight(weight.mean(0), HEAD_SCALE)
        return weight - common.clamp(weight.detach().amax(0) - most, weight.detach().amin(0) + most)

    def forward(self, x):
        scores = F.linear(self.features(self.latent(x)), self.head_weight())
        return torch.floor(scores * SCORE) / SCORE if self.integer else scores

    def affine_layers(self):
        """The layers with an affine by the names that export gives them."""
        return {"stem": self.stem, **{f"block{i}": b for i, b in enumerate(self.blocks)}, "tail": self.trainable}

    def thresholds(self):
        """The thresholds of the signs by the names that export gives them."""
        return {**{f"block{i}": block.threshold for i, block in enumerate(self.blocks)}, "latent": self.threshold}

    def fold(self):
        """Fold batch norm into the slopes and biases that export writes, in place; returns the net, in float64.

        float64 holds the product of an accumulator and a slope exactly, so the folded net computes what the integers
        compute.
        """
        self.eval().double()
        for layer in self.affine_layers().values():
            layer.fold(*layer.fixed_point())
        for threshold in self.thresholds().values():
            threshold.data = threshold_units(threshold) / STREAM
        self.integer = True
        return self


def threshold_units(threshold):
    """The int8 of a threshold, as float64: the stream's values x >= threshold are those with 16 x >= it."""
    return torch.ceil(threshold.detach().double() * STREAM).clamp(-128, 127)
