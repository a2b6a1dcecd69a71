"""What a model and a learner take on a board: RAM by formula and as measured, and flash."""

from __future__ import annotations

from pathlib import Path

from .. import models
from ..device.board import Board
from ..device.connect import with_model
from ..tables import table
from . import plan


def measure(board: Board, emulated: bool, model: Path, learner: dict) -> dict:
    """Makes a learner with these arguments on a board and looks at the heap before and after.

    Returns what is written as JSON: what was measured, and what onboard/heap_use.py printed.
    """
    board.need_bitreplay()
    (found,) = board.run("heap_use.py", {"model": with_model(board, model), "files": board.root, **learner})
    found["flash"][board.root][1] = board.free_bytes(board.root)  # without what the script needed
    settings = ", ".join(f"{name}={value}" for name, value in learner.items())
    name = board.machine() + (", emulated" if emulated else "")
    return {
        "target": f"{name}: {model.name} and Learner(net, {settings})",
        **found,
        "choices": choices(model, learner),
    }


def choices(model: Path, learner: dict) -> list[dict]:
    """Bytes of learners that are alike but for what they train, and of the largest buffer."""
    net, found = models.load(model), []
    for trained in plan.alternatives(net):
        total, block = plan.needs(net, {**learner, **trained})
        found.append({**trained, "bytes": total - net.scratch_bytes, "block": block})
    return found


def describe(found: dict) -> str:
    """What measure() returned, as tables."""
    start, loaded, made = found["start"], found["loaded"], found["made"]
    formula = found["scratch"], sum(found["buffers"].values())
    measured = loaded["used"] - start["used"], made["used"] - loaded["used"]
    rows = [
        [what, size, used, used - size]
        for what, size, used in zip(("model", "learner"), formula, measured, strict=True)
    ]
    rows.append(["both", sum(formula), sum(measured), sum(measured) - sum(formula)])
    where = "are used in flash" if found["in_place"] else "lie in RAM too"
    text = f"{found['target']}\n\n"
    text += table(["RAM, bytes", "by formula", "measured", "Python's objects"], rows)
    text += f"\nThe model's formula is its scratch; its {found['model']} bytes of weights {where}.\n\n"
    heaps = [["before", *start.values()], ["with the model", *loaded.values()], ["with the learner", *made.values()]]
    text += table(["heap", "used", "free", "largest free block"], heaps) + "\n\n"
    sizes = sorted(found["buffers"].items(), key=lambda item: -item[1])
    text += table(["buffer of the learner", "bytes"], [list(item) for item in sizes]) + "\n\n"
    text += "With the model loaded, by formula; Python's objects are not in it:\n\n"
    rows = []
    for c in found["choices"]:
        fits = c["bytes"] <= loaded["free"] and c["block"] <= loaded["block"]
        share = f"{c['channels']:g}" if c["train"] else ""
        rows.append([plan.label(c["train"]), share, c["bytes"], c["block"], "yes" if fits else "no"])
    text += table(["train", "channels", "a learner, bytes", "in one piece", "fits"], rows) + "\n\n"
    flash = [[place, size, free] for place, (size, free) in found["flash"].items()]
    return text + table(["flash", "bytes", "free"], flash)
