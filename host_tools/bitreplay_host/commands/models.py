"""List the models that come with BitReplay. Where a command takes a model, its name here is enough."""

from __future__ import annotations

import argparse

from bitreplay import trainer

from .. import models, paths
from ..tables import table

EPILOG = """examples:
  bitreplay models
  bitreplay upload small        by name, from any folder
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG


def run(args: argparse.Namespace) -> None:
    rows: list[list[object]] = []
    for path in paths.shipped_models():
        net = models.load(path)
        shapes = ["x".join(map(str, shape)) for shape in (net.image_shape, net.latent_shape)]
        classes = len(net.labels or ())
        numbers = net.latent_bytes, trainer.most(net), net.scratch_bytes, classes
        rows.append([path.stem, path.stat().st_size, *shapes, *numbers])
    sizes = ["bytes", "image", "latent", "bytes a latent"]
    head = ["model", *sizes, "layers to train", "bytes of RAM to run", "own classes"]
    print(table(head, rows))
    print(f"\nin {paths.MODELS}; the .md file beside each tells how it was trained, and how well it does")
