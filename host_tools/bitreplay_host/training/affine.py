"""What an accumulator goes through: batch norm and two slopes, which become integers (docs/numbers.md)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import UserError

FINEST = 24  # the largest shift of an affine


def fixed_point(slopes, bias, largest, finest=FINEST):
    """The most precise fixed-point affine (docs/numbers.md) for accumulators of a given size; shifts up to `finest`.

    slopes: float64 (cout, 2), stream units per accumulator unit; bias: float64 (cout,), stream units;
    largest: the greatest possible abs(accumulator), float64 (cout,). Returns slope i16, bias i32 and the shift, such
    that largest * abs(slope) + abs(bias) + 2^(shift-1) < 2^31. Raises UserError where no shift is enough.
    """
    for shift in range(finest, 0, -1):
        slope = np.floor(slopes * 2.0**shift + 0.5)
        offset = np.floor(bias * 2.0**shift + 0.5)
        total = largest * np.abs(slope).max(axis=1) + np.abs(offset) + 2.0 ** (shift - 1)
        if np.abs(slope).max() <= 32767 and total.max() < 2**31:
            return slope.astype(np.int16), offset.astype(np.int32), shift
    raise UserError("a batch norm is too steep for 16-bit slopes; train longer or with weight decay")


def straight_through(x, quantized):
    return x + (quantized - x).detach()


class Affine(nn.Module):
    """PReLU and batch norm; folded, an accumulator's two slopes and a bias: acc * m[acc < 0] + b."""

    def __init__(self, channels, slope=0.25, learned=True):
        super().__init__()
        self.slope = nn.Parameter(torch.full((channels,), slope), requires_grad=learned)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, acc):
        return self.norm(F.prelu(acc, self.slope.to(acc.dtype)))

    def coefficients(self):
        """The folded slopes for acc >= 0 and acc < 0 and the bias, float64, shape (channels,)."""
        norm = self.norm
        gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = norm.bias.detach().double() - norm.running_mean.double() * gain
        return gain, gain * self.slope.detach().double(), bias


class Slopes(nn.Module):
    """What an Affine is folded into, as parameters: acc * slopes[acc < 0] + bias. New ones are 0.

    It computes with the very integers that export writes, so that what is trained is what is shipped.
    """

    def __init__(self, channels):
        super().__init__()
        self.slopes = nn.Parameter(torch.zeros(channels, 2))  # for acc >= 0 and acc < 0, times `scale`
        self.bias = nn.Parameter(torch.zeros(channels))
        # A power of two, so that the largest of `slopes` is about 1: optimizers take steps of one size for all.
        self.register_buffer("scale", torch.tensor(2.0**-5))
        # What one unit of the integers is worth: of slopes, and of the bias.
        self.register_buffer("units", torch.tensor([2.0**-20, 2.0**-20]))

    @classmethod
    def of(cls, slope, bias, units):
        """With these integers, float64 (channels, 2) and (channels,), of these units, float64 (2,)."""
        new = cls(len(bias)).double()
        new.units = units
        slopes = slope * units[0]
        new.scale = torch.exp2(torch.ceil(torch.log2(slopes.abs().max().clamp_min(2.0**-24))))
        new.slopes.data, new.bias.data = slopes / new.scale, bias * units[1]
        return new

    def forward(self, acc):
        slopes, bias = self._rounded()
        positive, negative = slopes.t().reshape(2, 1, -1, 1, 1)
        return acc * torch.where(acc < 0, negative, positive) + bias.view(1, -1, 1, 1)

    def _rounded(self):
        slopes, (unit, bias_unit) = self.slopes * self.scale, self.units
        slopes = slopes.clamp(-32767 * unit, 32767 * unit)
        return (
            straight_through(slopes, torch.round(slopes / unit) * unit),
            straight_through(self.bias, torch.round(self.bias / bias_unit) * bias_unit),
        )

    def coefficients(self):
        """As those of Affine."""
        slopes, bias = (v.detach().double() for v in self._rounded())
        return slopes[:, 0], slopes[:, 1], bias
