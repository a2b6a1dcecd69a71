"""Test a model's pretrained head: the integers on the unix port, and beside them PyTorch's float net.

Prints the integer net's accuracy on CIFAR-100. With --checkpoint also PyTorch's, folded (the 16-bit slopes that export
writes, in float64) and as trained (batch norm in float32), and how many predictions of each equal the integer net's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bitreplay
import numpy as np
from tqdm import tqdm

from . import data, protocol

EPILOG = """examples:
  bitreplay evaluate --test 1000
  bitreplay evaluate build/backbone.safetensors --checkpoint build/pretrain/backbone.pt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, nargs="?", default=Path("models/backbone.safetensors"), help="default: %(default)s"
    )
    parser.add_argument("--checkpoint", type=Path, help="compare with this PyTorch checkpoint")
    parser.add_argument("--test", type=int, default=0, help="test images, 0 for all 10000 (default: all)")
    protocol.add_paths(parser)
    parser.epilog = EPILOG


def run(args: argparse.Namespace) -> None:
    settings = protocol.Settings(args.micropython, args.data, args.cache)
    bitreplay.load(args.model)  # a bad one is told first
    images, labels = data.load("cifar100", "test", args.data)
    rows = np.linspace(0, len(labels) - 1, args.test or len(labels)).astype(int)
    file = protocol.latents(args.model, "cifar100", "test", rows.tolist(), settings, classify=True)
    found = np.frombuffer(file.read_bytes(), np.uint8)
    print(f"integer net, unix port: {100 * (found == labels[rows]).mean():.2f} % of {len(rows)} test images")
    if args.checkpoint:
        for name, predicted in torch_predictions(args.checkpoint, images[rows]).items():
            accuracy, agreement = 100 * (predicted == labels[rows]).mean(), 100 * (predicted == found).mean()
            print(f"PyTorch, {name}: {accuracy:.2f} %; {agreement:.2f} % of predictions agree with the integer net")


def torch_predictions(checkpoint: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """The classes that PyTorch predicts, by the net as trained and by the folded net."""
    from .torch_net import from_checkpoint

    net = from_checkpoint(checkpoint)
    return {"as trained": predict(net.eval(), images), "folded": predict(net.fold(), images)}


def predict(net, images: np.ndarray) -> np.ndarray:
    """The most probable class of each image, (n, 32, 32, 3) uint8, by a `torch_net.Net` in its own precision."""
    import torch

    from .pretrain import to_input

    batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(100)
    with torch.no_grad():
        found = [
            net(to_input(batch).to(net.head.dtype)).numpy().argmax(1)  # the first of equal ones, as the integers
            for batch in tqdm(batches, desc="PyTorch", leave=False, disable=None)
        ]
    return np.concatenate(found)
