"""Turn a pretrained PyTorch backbone into the integer model that boards run.

Folds batch norm into 16-bit slopes, packs the binary weights, leaves out what all rows of the head have in common, and
writes a .safetensors file. `bitreplay evaluate` tells how well the integers agree with PyTorch.

With --latent the net of a checkpoint or of an exported model is cut at a block: the latent is what that block's binary
convolution reads, and the layers from there on can be trained on the board. Levels, two a channel, replace the
shortcut across the cut. They come from the net if it was trained with this cut, else from means over the first 1000
training images of --data, which costs some accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bitreplay.dataflow import MAX_NAME

from .. import models, paths
from ..errors import UserError
from .options import LATENT_HELP, MODEL, add_data

EPILOG = """examples:
  bitreplay export pretrain/backbone.pt backbone.safetensors
  bitreplay export pretrain/backbone.pt small.safetensors --no-head --name small
  bitreplay export --latent block5 backbone backbone_4x4.safetensors --name backbone_4x4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("source", type=paths.model, help=f"what `bitreplay pretrain` wrote, or a model: {MODEL}")
    parser.add_argument("model", type=Path, help="the .safetensors file to write")
    parser.add_argument("--name", help="the model's name (default: that of a model, else backbone)")
    parser.add_argument("--no-head", action="store_true", help="leave out the pretrained classes")
    parser.add_argument("--latent", metavar="NAME", help=f"{LATENT_HELP} (default: where the source has it)")
    parser.add_argument(
        "--data", metavar="NAME|FOLDER|FILE", default="cifar100", help="with --latent: as of `bitreplay pretrain`"
    )
    add_data(parser, "--dir")


def _is_model(path: Path) -> bool:
    try:
        models.load(path)
    except (UserError, OSError):
        return False
    return True


def run(args: argparse.Namespace) -> None:
    if args.model.exists() and args.model.samefile(args.source):
        kind = "model" if args.source.suffix == paths.SUFFIX else "checkpoint"
        raise UserError(f"{args.model} is the {kind} itself: choose another name for the model")
    if args.model.exists() and not _is_model(args.model):
        raise UserError(f"{args.model} is there already and is no model: choose another name, or remove it")
    if args.name is not None and not (1 <= len(args.name) <= MAX_NAME and args.name.isprintable()):
        raise UserError(f"--name must have 1..{MAX_NAME} printable characters")
    from ..training import data, export, restore

    net, name, labels = restore.read(args.source)
    if args.latent not in (None, net.latent_name):
        net.cut(args.latent)
        if args.latent != export.LATENT:
            net.calibrate(data.load(args.data, args.dir, tuple(net.image)).images)
    export.export(net, args.model, args.name or name, None if args.no_head else labels)
    print(f"{args.model}: {args.model.stat().st_size} bytes")
