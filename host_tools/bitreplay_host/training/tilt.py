"""HAPT's windows as a sensor that sits askew on the body would have read them."""

from __future__ import annotations

import math

import torch

from ..datasets import hapt

DEGREES = 15.0  # standard deviation of the turn about each axis


def turned(windows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each window by a rotation of its own, which both of its sensors share: (n, 128, 6) int16 to the same."""
    angles = torch.randn(len(windows), 3, generator=generator, dtype=torch.float64) * math.radians(DEGREES)
    skew = torch.zeros(len(windows), 3, 3, dtype=torch.float64)
    skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0] = angles.t()
    turn = torch.matrix_exp(skew - skew.mT)
    readings = windows.double().reshape(len(windows), -1, 3) @ turn
    return readings.round().clamp(-32768, 32767).short().reshape(windows.shape)


def images(windows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The images of windows that are turned: (n, 128, 6) int16 to (n, 3, 32, 32) uint8."""
    return torch.from_numpy(hapt.to_images(turned(windows, generator).numpy())).permute(0, 3, 1, 2)
