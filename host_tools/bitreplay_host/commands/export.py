"""Turn a pretrained PyTorch backbone into the integer model that boards run.

Folds batch norm into 16-bit slopes, packs the binary weights and writes a .safetensors file. `bitreplay evaluate`
tells how well the integers agree with PyTorch. With --latent the latent is elsewhere: a checkpoint that was not
trained so loses some accuracy, and takes what stands for the shortcut from the first images of CIFAR-100.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import registry
from ..errors import UserError
from .options import LATENT_HELP, add_data

EPILOG = """examples:
  bitreplay export pretrain/backbone.pt backbone.safetensors
  bitreplay export pretrain/backbone.pt small.safetensors --no-head --name small
  bitreplay export --latent block5 models/backbone.safetensors deep.safetensors --name deep
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("checkpoint", type=Path, help="what `bitreplay pretrain` wrote, or a model")
    parser.add_argument("model", type=Path, help="the .safetensors file to write")
    parser.add_argument("--name", default="backbone", help="the model's name (default: %(default)s)")
    parser.add_argument("--latent", help=f"{LATENT_HELP} (default: where the checkpoint has it)")
    add_data(parser)
    parser.add_argument("--no-head", action="store_true", help="leave out the pretrained classes")


def run(args: argparse.Namespace) -> None:
    if args.model.exists() and args.model.samefile(args.checkpoint):
        raise UserError(f"{args.model} is the checkpoint itself: choose another name for the model")
    from ..training.export import export
    from ..training.restore import labels, read

    net, names = read(args.checkpoint), labels(args.checkpoint)
    if args.latent not in (None, net.latent_name):
        net.cut(args.latent)
        net.calibrate(registry.load("cifar100", "train", args.data)[0])
    export(net, args.model, args.name, None if args.no_head else names)
    print(f"{args.model}: {args.model.stat().st_size} bytes")
