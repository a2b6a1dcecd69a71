"""Say what a model and a learner take on a board: RAM by formula and as measured, and flash.

Puts the model on the board, unless it is there, loads it, makes a learner with the settings that are given, and looks
at the heap before and after. Nothing that a learner needs is allocated later.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bitreplay

from . import report, target
from .board import add_port

EPILOG = """examples:
  bitreplay report                              the first board on USB
  bitreplay report --board emulated             an emulated Pico
  bitreplay report --replay 800 --no-conv       without training the binary layer
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    where = parser.add_mutually_exclusive_group()
    add_port(where)
    where.add_argument("--board", choices=["emulated"], help="an emulated Pico instead of a board")
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--replay", type=int, default=500, help="latents in the replay memory (default: %(default)s)")
    parser.add_argument("--fresh", type=int, default=100, help="samples between two learn() (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=10, help="capacity (default: %(default)s)")
    parser.add_argument("--no-conv", action="store_true", help="do not train the binary layer")


def run(args: argparse.Namespace) -> None:
    bitreplay.load(args.model)
    learner = {name: getattr(args, name) for name in ("replay", "fresh", "classes")} | {"conv": not args.no_conv}
    with target.connected(args.board == "emulated", args.port) as board:
        path = target.with_model(board, args.model)
        (found,) = board.run("memory.py", {"model": path, **learner})
        name = board.exec("import sys; print(sys.implementation._machine)")
    print(f"{name}{', emulated' if args.board else ''}: {args.model.name} and Learner(net, ", end="")
    print(", ".join(f"{key}={value}" for key, value in learner.items()) + ")\n")
    print(describe(found))


def describe(found: dict) -> str:
    """What onboard/memory.py printed, as tables."""
    start, loaded, made = found["start"], found["loaded"], found["made"]
    formula = found["scratch"], sum(found["buffers"].values())
    measured = loaded["used"] - start["used"], made["used"] - loaded["used"]
    rows = [
        [what, size, used, used - size]
        for what, size, used in zip(("model", "learner"), formula, measured, strict=True)
    ]
    rows.append(["both", sum(formula), sum(measured), sum(measured) - sum(formula)])
    where = "are used in flash" if found["in_place"] else "lie in RAM too"
    text = report.table(["RAM, bytes", "by formula", "measured", "Python's objects"], rows)
    text += f"\nThe model's formula is its scratch; its {found['model']} bytes of weights {where}.\n\n"
    heaps = [["before", *start.values()], ["with the model", *loaded.values()], ["with the learner", *made.values()]]
    text += report.table(["heap", "used", "free", "largest free block"], heaps) + "\n\n"
    sizes = sorted(found["buffers"].items(), key=lambda item: -item[1])
    text += report.table(["buffer of the learner", "bytes"], [list(item) for item in sizes]) + "\n\n"
    flash = [[place, size, free] for place, (size, free) in found["flash"].items()]
    return text + report.table(["flash", "bytes", "free"], flash)
