"""Teach CIFAR-10's classes to the shipped backbone on the unix port, as a board would meet them.

Two classes first, then one at a time: 9 experiences, 500 fresh images a class, with CWR* and binary latent replay,
beside four baselines. Prints a table and what it needs in bytes; writes results.json, curves.png and the learner's
state.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import bitreplay

from . import data, protocol, report
from .errors import UserError

EPILOG = """examples:
  bitreplay demo                minutes: the full test set
  bitreplay demo --test 100     100 test images a class
"""
BOARD = protocol.Protocol(samples=50, test=10, epochs=1, learner={"replay": 500})
PARTS = "replay", "fresh", "weights", "gradients", "activations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--test", type=int, default=0, help="test images a class; 0, the default, for all 1000")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="default: %(default)s")


def run(args: argparse.Namespace) -> None:
    if not 0 <= args.test <= 1000:
        raise UserError("--test must be 0..1000")
    bitreplay.load(args.model)  # before 170 MB are fetched
    plan = protocol.Protocol(test=args.test)
    args.out.mkdir(parents=True, exist_ok=True)
    data.cifar10(protocol.Settings.data)
    state = args.out / "learner.safetensors"
    runs = [protocol.Run(m, state=state if m == "replay_conv" else None) for m in protocol.METHODS]
    done = protocol.run(args.model, plan, runs, protocol.Settings())
    results = {one.method: result for one, result in zip(runs, done, strict=True)}
    board = protocol.run(args.model, BOARD, [protocol.Run("replay_conv")], protocol.Settings(), quiet=True)[0]
    curves = {method: result["curve"] for method, result in results.items()}
    classes = list(range(plan.first, 11, plan.step))
    ours = results["replay_conv"]
    tested = f"{args.test} test images a class" if args.test else "the full test set"
    print(f"\nAccuracy (%) on {tested} of the classes seen so far, {plan.samples} fresh images a class:\n")
    print(report.accuracy_table(curves, classes))
    print("\nBytes that each needs beside the frozen backbone (by formula, and the peak of the heap as measured):\n")
    print(memory_table({protocol.TITLES[m]: r for m, r in results.items()} | {"on a board*": board}))
    print("\n* replay + head + conv with 500 latents, learning 100 fresh samples at a time")
    replay = plan.learner["replay"]
    size = ours["memory"]["replay"] // replay - 1
    report.plot(
        args.out / "curves.png",
        curves,
        classes,
        f"CIFAR-10, one class at a time; {replay} latents of {size} bytes",
    )
    summary = {
        "dataset": plan.dataset,
        "experiences": len(classes),
        "replay_bytes": ours["memory"]["replay"],
        "peak_heap_bytes": ours["heap"]["peak"] - ours["heap"]["file"],
        "digest": ours["digest"],
        "final_accuracy": {method: curve[-1] for method, curve in curves.items()},
        "curves": curves,
        "memory": {
            m: {"formula": r["memory"], "measured": r["heap"]} for m, r in (results | {"board": board}).items()
        },
    }
    (args.out / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"\n{args.out}/results.json, {args.out}/curves.png; the learner is {state}, digest {ours['digest'][:16]}...")


def memory_table(results: dict[str, dict]) -> str:
    """Bytes by kind for each of several results, their sum, the peak of the live heap less the model's file.

    The file is in flash on a board; the difference is Python's own objects, 64 bits wide here.
    """
    rows = [
        [title, *(r["memory"][part] for part in PARTS), r["memory"]["total"],
         r["heap"]["peak"] - r["heap"]["file"]]
        for title, r in results.items()
    ]  # fmt: skip
    return report.table(["", *PARTS, "sum", "measured"], rows)
