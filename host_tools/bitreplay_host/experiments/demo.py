"""CIFAR-10's classes, taught to the shipped backbone on the unix port as a board would meet them, beside baselines."""

from __future__ import annotations

import json
from pathlib import Path

from .. import models, paths
from ..datasets import cifar
from ..errors import UserError
from ..tables import table
from . import curves as plots
from .class_incremental import LEARNERS, TITLES, ClassIncremental, Run
from .class_incremental import run as learn
from .latents import Places

BOARD = ClassIncremental(samples=50, test=10, epochs=1, learner={"replay": 500})
PARTS = "replay", "fresh", "weights", "gradients", "activations"


def run(model: Path, test: int, places: Places, out: Path) -> None:
    """Prints a table and what it needs in bytes; writes results.json, curves.png and the learner's state to `out`.

    test: test images a class, 0..1000; 0 for all.
    """
    if not 0 <= test <= 1000:
        raise UserError("--test must be 0..1000")
    models.load(model)  # before 170 MB are fetched
    plan = ClassIncremental(test=test)
    paths.make_folder(out)
    cifar.cifar10(places.data)
    state = out / "learner.safetensors"
    runs = [Run(m, state=state if m == "replay_conv" else None) for m in LEARNERS]
    done = learn(model, plan, runs, places)
    results = {one.method: result for one, result in zip(runs, done, strict=True)}
    board = learn(model, BOARD, [Run("replay_conv")], places, quiet=True)[0]
    curves = {method: result["curve"] for method, result in results.items()}
    classes = list(range(plan.first, 11, plan.step))
    ours = results["replay_conv"]
    tested = f"{test} test images a class" if test else "the full test set"
    print(f"\nAccuracy (%) on {tested} of the classes seen so far, {plan.samples} fresh images a class:\n")
    print(plots.accuracy_table(curves, classes))
    print("\nBytes that each needs beside the frozen backbone (by formula, and the peak of the heap as measured):\n")
    memory = {m: {"formula": r["memory"], "measured": r["heap"]} for m, r in (results | {"board": board}).items()}
    print(memory_table(memory))
    print("\n* replay + head + conv with 500 latents, learning 100 fresh samples at a time")
    replay = plan.learner["replay"]
    size = ours["memory"]["replay"] // replay - 1
    plots.plot(
        out / "curves.png",
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
        "memory": memory,
    }
    (out / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"\n{out}/results.json, {out}/curves.png; the learner is {state}, digest {ours['digest'][:16]}...")


def memory_table(memory: dict[str, dict]) -> str:
    """Bytes by kind for each method, and "board", their sum, the peak of the live heap less the model's file.

    The file is in flash on a board; the difference is Python's own objects, 64 bits wide here.
    """
    titles = TITLES | {"board": "on a board*"}
    rows = [
        [titles[method], *(one["formula"][part] for part in (*PARTS, "total")),
         one["measured"]["peak"] - one["measured"]["file"]]
        for method, one in memory.items()
    ]  # fmt: skip
    return table(["", *PARTS, "sum", "measured"], rows)
