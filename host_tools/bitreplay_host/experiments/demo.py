"""Two worlds taught to the shipped models on the unix port, as a board would meet them: near, and far.

CIFAR-10's photographs are like those of CIFAR-100, with which the models were pretrained; drawings of Quick, Draw! are
not. The head alone learns from latents of 128 bytes; the deep learner has fewer latents, of 512 bytes, in as much
memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from .. import models, paths
from ..datasets import registry
from ..device import unix_port
from ..errors import UserError
from ..tables import table
from . import curves as plots
from .class_incremental import TITLES, ClassIncremental, Run
from .class_incremental import run as learn
from .latents import Places

REPLAY_BYTES = 129_000  # 1000 latents of the one model, 251 of the other, with a byte of label each
SHALLOW, DEEP = "backbone", "backbone_4x4"
HEAD_METHODS = "naive", "cwr", "replay_head", "joint"  # of the one model
DEEP_METHODS = ("replay_deep",)  # of the other
BOARD = ClassIncremental(samples=50, test=10, epochs=1, learner={"replay": 500})
PARTS = "replay", "fresh", "weights", "gradients", "reserve", "activations"


@dataclass(frozen=True)
class World:
    """A dataset, how it differs from the pretraining's, and what is learned in which order."""

    title: str
    protocol: ClassIncremental


WORLDS = (
    World("CIFAR-10: like the pretraining", ClassIncremental()),
    World("Quick, Draw!: unlike the pretraining", ClassIncremental("quickdraw", first=10, step=10, samples=75)),
)


def run(test: int, places: Places, out: Path) -> None:
    """Prints tables and what it needs in bytes; writes results.json, a plot a world and a learner's state to `out`.

    test: test images a class; 0 for all.
    """
    if test < 0:
        raise UserError("--test must be at least 0")
    paths.make_folder(out)
    worlds: dict[str, dict] = {}
    memory: dict[str, dict] = {}
    for world in WORLDS:
        ensure, _ = registry.DATASETS[world.protocol.dataset]
        ensure(places.data, None)
    # The deep learners, which take by far the longest, at once, and on one core each; then what is left.
    parts = [(world, methods) for methods in (DEEP_METHODS, HEAD_METHODS) for world in WORLDS]
    taught = unix_port.in_parallel(lambda part, _: _teach(*part, test, places, out), parts)
    for world, deep, head in zip(WORLDS, taught, taught[len(WORLDS) :], strict=False):
        found = head | deep
        one = _world(world, test, found, places, out)
        worlds[world.protocol.dataset] = one
        memory |= {m: {"formula": r["memory"], "measured": r["heap"]} for m, r in found.items()}
    board = learn(paths.model(SHALLOW), BOARD, [Run("replay_head")], places, quiet=True)[0]
    memory["board"] = {"formula": board["memory"], "measured": board["heap"]}
    print("\nBytes that each needs beside the frozen model (by formula, and the peak of the heap as measured):\n")
    print(memory_table(memory))
    print("\n* replay + head with 500 latents, learning 100 fresh samples at a time")
    (out / "results.json").write_text(json.dumps({"worlds": worlds, "memory": memory}, indent=1) + "\n")
    digest = worlds[WORLDS[-1].protocol.dataset]["digests"]["replay_deep"]
    print(f"\n{out}/results.json, {', '.join(f'{name}.png' for name in worlds)}; the deep learner of drawings is")
    print(f"{out}/learner.safetensors, digest {digest[:16]}...")


def _teach(world: World, methods: tuple[str, ...], test: int, places: Places, out: Path) -> dict[str, dict]:
    """What each method's run reported. The last world's deep learner is kept."""
    model = paths.model(DEEP if methods == DEEP_METHODS else SHALLOW)
    replay = REPLAY_BYTES // (models.load(model).latent_bytes + 1)
    protocol = replace(world.protocol, test=test, learner={"replay": replay})
    kept = methods == DEEP_METHODS and world == WORLDS[-1]
    runs = [Run(method, state=out / "learner.safetensors" if kept else None) for method in methods]
    return dict(zip(methods, learn(model, protocol, runs, places), strict=True))


def _world(world: World, test: int, found: dict[str, dict], places: Places, out: Path) -> dict:
    """Prints and plots what was found; returns what results.json says of it."""
    curves = {method: found[method]["curve"] for method in (*HEAD_METHODS[:-1], "replay_deep", "joint")}
    classes = found["replay_head"]["classes"]
    used = replace(world.protocol, test=test).used(places.data)
    tested = f"{used['test']} test images a class" if test else "the full test set"
    print(f"\n{world.title}: accuracy (%) on {tested} of the classes seen so far, {used['fresh']} fresh")
    print(f"images a class, {REPLAY_BYTES:,} bytes of replay memory:\n")
    print(plots.accuracy_table(curves, classes))
    plots.plot(out / f"{world.protocol.dataset}.png", curves, classes, world.title)
    return {
        "final_accuracy": {method: curve[-1] for method, curve in curves.items()},
        "curves": curves,
        "digests": {method: result["digest"] for method, result in found.items()},
    }


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
