"""Test a model's pretrained head: the integers on the unix port, and beside them PyTorch's float net.

Prints the integer net's accuracy on CIFAR-100. With --checkpoint also PyTorch's, folded (the 16-bit slopes that export
writes, in float64) and as trained (batch norm in float32), and how many predictions of each equal the integer net's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .. import models
from ..datasets import registry
from ..experiments.latents import latents
from . import options

EPILOG = """examples:
  bitreplay evaluate --test 1000
  bitreplay evaluate backbone.safetensors --checkpoint pretrain/backbone.pt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser, "model", nargs="?", default="backbone")
    parser.add_argument("--checkpoint", type=Path, help="compare with this PyTorch checkpoint")
    parser.add_argument("--test", type=int, default=0, help="test images, 0 for all 10000 (default: all)")
    options.add_places(parser)


def run(args: argparse.Namespace) -> None:
    models.load(args.model)  # a bad one is told first
    images, labels = registry.load("cifar100", "test", args.data)
    rows = np.linspace(0, len(labels) - 1, args.test or len(labels)).astype(int)
    file = latents(args.model, "cifar100", "test", rows.tolist(), options.places(args), classify=True)
    found = np.frombuffer(file.read_bytes(), np.uint8)
    print(f"integer net, unix port: {100 * (found == labels[rows]).mean():.2f} % of {len(rows)} test images")
    if args.checkpoint:
        from ..training.evaluate import torch_predictions

        for name, predicted in torch_predictions(args.checkpoint, images[rows]).items():
            accuracy, agreement = 100 * (predicted == labels[rows]).mean(), 100 * (predicted == found).mean()
            print(f"PyTorch, {name}: {accuracy:.2f} %; {agreement:.2f} % of predictions agree with the integer net")
