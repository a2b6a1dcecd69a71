"""Train the backbone on CIFAR-100 with PyTorch, its binary latent in the loop.

Binary weights and activations with a straight-through estimator, Adam and a one-cycle schedule, in bfloat16 on the
CPU; about a minute an epoch on two cores. Stops and goes on: the checkpoint holds everything, an epoch at a time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from . import data
from .errors import UserError

if TYPE_CHECKING:
    import torch

EPILOG = """examples:
  bitreplay data cifar100 --from ~/cifar-100-python.tar.gz
  bitreplay pretrain --epochs 60 --out build/pretrain/backbone.pt     stop it, run it again: it goes on
  bitreplay pretrain --init build/pretrain/backbone.pt --out build/pretrain/last.pt --epochs 14 --rate 1e-3 --cutmix 0
  bitreplay pretrain --widths 32 32 64 64 128 --cutmix 0 --out build/pretrain/small.pt
  bitreplay export build/pretrain/backbone.pt build/backbone.safetensors
"""
LABEL_SMOOTHING = 0.05
WIDTHS = 64, 64, 128, 128, 256, 256, 256, 256  # of models/backbone.safetensors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--out", type=Path, default=Path("build/pretrain/backbone.pt"), help="default: %(default)s")
    parser.add_argument(
        "--init", type=Path, help="start from this checkpoint's weights; blocks it lacks start as identity"
    )
    parser.add_argument(
        "--widths",
        type=int,
        nargs="+",
        default=WIDTHS,
        help="channels of the first layer and of each block; two blocks double them (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak rate of binary weights; 2/3 of it for the rest")
    parser.add_argument("--cutmix", type=float, default=0.5, help="share of the minibatches (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--data", type=Path, default=data.DIRECTORY, help="default: %(default)s")
    parser.add_argument(
        "--no-compile", action="store_true", help="skip torch.compile (no C++ compiler needed, slower)"
    )


def run(args: argparse.Namespace) -> None:
    Training(args).run()


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random crop of each image padded by 4 grey pixels, and random flip: (n, 3, 32, 32) uint8 to the same."""
    import torch
    import torch.nn.functional as F

    n = len(images)
    padded = F.pad(images, (4, 4, 4, 4), value=128)
    dy, dx = (torch.randint(0, 9, (n, 1), generator=generator) for _ in range(2))
    rows = (dy + torch.arange(32)).view(n, 1, 32, 1)
    columns = dx + torch.arange(32)
    flip = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(flip, columns.flip(1), columns).view(n, 1, 1, 32)
    return padded[torch.arange(n).view(n, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1), rows, columns]


def cutmix(images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Paste a box of another image into each (Yun et al. 2019). Returns images, order of the others, share kept."""
    import torch

    order = torch.randperm(len(images), generator=generator)
    side = int(32 * (1 - torch.rand((), generator=generator).item()) ** 0.5)
    top, left = (int(torch.randint(0, 33 - side, (), generator=generator)) for _ in range(2))
    images = images.clone()
    box = (slice(None), slice(None), slice(top, top + side), slice(left, left + side))
    images[box] = images[order][box]
    return images, order, 1 - side * side / 1024


def to_input(images: torch.Tensor) -> torch.Tensor:
    """uint8 (n, 3, 32, 32) to what `torch_net.Net` takes."""
    import torch

    from .torch_net import PIXEL_SCALE

    return ((images.float() - 128) / PIXEL_SCALE).contiguous(memory_format=torch.channels_last)


class Training:
    """A run of pretraining: network, optimizer, schedule and generator, and the checkpoint they are kept in."""

    def __init__(self, args: argparse.Namespace):
        import torch

        from .torch_net import Net

        self.args = args
        torch.manual_seed(args.seed)
        self.generator = torch.Generator().manual_seed(args.seed)
        self.x, self.y = self._load("train")
        self.x_test, self.y_test = self._load("test")
        widths = args.widths
        steps = [b / a for a, b in zip(widths, widths[1:], strict=False) if a > 0]
        if any(w < 32 or w % 32 for w in widths) or sorted(steps) != [1.0] * (len(widths) - 3) + [2.0, 2.0]:
            raise UserError("--widths must be multiples of 32, each the one before or, twice, its double")
        self.net = Net(widths=widths)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.binary = [layer.weight for layer in [*self.net.blocks, self.net.trainable]]
        known = {id(p) for p in self.binary}
        other = [p for p in self.net.parameters() if id(p) not in known]
        self.optimizer = torch.optim.Adam([{"params": self.binary}, {"params": other}], betas=(0.9, 0.99))
        self.steps = len(self.x) // args.batch
        if args.epochs < 1 or not self.steps:
            raise UserError(f"--epochs must be at least 1 and --batch at most {len(self.x)}, the training images")
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            [args.rate, args.rate * 2 / 3],
            total_steps=args.epochs * self.steps,
            pct_start=0.04,
            final_div_factor=1e3,
        )
        self.epoch = 0
        if args.out.exists():
            self._resume()
        elif args.init:
            self._initialize()

    def _load(self, split):
        import torch

        images, labels = data.load("cifar100", split, self.args.data)
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long()

    def _resume(self):
        from .torch_net import checkpoint

        out, saved = self.args.out, checkpoint(self.args.out)
        try:
            if saved["schedule"]["total_steps"] != self.schedule.total_steps:
                raise UserError(
                    f"{out} was begun with other --epochs, --batch or --data: give the same ones again, "
                    f"or take its weights with --init {out} --out another.pt"
                )
            for name in ("net", "optimizer", "schedule"):
                getattr(self, name).load_state_dict(saved[name])
            self.generator.set_state(saved["generator"])
            self.epoch = saved["epoch"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"{out} is not a checkpoint that training can go on from: choose another --out") from error

    def _initialize(self):
        import torch

        from .torch_net import checkpoint

        weights = checkpoint(self.args.init)["net"]
        try:
            missing, _ = self.net.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise UserError(f"{self.args.init} holds the weights of another network") from error
        with torch.no_grad():
            for name, parameter in self.net.named_parameters():
                if name in missing and name.endswith("norm.weight"):
                    parameter.zero_()

    def run(self) -> None:
        import torch

        args = self.args
        args.out.parent.mkdir(parents=True, exist_ok=True)
        step_net = self.net if args.no_compile else torch.compile(self.net)
        while self.epoch < args.epochs:
            start, loss = time.time(), self._one_epoch(step_net)
            accuracy, seconds = self.accuracy(), time.time() - start
            line = f"epoch {self.epoch}/{args.epochs} loss {loss:.4f} test {accuracy:.2f} % {seconds:.0f} s"
            print(line)
            with args.out.with_suffix(".log").open("a") as log:
                log.write(line + "\n")
            self._save()
        print(f"{args.out}; next: bitreplay export {args.out} build/backbone.safetensors")

    def _one_epoch(self, step_net) -> float:
        import torch

        total = 0.0
        order = torch.randperm(len(self.x), generator=self.generator)
        title = f"epoch {self.epoch + 1}/{self.args.epochs}"
        for i in tqdm(range(self.steps), desc=title, unit="step", leave=False, disable=None):
            rows = order[i * self.args.batch : (i + 1) * self.args.batch]
            loss = self._loss(step_net, augment(self.x[rows], self.generator), self.y[rows])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            with torch.no_grad():
                for weight in self.binary:
                    weight.clamp_(-1, 1)
            total += loss.item()
        self.epoch += 1
        return total / self.steps

    def _loss(self, step_net, images, labels):
        import torch
        import torch.nn.functional as F

        others, share = labels, 1.0
        if torch.rand((), generator=self.generator).item() < self.args.cutmix:
            images, order, share = cutmix(images, self.generator)
            others = labels[order]
        with torch.autocast("cpu", torch.bfloat16):
            scores = step_net(to_input(images)).float()
        loss = share * F.cross_entropy(scores, labels, label_smoothing=LABEL_SMOOTHING)
        if share < 1:
            loss = loss + (1 - share) * F.cross_entropy(scores, others, label_smoothing=LABEL_SMOOTHING)
        return loss

    def accuracy(self) -> float:
        """Percent right of the test set, in float32."""
        import torch

        self.net.eval()
        with torch.no_grad():
            found = torch.cat([self.net(to_input(images)).argmax(1) for images in self.x_test.split(500)])
        self.net.train()
        return 100 * (found == self.y_test).float().mean().item()

    def _save(self) -> None:
        import torch

        state = {name: getattr(self, name).state_dict() for name in ("net", "optimizer", "schedule")}
        state |= {"generator": self.generator.get_state(), "epoch": self.epoch}
        temporary = self.args.out.with_suffix(".new")
        torch.save(state, temporary)
        temporary.replace(self.args.out)
