"""Teach two datasets to the shipped models on the unix port, class by class, as on a board.

The datasets are CIFAR-10's photographs, two classes and then one at a time, and drawings of Quick, Draw!, ten classes
at a time. Compares binary latent replay, with the head alone or with three binary layers below it, and three
baselines. Prints tables of accuracy and bytes; writes results.json, two plots and the deep learner's state.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..experiments import demo
from . import options

EPILOG = """examples:
  bitreplay demo                minutes: the full test set
  bitreplay demo --test 100     100 test images a class
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--test", type=int, default=0, help="test images a class; 0, the default, for all")
    options.add_places(parser)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    demo.run(args.test, options.places(args), args.out)
