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

EPILOG = """examples:
  bitreplay experiment                                  the demo's protocol, three seeds
  bitreplay experiment --q-b 2 4 8 16 --rounding stochastic nearest --methods replay_conv
  bitreplay experiment --first 2 --step 2 --samples 0   5 x 2 classes, all 5000 images a class
  bitreplay experiment --replay 250 500 1000 2000 --methods replay_conv --seeds 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--dataset", default="cifar10", choices=data.DATASETS)
    parser.add_argument("--first", type=int, default=2, help="classes of the first experience (default: %(default)s)")
    parser.add_argument(
        "--step", type=int, default=1, help="classes of each further experience (default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, default=500, help="fresh images a class, 0 for all (default: %(default)s)"
    )
    parser.add_argument("--test", type=int, default=0, help="test images a class, 0 for all (default: all)")
    parser.add_argument("--epochs", type=int, default=4, help="of each experience (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", choices=list(protocol.METHODS), default=list(protocol.METHODS))
    parser.add_argument("--replay", type=int, nargs="+", default=[1000], help="latents kept (default: 1000)")
    parser.add_argument("--policy", choices=["balanced", "reservoir"], default="balanced")
    parser.add_argument("--q-f", type=int, default=8, help="bits of the head's forward weights, 2..8")
    parser.add_argument("--head-bits", type=int, default=16, choices=[16, 32], help="of the head's master weights")
    parser.add_argument("--q-b", type=int, nargs="+", default=[4], help="bits of the binary layer's gradient, 2..16")
    parser.add_argument("--rounding", nargs="+", choices=["stochastic", "nearest"], default=["stochastic"])
    parser.add_argument(
        "--arithmetic", nargs="+", choices=["integer", "float32"], default=["integer"], help="float32: the host's twin"
    )
    parser.add_argument("--rate", type=float, help="the head's learning rate")
    parser.add_argument("--conv-rate", type=float, help="the binary layer's learning rate")
    parser.add_argument("--micropython", type=Path, default=protocol.Settings.micropython)
    parser.add_argument("--data", type=Path, default=protocol.Settings.data)
    parser.add_argument(
        "--cache", type=Path, default=protocol.Settings.cache, help="for latents (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("build/experiment"))


def run(args: argparse.Namespace) -> None:
    rates = {k: v for k, v in (("rate", args.rate), ("conv_rate", args.conv_rate)) if v is not None}
    learner = {"policy": args.policy, "q_f": args.q_f, "head_bits": args.head_bits, "replay": args.replay[0], **rates}
    plan = protocol.Protocol(args.dataset, args.first, args.step, args.samples, args.test, args.epochs, learner)
    settings = protocol.Settings(args.micropython, args.data, args.cache)
    # A method that does not use an option is run once.
    unique = {}
    for method, replay, q_b, rounding in itertools.product(args.methods, args.replay, args.q_b, args.rounding):
        memory = {} if method in ("naive", "cwr", "joint") else {"replay": replay}
        gradient = {} if method in ("cwr", "replay_head") else {"q_b": q_b, "rounding": rounding}
        unique[json.dumps([method, memory, gradient])] = (method, memory | gradient)
    variants = [(method, options, a) for (method, options), a in itertools.product(unique.values(), args.arithmetic)]
    runs = [protocol.Run(m, seed, options, arithmetic=a) for m, options, a in variants for seed in args.seeds]
    results = protocol.run(args.model, plan, runs, settings)
    args.out.mkdir(parents=True, exist_ok=True)
    records = [
        {"method": one.method, "arithmetic": one.arithmetic, "seed": one.seed}
        | {**one.learner, "final": result["curve"][-1], **result}
        for one, result in zip(runs, results, strict=True)
    ]
    (args.out / "results.json").write_text(json.dumps({"protocol": vars(plan), "runs": records}, indent=1))
    _write(args.out, records, variants, plan)


def _write(out: Path, records: list[dict], variants: list[tuple[str, dict, str]], plan: protocol.Protocol) -> None:
    columns = ["method", "arithmetic", "replay", "q_b", "rounding"]
    rows: list[list[object]] = []
    curves: dict[str, list[float]] = {}
    for method, options, arithmetic in variants:
        wanted = options | {"method": method, "arithmetic": arithmetic}
        chosen = [r for r in records if all(r.get(k) == v for k, v in wanted.items())]
        finals = np.array([r["final"] for r in chosen])
        rows.append(
            [
                protocol.TITLES[method],
                *(wanted.get(c, "") for c in columns[1:]),
                f"{finals.mean():.2f}",
                f"{finals.std(ddof=1):.2f}" if len(finals) > 1 else "",
                len(finals),
            ]
        )
        curves.setdefault(method, np.mean([r["curve"] for r in chosen], axis=0).tolist())
    print(report.table([*columns, "final %", "std", "seeds"], rows))
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "seed", "classes seen", "accuracy"])
        for r in records:
            for i, value in enumerate(r["curve"]):
                known = plan.first + i * plan.step if r["method"] != "joint" else "all"
                writer.writerow([*(r.get(c, "") for c in columns), r["seed"], known, f"{value:.2f}"])
    longest = max((len(c) for c in curves.values()), default=0)
    if longest > 1:
        seen = [plan.first + i * plan.step for i in range(longest)]
        report.plot(out / "curves.png", curves, seen, f"{plan.dataset}, {plan.samples or 'all'} images a class")
    print(f"{out}/results.json, results.csv" + (", curves.png" if longest > 1 else ""))
