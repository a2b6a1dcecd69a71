"""Turn a pretrained PyTorch backbone into the integer model that boards run.

Folds batch norm into 16-bit slopes, packs the binary weights and writes a .safetensors file. `bitreplay evaluate`
tells how well the integers agree with PyTorch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import registry
from ..errors import UserError

EPILOG = """examples:
  bitreplay export pretrain/backbone.pt backbone.safetensors
  bitreplay export pretrain/backbone.pt small.safetensors --no-head --name small
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("checkpoint", type=Path, help="what `bitreplay pretrain` wrote")
    parser.add_argument("model", type=Path, help="the .safetensors file to write")
    parser.add_argument("--name", default="backbone", help="the model's name (default: %(default)s)")
    parser.add_argument("--no-head", action="store_true", help="leave out the pretrained classes")


def run(args: argparse.Namespace) -> None:
    if args.model.exists() and args.model.samefile(args.checkpoint):
        raise UserError(f"{args.model} is the checkpoint itself: choose another name for the model")
    from ..training.export import export
    from ..training.restore import from_checkpoint

    net = from_checkpoint(args.checkpoint)
    export(net, args.model, args.name, None if args.no_head else registry.class_names("cifar100"))
    print(f"{args.model}: {args.model.stat().st_size} bytes")
