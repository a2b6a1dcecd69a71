"""Make the state of a learner that knows a model's own classes, with images of them to replay.

The dataset must have the classes of the model's pretrained head. The learner has the default settings except those
given here. A board loads it with Learner.load(net, path), and can then be taught more classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import registry
from ..experiments import start
from ..teaching import state
from . import options

EPILOG = """examples:
  bitreplay start backbone --dataset cifar100 --replay 500 -o me.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser, "model", nargs="?")
    parser.add_argument("--dataset", choices=registry.DATASETS, default="cifar100", help="default: %(default)s")
    parser.add_argument("--replay", type=int, default=500, help="latents kept (default: %(default)s)")
    parser.add_argument("--fresh", type=int, default=100, help="samples before a learn() (default: %(default)s)")
    parser.add_argument("--classes", type=int, help="room for labels (default: ten more than the model has)")
    parser.add_argument("--train", type=options.layers, default="head", help="head, all or a number (default: head)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the learner's state")
    options.add_places(parser)


def run(args: argparse.Namespace) -> None:
    options.check_new(args.out)
    settings = {name: getattr(args, name) for name in ("replay", "fresh", "classes", "train", "seed")}
    learner = start.make(args.model, args.dataset, settings, options.places(args))
    state.write(learner, args.out, None)
    print(f"{args.out}: {len(learner.labels)} classes, {learner.replay.n} latents, digest {learner.digest()[:16]}...")
