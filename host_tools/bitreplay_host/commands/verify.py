"""Compare a target with the NumPy reference, bit for bit.

Every kernel gets inputs that --seed draws, and must give the reference's results. Then learners are taught briefly,
here (CPython and NumPy) and on the target, and their digests are compared after each step: one learner with the model,
and three with a small synthetic model, which train the head, all layers, and a quarter of their channels. A wrong bit
is located: kernel, call, argument, index. The target is MicroPython's unix port or, with --port, a connected board;
the model is uploaded unless it is there. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from .. import models
from ..errors import UserError
from ..measure.verify import UnixPort, on_board, verify
from . import options

EPILOG = """examples:
  bitreplay verify                                  the unix port that `make unix` built
  bitreplay verify --seed 7 --repeats 50            more vectors
  bitreplay verify --port auto                      the board on USB
  bitreplay verify --train all --channels 0.25      train more of the model than its uppermost layer
  bitreplay verify --micropython build/unix-asan/micropython
  bitreplay emulate -- bitreplay verify --port {port}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_port(parser, default=None)
    options.add_micropython(parser)
    options.add_model(parser)
    options.add_train(parser)
    parser.add_argument("--seed", type=int, default=1, help="of the vectors and the training (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=8, help="calls of each kernel (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    if not (args.repeats >= 1 and 1 <= args.seed < 1 << 32):
        raise UserError("--repeats must be at least 1 and --seed 1..4294967295")
    learner = options.train(args, models.load(args.model))  # a bad one is told first
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if args.port is None:
            target = UnixPort(options.micropython(args), directory)
            differences = verify(target, args.model, learner, args.seed, args.repeats, directory)
        else:
            with on_board(args.port) as board:
                differences = verify(board, args.model, learner, args.seed, args.repeats, directory)
    print(f"{differences} difference{'s' * (differences > 1)}" if differences else "every bit matches")
    return 1 if differences else 0
