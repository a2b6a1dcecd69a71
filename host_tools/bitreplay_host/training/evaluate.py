"""The pretrained head of a model, tested: the integers on the unix port, and PyTorch's float net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .net import to_input
from .restore import from_checkpoint, has_norm


def torch_predictions(checkpoint: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """The classes that PyTorch predicts, by the net as trained and by the folded net."""
    net = from_checkpoint(checkpoint)
    if not has_norm(net.state_dict()):
        net.double()  # float32 does not hold the products of 16-bit slopes
    return {"as trained": predict(net.eval(), images), "folded": predict(net.fold(), images)}


def predict(net, images: np.ndarray) -> np.ndarray:
    """The most probable class of each image, (n, 32, 32, 3) uint8, by a `Net` in its own precision."""
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(100)
    with torch.no_grad():
        found = [
            net(to_input(batch).to(net.head.dtype)).numpy().argmax(1)  # the first of equal ones, as the integers
            for batch in tqdm(batches, desc="PyTorch", leave=False, disable=None)
        ]
    return np.concatenate(found)
