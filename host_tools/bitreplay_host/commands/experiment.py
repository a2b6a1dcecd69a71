"""Run a class-incremental protocol on the unix port and tabulate it.

Every combination of method, seed and of the values given to --train, --channels, --replay, --policy, --q-f, --q-b,
--rounding and --arithmetic is one learner; with --arithmetic integer it learns and is tested on MicroPython's unix
port with the C kernels. Writes results.json, results.csv (the accuracy after each experience), metrics.csv (a line for
each learner) and curves.png to OUT; bytes.png if --replay has several values, bits.png if --q-b has. The metrics are
Avalanche's: average, over the experiences, of the accuracy on the classes seen; forgetting, by how much the classes of
an experience are worse at the end than when they were first learned; backward transfer, the same with the other sign.
results.json also has each learner's matrix: the accuracy after each experience (rows) on the classes of each so far
(columns, which are "groups").

Each finished learner is kept in OUT/cells. After Ctrl-C the same command continues where it was. A command with other
settings reuses only learners that are the same in everything, down to the bits of model, dataset and program.

replay_int8 and replay_float32 keep the int8 values whose signs are a latent's bits, the latter in 32 bits each. The
head is trained in float32: compare them with replay_head --arithmetic float32 at equal --replay-bytes. Three methods
train nothing and are computed in NumPy: ncm, the nearest class mean; nearest, the nearest replayed latent; slda,
streaming linear discriminant analysis. All methods of a seed meet the same samples in the same order, whatever the
model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import bitreplay
from bitreplay import trainer

from .. import models
from ..datasets import registry
from ..errors import UserError
from ..experiments import experiment, papers, protocols
from ..experiments.class_incremental import BITS, DEEP, LEARNERS, METHODS, MOST_REPLAY, ClassIncremental, latent_size
from . import options

EPILOG = """examples:
  bitreplay experiment                                  the demo's protocol, three seeds
  bitreplay experiment --model backbone_4x4 --methods replay_deep --train 1 2 all --channels 1 0.25
  bitreplay experiment --model backbone_4x4 --q-b 2 4 8 16 --rounding stochastic nearest --methods replay_deep
  bitreplay experiment --protocol cifar100-10x10 --methods cwr replay_head
  bitreplay experiment --protocol my.json --methods replay_head        your own, see docs/experiments.md
  bitreplay experiment --protocol papers --out papers   what docs/results.md tells: an hour; --quick: minutes
  bitreplay experiment --first 2 --step 2 --fresh 3000      5 x 2 classes, 3000 images a class
  bitreplay experiment --replay 250 500 1000 2000 --methods replay_head --seeds 1
  bitreplay experiment --dataset fashion --methods ncm nearest slda replay_head --replay-bytes 64000
"""


PAPERS = "papers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    options.add_model(parser)
    _add_protocol(parser)
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
        "--policy",
        nargs="+",
        choices=["balanced", "reservoir"],
        default=["balanced"],
        help="which latents (default: balanced)",
    )
    parser.add_argument(
        "--q-f", type=int, nargs="+", default=[8], help="bits of the head's forward weights, 2..8 (default: 8)"
    )
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


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    """What _protocol() reads; None where it was not given."""
    names = ", ".join(protocols.NAMED)
    text = f"{names}; or a .json file with the classes of each experience, see docs/experiments.md"
    parser.add_argument("--protocol", metavar="NAME", help=f"{text}; papers: all that docs/results.md tells")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of papers: methods, study, ..., see docs/measured")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="of papers: one seed, one epoch, a tenth of the images, at most 20 a class",
    )
    parser.add_argument("--dataset", choices=registry.DATASETS, help="default: cifar10")
    parser.add_argument("--first", type=int, help="classes of the first experience (default: 2)")
    parser.add_argument("--step", type=int, help="classes of each further experience (default: 1)")
    parser.add_argument(
        "--order", choices=protocols.ORDERS, help="of the classes; seed: the seed draws it (default: given)"
    )
    parser.add_argument(
        "--fresh", type=int, help="fresh images a class, each time that it comes, 0 for all (default: 500)"
    )
    parser.add_argument("--test", type=int, help="test images a class, 0 for all (default: all)")
    parser.add_argument("--epochs", type=int, help="of each experience (default: 4)")


def _protocol(args: argparse.Namespace, learner: dict) -> ClassIncremental:
    """What the options say; what they leave out --protocol does."""
    named = protocols.load(args.protocol) if args.protocol else {}
    for option in ("dataset", "first", "step"):
        if args.protocol and getattr(args, option) is not None:
            raise UserError(f"--{option}: --protocol says which; leave one of them out")
    given = {name: getattr(args, name) for name in ("dataset", "order", *protocols.NUMBERS)}
    chosen = named | {name: value for name, value in given.items() if value is not None}
    if "batches" in chosen and "order" in chosen:
        raise UserError("--order: CORe50's lists have an order for each run; leave it out")
    fields = {"fresh": "samples", "experiences": "groups"}
    settings: dict[str, Any] = {fields.get(str(name), str(name)): value for name, value in chosen.items()}
    return ClassIncremental(**settings, learner=learner)


def run(args: argparse.Namespace) -> None:
    if args.protocol == PAPERS:
        return _papers(args)
    for option in ("only", "quick"):
        if getattr(args, option):
            raise UserError(f"--{option} is of --protocol {PAPERS}; leave it out, or choose that")
    options.check_result(args.json)
    rates = {k: v for k, v in (("rate", args.rate), ("conv_rate", args.conv_rate)) if v is not None}
    net = models.load(args.model)
    methods, trains = _trained(args, net)
    latent_bytes = net.latent_bytes

    def replays(method: str) -> list[int]:
        return _latents(args.replay_bytes, method, latent_bytes) if args.replay_bytes else args.replay

    learner = {
        "policy": args.policy[0],
        "q_f": args.q_f[0],
        "head_bits": args.head_bits,
        "replay": replays("replay_head")[0],
        **rates,
    }
    plan = _protocol(args, learner)
    if plan.base:
        methods = args.methods or ["naive", "cwr", "replay_head"]
    sweep: dict[str, list] = {"train": trains, "channels": args.channels, "replay": [], "q_b": args.q_b}
    sweep |= {name: getattr(args, name) for name in ("rounding", "arithmetic", "policy", "q_f")}
    sweep = {name: list(dict.fromkeys(values)) for name, values in sweep.items()}
    chosen = experiment.variants(methods, sweep, replays)
    records = experiment.run(args.model, plan, chosen, args.seeds, options.places(args), args.out)
    if args.json:
        args.json.write_text(json.dumps(experiment.summary(plan, records, latent_bytes), indent=1) + "\n")


def _papers(args: argparse.Namespace) -> None:
    """All measurements, each in a folder of its name in OUT; what was done is kept by each."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    shared = "protocol", "only", "quick", "out", "data", "cache", "micropython"
    for name, default in vars(parser.parse_args([])).items():
        if name not in shared and getattr(args, name) != default:
            raise UserError(f"--{name.replace('_', '-')}: --protocol {PAPERS} says which; leave it out")
    if unknown := [name for name in args.only or [] if not papers.chosen([name])]:
        raise UserError(f"--only: there is no {unknown[0]}; choose of study, {', '.join(papers.chosen(None))}")
    lines = {name: parser.parse_args(papers.MEASUREMENTS[name].split()) for name in papers.chosen(args.only)}
    registry.need((one.dataset or "cifar10" for one in lines.values()), args.data)  # before the first hour
    for name, one in lines.items():
        print(f"\n== {name}: bitreplay experiment {papers.MEASUREMENTS[name]}\n")
        one.data, one.cache, one.micropython = args.data, args.cache, args.micropython
        one.out = args.out / name
        one.json = one.out / "runs.json"
        if args.quick:
            vars(one).update(papers.quick(one.fresh, one.test))
        run(one)


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


def _latents(sizes: list[int], method: str, latent_bytes: int) -> list[int]:
    """How many latents of a method, with their labels, have room in each of some numbers of bytes."""
    size, whose = latent_size(method, latent_bytes), f"{method} of this model" if method in BITS else "this model"
    for number in sizes:
        if not 1 <= number // size <= MOST_REPLAY:
            raise UserError(f"--replay-bytes must be {size}..{MOST_REPLAY * size} for {whose}, got {number}")
    return [number // size for number in sizes]
