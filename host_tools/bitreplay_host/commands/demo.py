"""Teach CIFAR-10's classes to the shipped backbone on the unix port, as a board would meet them.

Two classes first, then one at a time: 9 experiences, 500 fresh images a class, with CWR* and binary latent replay,
beside four baselines. Prints a table and what it needs in bytes; writes results.json, curves.png and the learner's
state.
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
    options.add_model(parser)
    parser.add_argument("--test", type=int, default=0, help="test images a class; 0, the default, for all 1000")
    options.add_places(parser)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    demo.run(args.model, args.test, options.places(args), args.out)
