"""Two worlds taught to the shipped models on the unix port, as a board would meet them: near, and far.

CIFAR-10's photographs are like those of CIFAR-100, with which the models were pretrained; drawings of Quick, Draw! are
not. The head alone learns from latents of 128 bytes; the deep learner has fewer latents, of 512 bytes, in as much
memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .. import models, paths
from ..datasets import registry
from ..errors import UserError
from ..tables import table
from . import curves as plots
from .class_incremental import TITLES, ClassIncremental, Run
from .class_incremental import run as learn
from .latents import Places

REPLAY_BYTES = 129_000  # 1000 latents of the one model, 251 of the other, with a byte of label each
SHALLOW, DEEP = "backbone", "backbone_4x4"
HEAD_METHODS = "naive", "cwr", "replay_head", "joint"  # of the one model; the other learns deep
BOARD = ClassIncremental(samples=50, test=10, epochs=1, learner={"replay": 500})
PARTS = "replay", "fresh", "weights", "gradients", "reserve", "activations"


@dataclass(frozen=True)
class World:
    """A dataset, how it differs from the pretraining's, and what is learned in which order."""

    title: str
    protocol: ClassIncremental


WORLDS = (
    World("CIFAR-10, near the pretraining's world", ClassIncremental()),
    World("Quick, Draw!, far from it", ClassIncremental("quickdraw", first=10, step=10, samples=75)),
)


def run(test: int, places: Places, out: Path) -> None:
    """Prints tables and what it needs in bytes; writes results.json, a plot a world and a learner's state to `out`.

    test: test images a class; 0 for all.
    """
    if test < 0:
        raise UserError("--test must be at least 0")
    shallow, deep = paths.model(SHALLOW), paths.model(DEEP)
    paths.make_folder(out)
    worlds: dict[str, dict] = {}
    memory: dict[str, dict] = {}
    for world in WORLDS:
        ensure, _ = registry.DATASETS[world.protocol.dataset]
        ensure(places.data, None)
        one, found = _world(world, test, shallow, deep, places, out)
        worlds[world.protocol.dataset] = one
        memory |= {m: {"formula": r["memory"], "measured": r["heap"]} for m, r in found.items()}
    board = learn(shallow, BOARD, [Run("replay_head")], places, quiet=True)[0]
    memory["board"] = {"formula": board["memory"], "measured": board["heap"]}
    print("\nBytes that each needs beside the frozen model (by formula, and the peak of the heap as measured):\n")
    print(memory_table(memory))
    print("\n* replay + head with 500 latents, learning 100 fresh samples at a time")
    (out / "results.json").write_text(json.dumps({"worlds": worlds, "memory": memory}, indent=1) + "\n")
    digest = worlds[WORLDS[-1].protocol.dataset]["digests"]["replay_deep"]
    print(f"\n{out}/results.json, {', '.join(f'{name}.png' for name in worlds)}; the deep learner of drawings is")
    print(f"{out}/learner.safetensors, digest {digest[:16]}...")


def _world(world: World, test: int, shallow: Path, deep: Path, places: Places, out: Path) -> tuple[dict, dict]:
    """(what results.json says of it, what each method's run reported)."""
    found: dict[str, dict] = {}
    for model, methods in ((shallow, HEAD_METHODS), (deep, ("replay_deep",))):
        replay = REPLAY_BYTES // (models.load(model).latent_bytes + 1)
        settings = vars(world.protocol) | {"test": test, "learner": {"replay": replay}}
        state = out / "learner.safetensors" if model == deep else None
        runs = [Run(method, state=state) for method in methods]
        found |= dict(zip(methods, learn(model, ClassIncremental(**settings), runs, places), strict=True))
    curves = {method: found[method]["curve"] for method in (*HEAD_METHODS[:-1], "replay_deep", "joint")}
    classes = found["replay_head"]["classes"]
    used = world.protocol.used(places.data)["fresh"], ClassIncremental(**settings).used(places.data)["test"]
    tested = f"{used[1]} test images a class" if test else "the full test set"
    print(f"\n{world.title}: accuracy (%) on {tested} of the classes seen so far, {used[0]} fresh")
    print(f"images a class, {REPLAY_BYTES:,} bytes of replay memory:\n")
    print(plots.accuracy_table(curves, classes))
    plots.plot(out / f"{world.protocol.dataset}.png", curves, classes, world.title)
    summary = {
        "final_accuracy": {method: curve[-1] for method, curve in curves.items()},
        "curves": curves,
        "digests": {method: result["digest"] for method, result in found.items()},
    }
    return summary, found


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
