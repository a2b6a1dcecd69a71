"""Many learners on one protocol: every combination of what is given, tabulated."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .. import paths
from ..tables import table
from . import curves as plots
from .baselines import BASELINES
from .class_incremental import DEEP, METHODS, TITLES, ClassIncremental, Run
from .class_incremental import run as learn
from .latents import Places

COLUMNS = ["method", "arithmetic", "train", "channels", "replay", "q_b", "rounding"]

Variant = tuple[str, dict, str]  # method, learner arguments, arithmetic


def variants(
    methods: Iterable[str],
    trains: Iterable[str | int],
    shares: Iterable[float],
    replays: Iterable[int],
    q_bs: Iterable[int],
    roundings: Iterable[str],
    arithmetics: Iterable[str],
) -> list[Variant]:
    """All combinations; one of a method that does not use what differs is there once."""
    unique: dict[str, Variant] = {}
    combinations = itertools.product(methods, trains, shares, replays, q_bs, roundings, arithmetics)
    for method, train, share, replay, q_b, rounding, arithmetic in combinations:
        memory = {} if METHODS[method].get("replay") == 0 else {"replay": replay}
        arithmetic = "float64" if method in BASELINES else arithmetic
        deep = method in DEEP and train != "head"
        layers: dict = {"train": train, "channels": share} if deep else {"train": "head"} if method in DEEP else {}
        gradient = {"q_b": q_b, "rounding": rounding} if deep and arithmetic == "integer" else {}
        options = layers | memory | gradient
        unique[json.dumps([method, options, arithmetic])] = (method, options, arithmetic)
    return list(unique.values())


def run(
    model: Path, plan: ClassIncremental, chosen: list[Variant], seeds: Sequence[int], places: Places, out: Path
) -> list[dict]:
    """Trains and tests a learner of each variant and seed; writes results.json, results.csv and curves.png.

    Returns the runs of results.json.
    """
    runs = [Run(m, seed, options, arithmetic=a) for m, options, a in chosen for seed in dict.fromkeys(seeds)]
    paths.make_folder(out)
    used = plan.used(places.data)
    if used["fresh"] < plan.samples or used["test"] < plan.test:
        print(f"note: {plan.dataset} has less a class: {used['fresh']} fresh and {used['test']} test images are used")
    results = learn(model, plan, runs, places)
    records = [
        {"method": one.method, "arithmetic": one.arithmetic, "seed": one.seed, **used}
        | {**one.learner, "final": result["curve"][-1], **result}
        for one, result in zip(runs, results, strict=True)
    ]
    (out / "results.json").write_text(json.dumps({"protocol": vars(plan), "runs": records}, indent=1) + "\n")
    _write(out, records, plan)
    return records


def summary(plan: ClassIncremental, records: Sequence[dict], latent_bytes: int) -> dict:
    """What the runs have in common with those of other models and choices: `bitreplay experiment --json`.

    {"dataset", "runs": [{"method", "train" ("head", "all" or a number), "channels", "seed", "replay" (latents),
    "replay_bytes" (with a byte of label each), "fresh" (images a class that there were), "curve", "final" (percent),
    "digest" (None without a learner's state)}]}
    """
    runs = []
    for r in records:
        replay = r.get("replay", 0)
        told = {"method": r["method"], "train": r.get("train", "head"), "channels": r.get("channels", 1.0)}
        told |= {"seed": r["seed"]}
        told |= {"replay": replay, "replay_bytes": replay * (latent_bytes + 1), "fresh": r["fresh"]}
        runs.append(told | {"curve": r["curve"], "final": r["final"], "digest": r.get("digest")})
    return {"dataset": plan.dataset, "runs": runs}


def finals(records: Sequence[dict]) -> list[dict]:
    """A dict for each variant among the runs of results.json, in their order.

    It has what of COLUMNS the variant uses, the mean and the standard deviation of the accuracy at the end (percent;
    std is None for one seed), the number of seeds, and the mean curve.
    """
    variants: dict[str, dict] = {}
    for r in records:
        settings = {c: r[c] for c in COLUMNS if c in r}
        variants.setdefault(json.dumps(settings), settings | {"runs": []})["runs"].append(r)
    for one in variants.values():
        runs = one.pop("runs")
        last = np.array([r["final"] for r in runs])
        one["mean"], one["std"] = float(last.mean()), float(last.std(ddof=1)) if len(last) > 1 else None
        one["seeds"], one["curve"] = len(last), np.mean([r["curve"] for r in runs], axis=0).tolist()
    return list(variants.values())


def _write(out: Path, records: list[dict], plan: ClassIncremental) -> None:
    rows: list[list[object]] = []
    variants = finals(records)
    for one in variants:
        std = "" if one["std"] is None else f"{one['std']:.2f}"
        settings = [one.get(c, "") for c in COLUMNS[1:]]
        rows.append([TITLES[one["method"]], *settings, f"{one['mean']:.2f}", std, one["seeds"]])
    curves = {_name(one, variants): one["curve"] for one in variants}
    print(table([*COLUMNS, "final %", "std", "seeds"], rows))
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "seed", "classes seen", "accuracy"])
        for r in records:
            for seen, value in zip(r["classes"], r["curve"], strict=True):
                writer.writerow([*(r.get(c, "") for c in COLUMNS), r["seed"], seen, f"{value:.2f}"])
    seen = max((r["classes"] for r in records), key=len)
    if len(seen) > 1:
        plots.plot(out / "curves.png", curves, seen, f"{plan.dataset}, {records[0]['fresh']} images a class")
    print(f"{out}/results.json, results.csv" + (", curves.png" if len(seen) > 1 else ""))


def _name(one: dict, all_of_them: list[dict]) -> str:
    """What curves.plot calls a variant: its method, then the settings that tell it from the method's others."""
    same = [other for other in all_of_them if other["method"] == one["method"]]
    differ = [c for c in COLUMNS[1:] if len({other.get(c) for other in same}) > 1 and c in one]
    return " ".join([one["method"], *(f"{'' if c == 'arithmetic' else c + ' '}{one[c]}" for c in differ)])
