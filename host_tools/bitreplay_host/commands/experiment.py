"""Run a class-incremental protocol on the unix port and tabulate it.

Every combination of method, seed and of the values given to --train, --channels, --replay, --q-b, --rounding and
--arithmetic is one learner; with --arithmetic integer it learns and is tested on MicroPython's unix port with the C
kernels. Writes results.json, results.csv and curves.png to OUT.

Three methods train nothing and are computed in NumPy: ncm, the nearest class mean; nearest, the nearest replayed
latent; slda, streaming linear discriminant analysis. All methods of a seed meet the same samples in the same order,
whatever the model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import bitreplay
from bitreplay import trainer

from .. import models
from ..datasets import registry
from ..errors import UserError
from ..experiments import experiment
from ..experiments.class_incremental import DEEP, LEARNERS, METHODS, MOST_REPLAY, ClassIncremental
from . import options

EPILOG = """examples:
  bitreplay experiment                                  the demo's protocol, three seeds
  bitreplay experiment --model backbone_4x4 --methods replay_deep --train 1 2 all --channels 1 0.25
  bitreplay experiment --model backbone_4x4 --q-b 2 4 8 16 --rounding stochastic nearest --methods replay_deep
  bitreplay experiment --first 2 --step 2 --fresh 3000      5 x 2 classes, 3000 images a class
  bitreplay experiment --replay 250 500 1000 2000 --methods replay_head --seeds 1
  bitreplay experiment --dataset fashion --methods ncm nearest slda replay_head --replay-bytes 64000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser)
    parser.add_argument("--dataset", default="cifar10", choices=registry.DATASETS, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=2, help="classes of the first experience (default: %(default)s)")
    parser.add_argument(
        "--step", type=int, default=1, help="classes of each further experience (default: %(default)s)"
    )
    parser.add_argument(
        "--fresh", type=int, default=500, help="fresh images a class, 0 for all (default: %(default)s)"
    )
    parser.add_argument("--test", type=int, default=0, help="test images a class, 0 for all (default: all)")
    parser.add_argument("--epochs", type=int, default=4, help="of each experience (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    parser.add_argument(
        "--methods", nargs="+", choices=list(METHODS), help="default: those that train, of what the model has"
    )
    parser.add_argument(
        "--train",
        type=options.layers,
        nargs="+",
        metavar="N",
        help="what replay_deep and joint train: head, all, or how many binary layers from the top (default: all that "
        "can be)",
    )
    parser.add_argument(
        "--channels", type=float, nargs="+", default=[1.0], help="share of their output channels (default: 1)"
    )
    replay = parser.add_mutually_exclusive_group()
    replay.add_argument("--replay", type=int, nargs="+", default=[1000], help="latents kept (default: 1000)")
    replay.add_argument(
        "--replay-bytes", type=int, nargs="+", metavar="N", help="as many latents as fit, with a byte of label each"
    )
    parser.add_argument(
        "--policy", choices=["balanced", "reservoir"], default="balanced", help="which latents (default: %(default)s)"
    )
    parser.add_argument("--q-f", type=int, default=8, help="bits of the head's forward weights, 2..8 (default: 8)")
    parser.add_argument(
        "--head-bits", type=int, default=16, choices=[16, 32], help="of its master weights (default: 16)"
    )
    parser.add_argument(
        "--q-b", type=int, nargs="+", default=[4], help="bits of the binary layers' gradients, 2..16 (default: 4)"
    )
    parser.add_argument(
        "--rounding",
        nargs="+",
        choices=["stochastic", "nearest"],
        default=["stochastic"],
        help="of these gradients (default: stochastic)",
    )
    parser.add_argument(
        "--arithmetic", nargs="+", choices=["integer", "float32"], default=["integer"], help="float32: on the host"
    )
    parser.add_argument("--rate", type=float, help="the head's learning rate")
    parser.add_argument("--conv-rate", type=float, help="the binary layers' learning rate")
    options.add_places(parser)
    parser.add_argument("--out", type=Path, default=Path("experiment"), help="folder (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what the runs had and reached as JSON, too")


def run(args: argparse.Namespace) -> None:
    options.check_out(args.json)
    rates = {k: v for k, v in (("rate", args.rate), ("conv_rate", args.conv_rate)) if v is not None}
    net = models.load(args.model)
    methods, trains = _trained(args, net)
    latent_bytes = net.latent_bytes
    replays = _latents(args.replay_bytes, latent_bytes + 1) if args.replay_bytes else args.replay
    learner = {"policy": args.policy, "q_f": args.q_f, "head_bits": args.head_bits, "replay": replays[0], **rates}
    plan = ClassIncremental(args.dataset, args.first, args.step, args.fresh, args.test, args.epochs, learner)
    chosen = experiment.variants(methods, trains, args.channels, replays, args.q_b, args.rounding, args.arithmetic)
    records = experiment.run(args.model, plan, chosen, args.seeds, options.places(args), args.out)
    if args.json:
        args.json.write_text(json.dumps(experiment.summary(plan, records, latent_bytes), indent=1) + "\n")


def _trained(args: argparse.Namespace, net: bitreplay.Network) -> tuple[list[str], list[str | int]]:
    """The methods and what they train, as asked for, or what the model has; says so where that is not all."""
    methods, most = args.methods or LEARNERS, trainer.most(net)
    layers = sum(layer.op == "bconv2d" for layer in net.above)
    if args.train:
        return methods, args.train
    if most:
        if most < layers and {*methods} & {*DEEP}:
            print(f"note: of {net.name}'s {layers} binary layers above the latent {most} can be trained: train {most}")
        return methods, ["all" if most == layers else most]
    if args.methods and "replay_deep" in args.methods:
        raise UserError(f"replay_deep: {net.name} has no binary layer that can be trained; use --methods replay_head")
    if "joint" in methods:
        left_out = "" if args.methods else "replay_deep is left out, "
        print(f"note: {net.name} has no binary layer that can be trained: {left_out}joint trains the head")
    return [method for method in methods if method != "replay_deep"], ["head"]


def _latents(sizes: list[int], size: int) -> list[int]:
    """How many latents of a size, with their labels, have room in each of some numbers of bytes."""
    for number in sizes:
        if not 1 <= number // size <= MOST_REPLAY:
            raise UserError(f"--replay-bytes must be {size}..{MOST_REPLAY * size} for this model, got {number}")
    return [number // size for number in sizes]
