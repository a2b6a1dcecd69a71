"""Many learners on one protocol: every combination of what is given, tabulated."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .. import models, paths
from ..tables import table
from . import curves as plots
from . import metrics, start
from .baselines import BASELINES
from .cells import Cells
from .class_incremental import BITS, DEEP, METHODS, TITLES, ClassIncremental, Run, latent_size
from .class_incremental import run as learn
from .latents import Places

ALWAYS = ["method", "arithmetic", "train", "channels", "replay", "q_b", "rounding"]
COLUMNS = [*ALWAYS, "policy", "q_f"]  # the last two of runs only where they differ

BASE = "old classes before %", "old classes %", "new classes %"  # start.BESIDE, where learners start with classes

Variant = tuple[str, dict, str]  # method, learner arguments, arithmetic


def variants(
    methods: Iterable[str], sweep: Mapping[str, Sequence], replays: Callable[[str], Sequence[int]]
) -> list[Variant]:
    """All combinations; one of a method that does not use what differs is there once.

    sweep: the values of train, channels, replay (without values), q_b, rounding, arithmetic, policy and q_f. replays:
    the numbers of latents that a method is to keep.
    """
    unique: dict[str, Variant] = {}
    for method in methods:
        values = {**sweep, "replay": list(replays(method))}
        several = {name for name in ("policy", "q_f") if len(values[name]) > 1}
        for chosen in itertools.product(*values.values()):
            one = _variant(method, dict(zip(values, chosen, strict=True)), several)
            unique[json.dumps(one)] = one
    return list(unique.values())


def _variant(method: str, chosen: dict, several: set[str]) -> Variant:
    """chosen: a value of each of a sweep. several: what is in the learner's arguments only because it differs."""
    memory = {} if METHODS[method].get("replay") == 0 else {"replay": chosen["replay"]}
    arithmetic = "float64" if method in BASELINES else "float32" if method in BITS else chosen["arithmetic"]
    deep = method in DEEP and chosen["train"] != "head"
    layers = {"train": "head"} if method in DEEP else {}
    if deep:
        layers = {name: chosen[name] for name in ("train", "channels")}
    gradient = {name: chosen[name] for name in ("q_b", "rounding")} if deep and arithmetic == "integer" else {}
    if method in BASELINES:
        several = set()
    elif arithmetic != "integer":
        several = several - {"q_f"}
    return method, layers | memory | gradient | {name: chosen[name] for name in COLUMNS if name in several}, arithmetic


def run(
    model: Path, plan: ClassIncremental, chosen: list[Variant], seeds: Sequence[int], places: Places, out: Path
) -> list[dict]:
    """Trains and tests a learner of each variant and seed; returns the runs of results.json.

    Writes results.json, results.csv, metrics.csv, curves.png; bytes.png and bits.png if replay and q_b differ.
    """
    told = [{"method": m, "arithmetic": a, **options} for m, options, a in chosen]
    runs = [
        Run(m, seed, options, arithmetic=a, differs=_differs(one, told))
        for one, (m, options, a) in zip(told, chosen, strict=True)
        for seed in dict.fromkeys(seeds)
    ]
    paths.make_folder(out)
    used = plan.used(places.data)
    if used["fresh"] < plan.samples or used["test"] < plan.test:
        print(f"note: {plan.dataset} has less a class: {used['fresh']} fresh and {used['test']} test images are used")
    cells = Cells(out / "cells")
    results = learn(model, plan, runs, places, cells=cells)
    if cells.found:
        print(f"note: {cells.found} of {len(runs)} learners were in {cells.folder} already, with these very settings")
    records = [
        {"method": one.method, "arithmetic": one.arithmetic, "seed": one.seed, **used}
        | {**one.learner, "final": result["curve"][-1], **metrics.of(result["curve"], result["matrix"]), **result}
        for one, result in zip(runs, results, strict=True)
    ]
    (out / "results.json").write_text(json.dumps({"protocol": plan.settings(), "runs": records}, indent=1) + "\n")
    _write(out, records, plan, models.load(model).latent_bytes)
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
        size = latent_size(r["method"], latent_bytes)
        told |= {"replay": replay, "replay_bytes": replay * size, "fresh": r["fresh"]}
        runs.append(told | {"curve": r["curve"], "final": r["final"], "digest": r.get("digest")})
    return {"dataset": plan.dataset, "runs": runs}


def columns(records: Iterable[dict]) -> list[str]:
    """Those of COLUMNS that tables of these runs have."""
    return [c for c in COLUMNS if c in ALWAYS or any(c in r for r in records)]


def finals(records: Sequence[dict]) -> list[dict]:
    """A dict for each variant among the runs of results.json, in their order.

    It has what of COLUMNS the variant uses, the mean and the standard deviation of the accuracy at the end (percent;
    std is None for one seed), the number of seeds, the mean curve and its standard deviation (spread, or None), and
    the mean of each of metrics.METRICS and start.BESIDE (None unless all runs have it).
    """
    variants: dict[str, dict] = {}
    for r in records:
        settings = {c: r[c] for c in COLUMNS if c in r}
        variants.setdefault(json.dumps(settings), settings | {"runs": []})["runs"].append(r)
    for one in variants.values():
        runs = one.pop("runs")
        last = np.array([r["final"] for r in runs])
        one["mean"], one["std"] = float(last.mean()), float(last.std(ddof=1)) if len(last) > 1 else None
        curves = np.array([r["curve"] for r in runs])
        one["seeds"], one["curve"] = len(last), curves.mean(axis=0).tolist()
        one["spread"] = curves.std(axis=0, ddof=1).tolist() if len(last) > 1 else None
        for name in *metrics.METRICS, *start.BESIDE:
            values = [r.get(name) for r in runs]
            one[name] = None if None in values else float(np.mean(values))
    return list(variants.values())


def _write(out: Path, records: list[dict], plan: ClassIncremental, latent_bytes: int) -> None:
    rows: list[list[object]] = []
    variants, names, beside = finals(records), columns(records), start.BESIDE if plan.base else ()
    for one in variants:
        std = "" if one["std"] is None else f"{one['std']:.2f}"
        settings = [str(one.get(c, "")) for c in names[1:]]
        told = ["" if one[name] is None else f"{one[name]:.2f}" for name in ("average", "forgetting", *beside)]
        rows.append([TITLES[one["method"]], *settings, f"{one['mean']:.2f}", std, *told, one["seeds"]])
    print(table([*names, "final %", "std", "average %", "forgetting", *BASE[: len(beside)], "seeds"], rows))
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "seed", "experience", "classes seen", "accuracy"])
        for r in records:
            for number, (seen, value) in enumerate(zip(r["classes"], r["curve"], strict=True), 1):
                writer.writerow([*(r.get(c, "") for c in names), r["seed"], number, seen, f"{value:.2f}"])
    with (out / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "seed", "final", *metrics.METRICS])
        for r in records:
            values = ("" if r[name] is None else f"{r[name]:.2f}" for name in ("final", *metrics.METRICS))
            writer.writerow([*(r.get(c, "") for c in names), r["seed"], *values])
    drawn = _draw(out, variants, records, plan, latent_bytes)
    print(", ".join([f"{out}/results.json", "results.csv", "metrics.csv", *drawn]))


def _draw(
    out: Path, variants: list[dict], records: list[dict], plan: ClassIncremental, latent_bytes: int
) -> list[str]:
    """The plots that there is something for; returns their names."""
    drawn, title = [], f"{plan.dataset}, {records[0]['fresh']} images a class"
    seen = max((r["classes"] for r in records), key=len)
    if len(seen) > 1:
        named = {_name(one, variants): one for one in variants}
        spreads = {name: one["spread"] for name, one in named.items() if one["spread"]}
        plots.plot(out / "curves.png", {name: one["curve"] for name, one in named.items()}, seen, title, spreads)
        drawn.append("curves.png")
    for file, setting, x in (
        ("bytes.png", "replay", "bytes of replay memory"),
        ("bits.png", "q_b", "bits of a gradient"),
    ):
        with_it = [one for one in variants if setting in one]
        if len({one[setting] for one in with_it}) > 1:
            lines: dict[str, list] = {}
            for one in with_it:
                factor = latent_size(one["method"], latent_bytes) if setting == "replay" else 1
                point = one[setting] * factor, one["mean"], one["std"]
                lines.setdefault(_name(one, variants, setting), []).append(point)
            flat = {_name(o, variants, setting): (o["mean"], o["std"]) for o in variants if setting not in o}
            plots.over(out / file, lines, flat, title, x)
            drawn.append(file)
    return drawn


def _name(one: dict, all_of_them: list[dict], but: str = "") -> str:
    """What plots call a variant: its method, then what _differs() says."""
    return f"{one['method']} {_differs(one, all_of_them, but)}".strip()


def _differs(one: dict, all_of_them: list[dict], but: str = "") -> str:
    """The settings, not `but`, that tell a variant from its method's others."""
    same = [other for other in all_of_them if other["method"] == one["method"]]
    differ = [c for c in COLUMNS[1:] if c != but and len({other.get(c) for other in same}) > 1 and c in one]
    return " ".join(f"{'' if c == 'arithmetic' else c + ' '}{one[c]}" for c in differ)
