"""Run a class-incremental protocol on the unix port and tabulate it.

Every combination of method, seed and of the values given to --replay, --q-b and --rounding is one learner; it learns
and is tested on MicroPython's unix port with the C kernels. Writes results.json, results.csv and curves.png to OUT.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from pathlib import Path

import numpy as np

from . import data, protocol, report

COLUMNS = ["method", "arithmetic", "replay", "q_b", "rounding"]
EPILOG = """examples:
  bitreplay experiment                                  the demo's protocol, three seeds
  bitreplay experiment --q-b 2 4 8 16 --rounding stochastic nearest --methods replay_conv
  bitreplay experiment --first 2 --step 2 --samples 3000    5 x 2 classes, 3000 images a class
  bitreplay experiment --replay 250 500 1000 2000 --methods replay_conv --seeds 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--dataset", default="cifar10", choices=data.DATASETS, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=2, help="classes of the first experience (default: %(default)s)")
    parser.add_argument(
        "--step", type=int, default=1, help="classes of each further experience (default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, default=500, help="fresh images a class, 0 for all (default: %(default)s)"
    )
    parser.add_argument("--test", type=int, default=0, help="test images a class, 0 for all (default: all)")
    parser.add_argument("--epochs", type=int, default=4, help="of each experience (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    parser.add_argument(
        "--methods", nargs="+", choices=list(protocol.METHODS), default=list(protocol.METHODS), help="default: all"
    )
    parser.add_argument("--replay", type=int, nargs="+", default=[1000], help="latents kept (default: 1000)")
    parser.add_argument(
        "--policy", choices=["balanced", "reservoir"], default="balanced", help="which latents (default: %(default)s)"
    )
    parser.add_argument("--q-f", type=int, default=8, help="bits of the head's forward weights, 2..8 (default: 8)")
    parser.add_argument(
        "--head-bits", type=int, default=16, choices=[16, 32], help="of its master weights (default: 16)"
    )
    parser.add_argument(
        "--q-b", type=int, nargs="+", default=[4], help="bits of the binary layer's gradient, 2..16 (default: 4)"
    )
    parser.add_argument(
        "--rounding",
        nargs="+",
        choices=["stochastic", "nearest"],
        default=["stochastic"],
        help="of that gradient (default: stochastic)",
    )
    parser.add_argument(
        "--arithmetic", nargs="+", choices=["integer", "float32"], default=["integer"], help="float32: on the host"
    )
    parser.add_argument("--rate", type=float, help="the head's learning rate")
    parser.add_argument("--conv-rate", type=float, help="the binary layer's learning rate")
    protocol.add_paths(parser)
    parser.add_argument("--out", type=Path, default=Path("build/experiment"), help="default: %(default)s")


def variants(args: argparse.Namespace) -> list[tuple[str, dict, str]]:
    """(method, learner arguments, arithmetic) of all that is asked for; what does not use an option is there once."""
    unique = {}
    given = args.methods, args.replay, args.q_b, args.rounding, args.arithmetic
    for method, replay, q_b, rounding, arithmetic in itertools.product(*given):
        memory = {} if method in ("naive", "cwr", "joint") else {"replay": replay}
        no_gradient = method in ("cwr", "replay_head") or arithmetic == "float32"
        options = memory | ({} if no_gradient else {"q_b": q_b, "rounding": rounding})
        unique[json.dumps([method, options, arithmetic])] = (method, options, arithmetic)
    return list(unique.values())


def run(args: argparse.Namespace) -> None:
    rates = {k: v for k, v in (("rate", args.rate), ("conv_rate", args.conv_rate)) if v is not None}
    learner = {"policy": args.policy, "q_f": args.q_f, "head_bits": args.head_bits, "replay": args.replay[0], **rates}
    plan = protocol.Protocol(args.dataset, args.first, args.step, args.samples, args.test, args.epochs, learner)
    settings = protocol.Settings(args.micropython, args.data, args.cache)
    chosen = variants(args)
    runs = [
        protocol.Run(m, seed, options, arithmetic=a) for m, options, a in chosen for seed in dict.fromkeys(args.seeds)
    ]
    results = protocol.run(args.model, plan, runs, settings)
    args.out.mkdir(parents=True, exist_ok=True)
    records = [
        {"method": one.method, "arithmetic": one.arithmetic, "seed": one.seed}
        | {**one.learner, "final": result["curve"][-1], **result}
        for one, result in zip(runs, results, strict=True)
    ]
    (args.out / "results.json").write_text(json.dumps({"protocol": vars(plan), "runs": records}, indent=1))
    _write(args.out, records, chosen, plan)


def _write(out: Path, records: list[dict], chosen: list[tuple[str, dict, str]], plan: protocol.Protocol) -> None:
    rows: list[list[object]] = []
    curves: dict[str, list[float]] = {}
    wanted = [options | {"method": method, "arithmetic": arithmetic} for method, options, arithmetic in chosen]
    for one in wanted:
        found = [r for r in records if all(r.get(c) == one.get(c) for c in COLUMNS)]
        finals = np.array([r["final"] for r in found])
        std = f"{finals.std(ddof=1):.2f}" if len(finals) > 1 else ""
        settings = [one.get(c, "") for c in COLUMNS[1:]]
        rows.append([protocol.TITLES[one["method"]], *settings, f"{finals.mean():.2f}", std, len(finals)])
        curves[_name(one, wanted)] = np.mean([r["curve"] for r in found], axis=0).tolist()
    print(report.table([*COLUMNS, "final %", "std", "seeds"], rows))
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "seed", "classes seen", "accuracy"])
        for r in records:
            for seen, value in zip(r["classes"], r["curve"], strict=True):
                writer.writerow([*(r.get(c, "") for c in COLUMNS), r["seed"], seen, f"{value:.2f}"])
    seen = max((r["classes"] for r in records), key=len)
    if len(seen) > 1:
        report.plot(out / "curves.png", curves, seen, f"{plan.dataset}, {plan.samples or 'all'} images a class")
    print(f"{out}/results.json, results.csv" + (", curves.png" if len(seen) > 1 else ""))


def _name(one: dict, all_of_them: list[dict]) -> str:
    """What report.plot calls a variant: its method, then the settings that tell it from the method's others."""
    same = [other for other in all_of_them if other["method"] == one["method"]]
    differ = [c for c in COLUMNS[1:] if len({other.get(c) for other in same}) > 1 and c in one]
    return " ".join([one["method"], *(f"{'' if c == 'arithmetic' else c + ' '}{one[c]}" for c in differ)])
