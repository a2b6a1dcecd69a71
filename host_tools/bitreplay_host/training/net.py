"""The backbone in PyTorch: what the integer network computes, with gradients.

Activations between blocks ("the stream") are int8 multiples of 1/16, weights of the blocks are +-1, the first
layer and the head have int8 weights: all of it is simulated while training, so that only the folding of batch norm
into 16-bit slopes remains for the export. `Net.fold` does it in PyTorch, which then computes what the integers do.

Sources: Bi-Real-Net (Liu et al. 2018: one real-valued shortcut per binary convolution, piecewise polynomial
gradient of sign), ReActNet (Liu et al. 2020: learned thresholds, PReLU, down-sampling by average pooling and
channel duplication).
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import UserError
from . import WIDTHS

STREAM = 16  # stream units per 1.0
STEM_SCALE = 64  # first layer: weight units per 1.0
PIXEL_SCALE = 64  # a pixel p is (p - 128) / 64
HEAD_SCALE = 128  # head: weight units per 1.0
SCORE = 1024  # units of a score per 1.0


def to_input(images):
    """uint8 (n, 3, height, width) to what a Net takes."""
    return ((images.float() - 128) / PIXEL_SCALE).contiguous(memory_format=torch.channels_last)


def fixed_point(slopes, bias, largest):
    """The most precise fixed-point affine (docs/numbers.md) for accumulators of a given size.

    slopes: float64 (cout, 2), stream units per accumulator unit; bias: float64 (cout,), stream units;
    largest: the greatest possible abs(accumulator), float64 (cout,). Returns slope i16, bias i32 and the shift, such
    that largest * abs(slope) + abs(bias) + 2^(shift-1) < 2^31. Raises UserError where no shift is enough.
    """
    for shift in range(24, 0, -1):
        slope = np.floor(slopes * 2.0**shift + 0.5)
        offset = np.floor(bias * 2.0**shift + 0.5)
        total = largest * np.abs(slope).max(axis=1) + np.abs(offset) + 2.0 ** (shift - 1)
        if np.abs(slope).max() <= 32767 and total.max() < 2**31:
            return slope.astype(np.int16), offset.astype(np.int32), shift
    raise UserError("a batch norm is too steep for 16-bit slopes; train longer or with weight decay")


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


def _straight_through(x, quantized):
    return x + (quantized - x).detach()


def round_half_up(x, scale):
    return torch.floor(x * scale + 0.5) / scale


def saturate(x):
    """The stream's int8: rounds half up to 1/16 and saturates; the gradient passes where it did not saturate."""
    x = x.clamp(-128 / STREAM, 127 / STREAM)
    return _straight_through(x, round_half_up(x, STREAM))


def average(x, size):
    """Average pooling of the stream, rounded half up."""
    x = F.avg_pool2d(x, size)
    return _straight_through(x, round_half_up(x, STREAM))


def int8_weight(weight, scale):
    weight = weight.clamp(-127 / scale, 127 / scale)
    return _straight_through(weight, round_half_up(weight, scale))


class Affine(nn.Module):
    """PReLU and batch norm; folded, an accumulator's two slopes and a bias: acc * m[acc < 0] + b."""

    def __init__(self, channels):
        super().__init__()
        self.slope = nn.Parameter(torch.full((channels,), 0.25))
        self.norm = nn.BatchNorm2d(channels)
        self.folded = None

    def forward(self, acc):
        if self.folded is not None:
            positive, negative, bias = (v.view(1, -1, 1, 1) for v in self.folded)
            return acc * torch.where(acc < 0, negative, positive) + bias
        return self.norm(F.prelu(acc, self.slope.to(acc.dtype)))

    def coefficients(self):
        """The folded slopes for acc >= 0 and acc < 0 and the bias, float64, shape (channels,)."""
        if self.folded is not None:
            return self.folded
        norm = self.norm
        gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = norm.bias.detach().double() - norm.running_mean.double() * gain
        return gain, gain * self.slope.detach().double(), bias

    def fixed_point(self, unit, largest):
        """(slope i16 (channels, 2), bias i32, shift) for accumulators of `unit` per 1.0, up to `largest`."""
        positive, negative, bias = (v.numpy() for v in self.coefficients())
        slopes = np.stack([positive, negative], axis=1) * (STREAM / unit)
        return fixed_point(slopes, bias * STREAM, largest)

    def fold(self, unit, slope, bias, shift):
        """From now on computes what fixed_point() returned, given that unit."""
        scale = 2.0**-shift / STREAM
        slope = torch.from_numpy(slope.astype(np.float64)) * scale * unit
        self.folded = slope[:, 0], slope[:, 1], torch.from_numpy(bias.astype(np.float64)) * scale


class Stem(nn.Module):
    """uint8 image to stream: 3x3 convolution of int8 weights, stride 2."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 3, 3, 3) * 0.3)
        self.affine = Affine(channels)

    def forward(self, x):
        acc = F.conv2d(x, int8_weight(self.weight, STEM_SCALE), stride=2, padding=1)
        return saturate(self.affine(acc))

    def fixed_point(self):
        units = int8_weight(self.weight.detach(), STEM_SCALE).double().numpy() * STEM_SCALE
        return self.affine.fixed_point(STEM_SCALE * PIXEL_SCALE, 128 * np.abs(units).sum(axis=(1, 2, 3)))


class _Binary(nn.Module):
    """A layer of +-1 weights, of which `weight` holds the latent ones."""

    def signs(self):
        return _straight_through(self.weight, torch.where(self.weight >= 0, 1.0, -1.0).to(self.weight.dtype))

    def fixed_point(self):
        outputs, *filter_shape = self.weight.shape
        return self.affine.fixed_point(1, np.full(outputs, float(np.prod(filter_shape))))


class Block(_Binary):
    """stream to stream: threshold, binary convolution, affine, shortcut."""

    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(inputs))
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * 0.1)
        self.affine = Affine(outputs)
        self.stride = stride

    def forward(self, x):
        bits = _Sign.apply(x - self.threshold.to(x.dtype).view(1, -1, 1, 1))
        acc = F.conv2d(bits, self.signs(), stride=self.stride, padding=self.weight.shape[2] // 2)
        shortcut = x
        if self.stride == 2:
            shortcut = average(x, 2)
            shortcut = torch.cat((shortcut, shortcut), 1)
        return saturate(shortcut + self.affine(acc))


class Tail(_Binary):
    """Latent bits to stream, trained on the board: 1x1, grouped; the bits themselves are its shortcut."""

    def __init__(self, channels, groups):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels // groups, 1, 1) * 0.1)
        self.affine = Affine(channels)
        self.groups = groups

    def forward(self, bits):
        return saturate(bits + self.affine(F.conv2d(bits, self.signs(), groups=self.groups)))


class Net(nn.Module):
    """32x32x3 pixels, as float (p - 128) / 64, to class scores.

    widths: channels of the stem, at 16x16, and of each block; where they double, the sides halve, to 4x4 in the end.
    The latent is 2x2 of the last, and the tail 1x1 from the last to the last.
    """

    def __init__(self, classes=100, groups=2, widths=WIDTHS):
        super().__init__()
        self.stem = Stem(widths[0])
        self.blocks = nn.ModuleList(Block(a, b, stride=b // a) for a, b in itertools.pairwise(widths))
        self.threshold = nn.Parameter(torch.zeros(widths[-1]))
        self.tail = Tail(widths[-1], groups)
        self.head = nn.Parameter(torch.randn(classes, widths[-1]) * 0.05)

    def latent(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = average(x, 2)
        return _Sign.apply(x - self.threshold.to(x.dtype).view(1, -1, 1, 1))

    def forward(self, x):
        features = average(self.tail(self.latent(x)), 2).flatten(1)
        scores = F.linear(features, int8_weight(self.head, HEAD_SCALE))
        return scores if self.tail.affine.folded is None else torch.floor(scores * SCORE) / SCORE

    def affine_layers(self):
        """The layers with a batch norm by the names that export gives them, with their accumulators' units per 1.0."""
        blocks = {f"block{i}": (block, 1) for i, block in enumerate(self.blocks)}
        return {"stem": (self.stem, STEM_SCALE * PIXEL_SCALE), **blocks, "tail": (self.tail, 1)}

    def thresholds(self):
        """The thresholds of the signs by the names that export gives them."""
        return {**{f"block{i}": block.threshold for i, block in enumerate(self.blocks)}, "latent": self.threshold}

    def fold(self):
        """Fold batch norm into the slopes and biases that export writes, in place; returns the net, in float64.

        float64 holds the product of an accumulator and a slope exactly, so the folded net computes what the integers
        compute. It cannot be trained further.
        """
        self.eval().double()
        for layer, unit in self.affine_layers().values():
            layer.affine.fold(unit, *layer.fixed_point())
        for threshold in self.thresholds().values():
            threshold.data = threshold_units(threshold) / STREAM
        return self


def threshold_units(threshold):
    """The int8 of a threshold, as float64: the stream's values x >= threshold are those with 16 x >= it."""
    return torch.ceil(threshold.detach().double() * STREAM).clamp(-128, 127)
