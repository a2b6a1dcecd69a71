"""Measure how well a learner recognizes images of classes that it was not taught: predict(image, unknown=SHARE).

Half of the dataset's classes, drawn by the seed, are taught at once to a learner of the head on the unix port. Prints
the area under the ROC curve of known against unknown test images (50 % is chance), the accuracy on known classes if
nothing is refused, and how many known and unknown images are refused.
"""

from __future__ import annotations

import argparse

import numpy as np

from ..datasets import registry
from ..experiments import unknown
from ..tables import table
from . import options

EPILOG = """examples:
  bitreplay unknown
  bitreplay unknown --dataset fsdd --share 0.1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser)
    parser.add_argument("--dataset", choices=registry.DATASETS, default="cifar10", help="default: %(default)s")
    parser.add_argument("--fresh", type=int, default=100, help="training images a class (default: %(default)s)")
    parser.add_argument("--test", type=int, default=100, help="test images a class (default: %(default)s)")
    parser.add_argument("--replay", type=int, default=500, help="latents kept (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="default: until learn() ends")
    parser.add_argument(
        "--share", type=float, default=0.05, help="share of known images to refuse (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    options.add_places(parser)


def run(args: argparse.Namespace) -> None:
    plan = unknown.Unknown(args.dataset, args.fresh, args.test, args.replay, args.epochs, args.share)
    found = unknown.measure(args.model, plan, args.seeds, options.places(args))
    rows: list[list[object]] = [[seed, *one.values()] for seed, one in zip(args.seeds, found, strict=True)]
    rows.append(["mean", *(float(np.mean([one[name] for one in found])) for name in found[0])])
    print(table(["seed", "AUROC", "accuracy", "known refused", "unknown refused"], rows))
