"""Train a backbone with PyTorch, on CIFAR-100, HAPT or your own samples, its binary latent in the loop.

Binary weights and activations with a straight-through estimator, Adam and a one-cycle schedule, in bfloat16 on the
CPU; about a minute an epoch on two cores. Stops and goes on: the checkpoint holds everything, an epoch at a time.
Needs PyTorch, which `make setup` does not install: pip install 'bitreplay[pretrain]'.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .. import paths
from ..training import KINDS, WIDTHS
from .options import LATENT_HELP, MODEL, add_data

if TYPE_CHECKING:
    from ..training.pretrain import Settings

EPILOG = """examples:
  bitreplay data cifar100 --from ~/cifar-100-python.tar.gz
  bitreplay pretrain --epochs 60 --out backbone.pt     stop it, run it again: it goes on
  bitreplay pretrain --init backbone.pt --out last.pt --epochs 14 --rate 1e-3 --cutmix 0
  bitreplay pretrain --init backbone.pt --folded --out folded.pt --epochs 4 --rate 3e-4 --cutmix 0
  bitreplay pretrain --data ~/photographs --widths 32 32 64 64 128 --epochs 30 --out mine.pt
  bitreplay pretrain --data ~/words --cutmix 0 --widths 32 32 64 64 128 --out words.pt      words/yes/*.wav, ...
  bitreplay pretrain --data hapt --cutmix 0 --widths 32 32 64 64 128 --epochs 20 --batch 64 --out imu.pt
  bitreplay pretrain --widths 32 32 64 64 128 --cutmix 0 --out small.pt
  bitreplay pretrain --init backbone --latent block5 --above --cutmix 0 --epochs 15 --out deep.pt
  bitreplay pretrain --net float --epochs 30 --out twin.pt
  bitreplay pretrain --teacher twin.pt --init twin.pt --out taught.pt
  bitreplay export backbone.pt backbone.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--out", type=Path, default=Path("pretrain/backbone.pt"), help="default: %(default)s")
    parser.add_argument(
        "--init",
        metavar="CHECKPOINT|MODEL",
        type=paths.model,
        help=f"start from these weights; blocks that they lack start as identity. MODEL: {MODEL}",
    )
    parser.add_argument(
        "--folded", action="store_true", help="of a checkpoint's net: with batch norm as integers, as it is exported"
    )
    parser.add_argument(
        "--net",
        choices=KINDS,
        default=KINDS[0],
        help="kind of the blocks; float, with real weights and ReLU, is a teacher (default: %(default)s)",
    )
    parser.add_argument(
        "--teacher",
        metavar="CHECKPOINT",
        type=Path,
        help="learn what this net, trained on the same --data, makes of each image, beside its class",
    )
    parser.add_argument(
        "--widths",
        type=int,
        nargs="+",
        default=WIDTHS,
        help="channels of the first layer and of each block; two blocks double them (default: %(default)s)",
    )
    parser.add_argument("--latent", default="latent", help=LATENT_HELP)
    parser.add_argument(
        "--above", action="store_true", help="train only what lies above the latent; needs --init with a model"
    )
    parser.add_argument("--epochs", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak rate of binary weights; 2/3 of it for the rest")
    parser.add_argument("--cutmix", type=float, default=0.5, help="share of the minibatches (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--data",
        metavar="NAME|FOLDER|FILE",
        default="cifar100",
        help="a dataset of `bitreplay data`; a folder with a folder for each class, of pictures, recordings or "
        "readings; or an .npz with images, uint8, and labels (default: %(default)s)",
    )
    parser.add_argument(
        "--image", type=shape, metavar="HxWxC", help="scale a folder's pictures to this (default: 32x32x3)"
    )
    parser.add_argument(
        "--no-flip",
        action="store_true",
        help="for pictures that have a left and a right, as letters; recordings and readings are never flipped",
    )
    add_data(parser, "--dir")
    parser.add_argument(
        "--no-compile", action="store_true", help="skip torch.compile (no C++ compiler needed, slower)"
    )


def shape(text: str) -> tuple[int, int, int]:
    """HxWxC."""
    height, width, channels = (int(part) for part in text.lower().split("x"))
    return height, width, channels


def run(args: argparse.Namespace) -> None:
    from ..training.pretrain import Training

    Training(settings(args)).run()


def settings(args: argparse.Namespace) -> Settings:
    from ..training.pretrain import Settings

    return Settings(
        out=args.out,
        data=args.data,
        directory=args.dir,
        image=args.image,
        flip=not args.no_flip,
        teacher=args.teacher,
        widths=args.widths,
        epochs=args.epochs,
        rate=args.rate,
        cutmix=args.cutmix,
        batch=args.batch,
        seed=args.seed,
        net=args.net,
        init=args.init,
        folded=args.folded,
        latent=args.latent,
        above=args.above,
        compile=not args.no_compile,
    )
