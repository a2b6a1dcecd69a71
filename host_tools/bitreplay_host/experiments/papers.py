"""What docs/results.md and docs/papers.md tell of experiments: the arguments of `bitreplay experiment` for each file.

The names are those of the files in docs/measured. study/ is what depth buys, DATASET-IMAGES-MODEL, where 0 images are
all.
"""

from __future__ import annotations

QUICK = 10  # by how much there are fewer fresh images with --quick
QUICK_FRESH, QUICK_TEST = 20, 20  # the most images a class

_DIGITS = "--dataset fsdd --epochs 12"
_DEEP = "--model backbone_4x4 --methods replay_deep"
_HEAD = "--protocol head+cifar10 --fresh 100 --replay 500 1000 --methods replay_head"
_SIZES = "--replay-bytes 65536 131072 262144"


def _study() -> dict[str, str]:
    """Head learners and baselines, and deep learners, on as many bytes, at several numbers of fresh images a class."""
    worlds = {
        "fsdd": ((100, 20, 5, 0), "131072 262144", " --epochs 12"),
        "quickdraw": ((0, 20, 5), "131072 262144", " --first 10 --step 10"),
        "fashion": ((100, 20, 5, 500), "262144", ""),
        "cifar10": ((500, 100, 20, 5), "524288", ""),
        "cifar100": ((100, 20, 5), "524288", " --first 10 --step 10"),
    }
    learners = {
        "backbone": "naive cwr replay_head joint ncm nearest slda --train head",
        "backbone_4x4": "replay_deep joint",
    }
    return {
        f"study/{dataset}-{n}-{model}": f"--dataset {dataset} --fresh {n} --replay-bytes {sizes}{more} "
        f"--model {model} --methods {methods}"
        for dataset, (images, sizes, more) in worlds.items()
        for n in images
        for model, methods in learners.items()
    }


MEASUREMENTS: dict[str, str] = {
    "methods": "--methods naive cwr replay_head joint --train head",
    "replay": "--methods replay_head --replay 250 500 1000 2000",
    "reservoir": "--methods replay_head --policy reservoir",
    "head-bits-32": "--methods replay_head --head-bits 32",
    "q-f-4": "--methods replay_head --q-f 4",
    "q-f-2": "--methods replay_head --q-f 2",
    "float32": "--methods replay_head --arithmetic integer float32",
    "two-classes": "--step 2 --fresh 0 --seeds 1 --methods naive cwr replay_head",
    "cifar100-10x10": "--protocol cifar100-10x10 --fresh 320 --replay 2000 --train head "
    "--methods naive cwr replay_head joint slda ncm",
    "head-4": f"{_HEAD} --epochs 4",
    "head-10": f"{_HEAD} --epochs 10",
    "head-rate": f"{_HEAD} --epochs 4 --rate 0.02",
    "small": "--model small --methods naive cwr replay_head joint --train head --replay 200 1000",
    "digits-small-head": f"{_DIGITS} --fresh 20 --model small --replay-bytes 65536 --methods replay_head",
    "digits-small": f"{_DIGITS} --fresh 20 --model small_8x8 --channels 0.25 --replay-bytes 65536 "
    "--methods replay_deep",
    "digits-bits": f"{_DIGITS} --fresh 100 {_DEEP} --replay-bytes 131072 --q-b 4 16 --seeds 1 2 3 4 5 6 7 8",
    "digits-bytes-head": f"{_DIGITS} --fresh 100 --methods replay_head {_SIZES}",
    "digits-bytes": f"{_DIGITS} --fresh 100 {_DEEP} {_SIZES}",
    "drawings-float32": f"--dataset quickdraw --first 10 --step 10 --fresh 0 {_DEEP} --replay-bytes 131072 "
    "--arithmetic integer float32",
    "equal-bytes": "--model small --fresh 50 --test 50 --methods replay_head replay_int8 replay_float32 "
    "--arithmetic float32 --replay-bytes 4100 16400 65600 262400",
    **_study(),
}


def chosen(only: list[str] | None) -> list[str]:
    """The names of the measurements that are named, or in a folder that is; all for None. None of another name."""
    return [n for n in MEASUREMENTS if only is None or n in only or n.split("/")[0] in only]


def quick(fresh: int | None, test: int | None) -> dict[str, int | list[int]]:
    """What --quick makes of the options of a measurement; None and 0 as the command takes them."""
    images = QUICK_FRESH if not fresh else max(5, min(fresh // QUICK, QUICK_FRESH))
    return {"fresh": images, "test": min(test or QUICK_TEST, QUICK_TEST), "seeds": [1], "epochs": 1}
