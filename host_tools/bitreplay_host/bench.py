"""Time the kernels on the unix port, and bit-serial gradients beside sign-and-add.

Times are of this machine and this moment: the best of interleaved runs. Ratios from one run can be compared between
machines, times cannot. Writes OUT as JSON and prints tables.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from . import protocol, report, unix_port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--micropython", type=Path, default=protocol.Settings.micropython, help="default: %(default)s")
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=30, help="runs of each kernel (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/unix.json"), help="default: %(default)s")


def run(args: argparse.Namespace) -> None:
    from safetensors import safe_open

    with safe_open(args.model, "np") as model:
        graph = json.loads(model.metadata()["graph"])
    configuration = {"model": str(args.model), "graph": graph, "repeats": args.repeats}
    with tempfile.TemporaryDirectory() as directory:
        lines = list(unix_port.run("bench.py", configuration, args.micropython, Path(directory)))
    kernels = [line for line in lines if "kernel" in line]
    gradients = [line for line in lines if "q_b" in line]
    for line in gradients:
        line["speedup"] = line["sign_and_add_us"] / line["bit_serial_us"]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(
        json.dumps({"target": "unix port", "kernels": kernels, "gradients": gradients}, indent=1) + "\n"
    )
    print(report.table(["kernel", "shape", "us"], [[k["kernel"], k["shape"], k["us"]] for k in kernels]))
    rows = [[f"{g['q_b']} bits", g["bit_serial_us"], g["sign_and_add_us"], f"{g['speedup']:.2f}"] for g in gradients]
    print("\ndW of the trained layer for a minibatch of 32, all output channels:\n")
    print(report.table(["gradient", "bit-serial us", "sign-and-add us", "ratio"], rows))
    print(f"\n{args.out}")
