"""Say which layers of a model a board has room to train. No board is needed.

For the head alone, and for as many binary layers from the top and shares of their channels as can be trained: the
bytes of RAM, by the formula of the learner itself; whether they fit; and the seconds that a class takes, from the
cycles of an emulated Pico, or by a formula of what there is to compute. At the end is the most that fits: the most
layers of which a quarter of the channels can be trained, then the most channels. docs/results.md says what depth buys.
"""

from __future__ import annotations

import argparse

from bitreplay.checks import check_epochs, check_sizes

from .. import models
from ..errors import UserError, as_user_error
from ..measure import bench, plan
from . import options

EPILOG = """examples:
  bitreplay plan small                               a Pico
  bitreplay plan backbone --board RPI_PICO2 --replay 1000
  bitreplay plan backbone --board ESP32_S3_PSRAM --seconds 60
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser, "model", nargs="?")
    parser.add_argument("--board", choices=list(plan.BOARDS), default="RPI_PICO", help="default: %(default)s")
    parser.add_argument("--replay", type=int, help="latents in the replay memory (default: 500, at most 64 KB)")
    parser.add_argument("--fresh", type=int, help="samples before a learn(), at most (default: 100, at most 12.8 KB)")
    parser.add_argument("--classes", type=int, default=10, help="most labels (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of a learn() (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="that a class may take, of the most that fits")
    options.add_out(parser)


def run(args: argparse.Namespace) -> None:
    net = models.load(args.model)
    options.check_result(args.out)
    settings = bench.sizes(net) | {"classes": args.classes}
    settings |= {name: getattr(args, name) for name in ("replay", "fresh") if getattr(args, name) is not None}
    with as_user_error():
        check_sizes(settings)
        check_epochs(args.epochs)
    if args.seconds is not None and not args.seconds > 0:
        raise UserError("--seconds must be more than 0")
    found = plan.choices(net, models.backbone(args.model), plan.BOARDS[args.board], settings, args.epochs)
    best = plan.recommend(found, args.seconds)
    print(plan.describe(net, args.board, settings, args.epochs, found, best))
    options.write(args, plan.result(net, args.board, settings, args.epochs, found, best))
