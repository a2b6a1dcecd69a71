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


LEGEND = """
bytes            of the file: in flash where the board has ROMFS, else in RAM
image            height x width x channels, uint8
latent           what is kept of an image, in bits; the replay memory takes its bytes, and 1 for the label, per sample
layers to train  binary layers above the latent: the most that `train` can be, besides the head
RAM to run       scratch for an inference; a learner takes more: bitreplay plan MODEL
own classes      of the pretrained head: known before anything is taught (bitreplay start)
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
    head = ["model", *sizes, "layers to train", "RAM to run", "own classes"]
    print(table(head, rows))
    print(LEGEND)
    print(
        f"in {paths.MODELS}; README.md there says which to choose, NAME.md how it was trained and how accurate it is"
    )
