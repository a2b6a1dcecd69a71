"""Test a model's pretrained head: the integers on the unix port and, to compare, PyTorch's float net.

Prints the integer net's accuracy on CIFAR-100, whose classes must be the model's labels. With --checkpoint also
PyTorch's, folded (the 16-bit slopes that export writes, in float64) and as trained (batch norm in float32), and how
many predictions of each equal the integer net's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import registry
from ..errors import UserError
from ..experiments.latents import predictions
from . import options

EPILOG = """examples:
  bitreplay evaluate --test 1000
  bitreplay evaluate backbone.safetensors --checkpoint pretrain/backbone.pt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser, "model", nargs="?")
    parser.add_argument("--checkpoint", type=Path, help="compare with this PyTorch checkpoint")
    parser.add_argument("--test", type=int, default=0, help="test images, 0 for all 10000 (default: all)")
    options.add_places(parser)


def run(args: argparse.Namespace) -> None:
    if args.test < 0:  # told without a dataset, too
        raise UserError("--test must be at least 0")
    rows, found, labels = predictions(args.model, args.test, options.places(args))
    print(f"integer net, unix port: {100 * (found == labels).mean():.2f} % of {len(rows)} test images")
    if args.checkpoint:
        from ..training.evaluate import torch_predictions

        images, _ = registry.load("cifar100", "test", args.data)
        for name, predicted in torch_predictions(args.checkpoint, images[rows]).items():
            accuracy, agreement = 100 * (predicted == labels).mean(), 100 * (predicted == found).mean()
            print(f"PyTorch, {name}: {accuracy:.2f} %; {agreement:.2f} % of predictions agree with the integer net")
