"""Time the kernels, inference and learning: on the unix port, an emulated Pico, or a board that is connected.

On a board, times are in cycles of its clock. For code in SRAM, where all loops are, the emulated Pico counts as the
chip should. For code in flash, which is MicroPython, it gives a lower bound, as misses of the flash's cache take no
time. With --flash-cache they do, by a model, and the misses of each call are counted. Two learners are taught a class:
one trains the head, the other the layers that --train names. On the unix port, times are of this machine and this
moment: compare only ratios from one run. The cost of a call in MicroPython is included. `--board instructions` counts
the instructions of the kernels in native modules, for the processors of boards, under QEMU.
"""

from __future__ import annotations

import argparse

import bitreplay
from bitreplay.checks import check_integer

from .. import models
from ..device.connect import connected
from ..errors import UserError, as_user_error
from ..measure import bench, instructions
from . import options

EPILOG = """examples:
  bitreplay bench
  bitreplay bench --repeats 200 --out quiet.json
  bitreplay bench --board emulated      takes minutes: it teaches a class; docs/pico.md has the result
  bitreplay bench --board emulated --model small --train all --channels 0.25
  bitreplay bench --board emulated --flash-cache       counts the misses of the flash's cache, too
  bitreplay bench --board instructions  after `make natmods`; docs/natmod.md has the result
  bitreplay bench --port /dev/ttyACM0   a board with BitReplay; uploads the model to it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "--board", choices=["unix", "emulated", "instructions"], help="what to time (default: unix, or that of --port)"
    )
    options.add_port(parser, default=None)
    options.add_micropython(parser)
    options.add_model(parser)
    options.add_train(parser)
    for name, what in ("replay", "latents in the replay memory"), ("fresh", "images of the class that is taught"):
        parser.add_argument(f"--{name}", type=int, help=f"{what} (default: what a Pico has room for)")
    help = "count misses of the flash's cache, on an RP2040; an emulated one also waits for them, by a model"
    parser.add_argument("--flash-cache", action="store_true", help=help)
    parser.add_argument(
        "--repeats", type=int, help="runs of each kernel (default: 30; on a board 1, as all take the same time)"
    )
    options.add_out(parser)


def run(args: argparse.Namespace) -> None:
    if args.repeats is not None and args.repeats < 1:
        raise UserError("--repeats must be at least 1")
    if args.port and args.board:
        raise UserError("--port and --board exclude each other")
    if args.flash_cache and not (args.port or args.board == "emulated"):
        raise UserError("--flash-cache counts on an RP2040: add --board emulated, or --port")
    net = models.load(args.model)
    learners = choose(args, net)
    options.check_result(args.out)
    if args.board == "instructions":
        result = instructions.bench(args.model)
        text = instructions.describe(result)
    elif args.board == "emulated" or args.port:
        emulated = args.board == "emulated"
        with connected(emulated, args.port, args.flash_cache) as board:
            result = bench.bench_board(board, emulated, args.model, learners, args.repeats or 1, args.flash_cache)
        text = bench.describe(result)
    else:
        result = bench.bench_unix(args.model, learners, options.micropython(args), args.repeats or 30)
        text = bench.describe(result)
    print(text)
    options.write(args, result)


def choose(args: argparse.Namespace, net: bitreplay.Network) -> list[dict]:
    """Arguments of the learners that are timed: one of the head, and the one that is asked for."""
    given = {name: getattr(args, name) for name in ("replay", "fresh")}
    sizes = bench.sizes(net) | {name: value for name, value in given.items() if value is not None}
    with as_user_error():
        check_integer("replay", sizes["replay"], 1, 32768)
        check_integer("fresh", sizes["fresh"], 1, 32768)
    learners = [{**sizes, "train": "head", "channels": 1.0}, {**sizes, **options.train(args, net)}]
    return learners[: 1 if learners[1]["train"] in ("head", 0) else 2]
