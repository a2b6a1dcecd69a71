"""The backbone in PyTorch: what the integer network computes, with gradients.

Activations between blocks ("the stream") are int8 multiples of 1/16, weights of the blocks are +-1, the first
layer and the head have int8 weights. All of it is simulated exactly in float32, so that a trained network is
exported without a further approximation than the folding of batch norm (see `fold`).

Sources: Bi-Real-Net (Liu et al. 2018: one real-valued shortcut per binary convolution, piecewise polynomial
gradient of sign), ReActNet (Liu et al. 2020: learned thresholds, PReLU, down-sampling by average pooling and
channel duplication).
"""

import torch
import torch.nn.functional as F
from torch import nn

STREAM = 16  # stream units per 1.0
STEM_SCALE = 64  # first layer: weight units per 1.0; a pixel p is (p - 128) / 64
HEAD_SCALE = 128  # head: weight units per 1.0


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
        norm = self.norm
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = norm.bias.double() - norm.running_mean.double() * gain
        return gain, gain * self.slope.double(), bias


class Stem(nn.Module):
    """uint8 image to stream: 3x3 convolution of int8 weights, stride 2."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 3, 3, 3) * 0.3)
        self.affine = Affine(channels)

    def forward(self, x):
        acc = F.conv2d(x, int8_weight(self.weight, STEM_SCALE), stride=2, padding=1)
        return saturate(self.affine(acc))


class Block(nn.Module):
    """stream to stream: threshold, binary convolution, affine, shortcut."""

    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(inputs))
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * 0.1)
        self.affine = Affine(outputs)
        self.stride = stride

    def forward(self, x):
        bits = _Sign.apply(x - self.threshold.to(x.dtype).view(1, -1, 1, 1))
        weight = _straight_through(self.weight, torch.where(self.weight >= 0, 1.0, -1.0))
        acc = F.conv2d(bits, weight, stride=self.stride, padding=weight.shape[2] // 2)
        shortcut = x
        if self.stride == 2:
            shortcut = average(x, 2)
            shortcut = torch.cat((shortcut, shortcut), 1)
        return saturate(shortcut + self.affine(acc))


class Tail(nn.Module):
    """Latent bits to stream: the layer that is trained on the board. 1x1, grouped; the bits themselves are its shortcut."""

    def __init__(self, channels, groups):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels // groups, 1, 1) * 0.1)
        self.affine = Affine(channels)
        self.groups = groups

    def forward(self, bits):
        weight = _straight_through(self.weight, torch.where(self.weight >= 0, 1.0, -1.0))
        return saturate(bits + self.affine(F.conv2d(bits, weight, groups=self.groups)))


class Net(nn.Module):
    """32x32x3 pixels, as float (p - 128) / 64, to class scores.

    Blocks of 64 channels at 16x16, 128 at 8x8, 256 at 4x4; latent 2x2x256 bits; tail 1x1 256 -> 256.
    """

    def __init__(self, classes=100, groups=2):
        super().__init__()
        self.stem = Stem(64)
        self.blocks = nn.ModuleList([
            Block(64, 64),
            Block(64, 128, stride=2),
            Block(128, 128),
            Block(128, 256, stride=2),
            Block(256, 256),
            Block(256, 256),
            Block(256, 256),
        ])
        self.threshold = nn.Parameter(torch.zeros(256))
        self.tail = Tail(256, groups)
        self.head = nn.Parameter(torch.randn(classes, 256) * 0.05)

    def latent(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = average(x, 2)
        return _Sign.apply(x - self.threshold.to(x.dtype).view(1, -1, 1, 1))

    def forward(self, x):
        features = average(self.tail(self.latent(x)), 2).flatten(1)
        return F.linear(features, int8_weight(self.head, HEAD_SCALE))
