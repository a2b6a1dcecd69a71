"""Distillation: a net learns what its teacher makes of each image, beside the image's class (Hinton et al. 2015)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from ..errors import UserError
from .restore import checkpoint, from_checkpoint

TEMPERATURE = 2.0  # 4 is as good (docs/results.md)
TRUTH = 0.1  # the share of the labels in the loss


def teacher(path: Path, labels: list[str], image: tuple[int, int, int]) -> torch.nn.Module:
    """The net in a checkpoint, which is not trained; UserError unless it tells these classes of such images apart."""
    net, saved = from_checkpoint(path), checkpoint(path)
    if saved.get("labels") != labels or tuple(net.image) != image:
        raise UserError(f"--teacher {path} was trained on other classes or images: give it the same --data")
    net.to(memory_format=torch.channels_last)
    return net.requires_grad_(False).eval()


def loss(scores: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Cross entropy to the teacher's softened predictions, less their entropy (KL divergence).

    Times the temperature's square, so that gradients are of one size at any temperature.
    """
    found, target = (F.log_softmax(x / TEMPERATURE, 1) for x in (scores, taught))
    return TEMPERATURE**2 * F.kl_div(found, target, reduction="batchmean", log_target=True)
