"""List the models that come with BitReplay. Where a command takes a model, its name here is enough."""

from __future__ import annotations

import argparse

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
        rows.append([path.stem, path.stat().st_size, *shapes, net.latent_bytes, net.scratch_bytes, classes])
    print(table(["model", "bytes", "image", "latent", "bytes a latent", "bytes of RAM to run", "own classes"], rows))
    print(f"\nin {paths.MODELS}; the .md file beside each tells how it was trained, and how well it does")
