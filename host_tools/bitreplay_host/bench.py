"""Time the kernels on the unix port, and bit-serial gradients beside sign-and-add.

Times are of this machine and this moment: the best of interleaved runs. Ratios from one run can be compared between
machines, times cannot. Writes OUT as JSON and prints tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import tempfile
from pathlib import Path

import bitreplay
from tqdm import tqdm

from . import protocol, report, unix_port
from .errors import UserError

RUNS = 6  # of each repeat: all kernels, gradients of four widths, learning

EPILOG = """examples:
  bitreplay bench
  bitreplay bench --repeats 200 --out build/bench/quiet.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--micropython", type=Path, default=protocol.Settings.micropython, help="default: %(default)s")
    parser.add_argument("--model", type=Path, default=Path("models/backbone.safetensors"), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=30, help="runs of each kernel (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/unix.json"), help="default: %(default)s")


def run(args: argparse.Namespace) -> None:
    from safetensors import safe_open

    if args.repeats < 1:
        raise UserError("--repeats must be at least 1")
    if not bitreplay.load(args.model).tail:
        raise UserError(f"{args.model} has no trainable layer, whose gradients are to be timed; take another model")
    with safe_open(args.model, "np") as model:
        graph = json.loads(model.metadata()["graph"])
    configuration = {"model": str(args.model), "graph": graph, "repeats": args.repeats}
    lines = []
    with (
        tempfile.TemporaryDirectory() as directory,
        tqdm(total=RUNS * args.repeats, desc="timing", unit="run", disable=None, leave=False) as bar,
    ):
        for line in unix_port.run("bench.py", configuration, args.micropython, Path(directory)):
            if "runs" in line:
                bar.update(line["runs"] - bar.n)
            else:
                lines.append(line)
    kernels = [line for line in lines if "kernel" in line]
    gradients = [line for line in lines if "q_b" in line]
    for line in gradients:
        line["speedup"] = line["sign_and_add_us"] / line["bit_serial_us"]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    machine, runs = processor(), f"best of {args.repeats} interleaved runs"
    result = {"target": "unix port", "machine": machine, "repeats": args.repeats}
    args.out.write_text(json.dumps(result | {"kernels": kernels, "gradients": gradients}, indent=1) + "\n")
    print(f"Times of MicroPython's unix port on this machine ({machine}), {runs}; no board's.\n")
    print(report.table(["kernel", "shape", "us"], [[k["kernel"], k["shape"], k["us"]] for k in kernels]))
    rows = [[f"{g['q_b']} bits", g["bit_serial_us"], g["sign_and_add_us"], f"{g['speedup']:.2f}"] for g in gradients]
    print("\ndW of the trained layer for a minibatch of 32, all output channels:\n")
    print(report.table(["gradient", "bit-serial us", "sign-and-add us", "ratio"], rows))
    print(f"\n{args.out}")


def processor() -> str:
    """What this machine calls its processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
