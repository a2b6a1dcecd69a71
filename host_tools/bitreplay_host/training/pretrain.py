"""Pretraining of a net, its binary latent in the loop.

Binary weights and activations with a straight-through estimator, in bfloat16 on the CPU. It stops and goes on: the
checkpoint holds everything, an epoch at a time.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..errors import UserError
from . import data, distil, tilt
from .net import LATENT, to_input
from .plain import PLAIN, make
from .restore import checkpoint, has_norm, is_model, weights_to_train
from .steps import LABEL_SMOOTHING, Steps
from .twin import FLOAT

KEPT = "epochs", "rate", "cutmix", "flip", "batch", "seed", "net", "latent", "above"  # settings, in checkpoints


@dataclass(frozen=True)
class Settings:
    """out: the checkpoint. init: another one, or a model, whose weights to start from. data: as data.load
    takes it, and so directory and image. flip: half of the images, left to right, unless they are of recordings.

    folded: start from the folded net of a checkpoint `init`. net: one of training.KINDS. widths, latent: as Net takes
    them. above: train only what lies above the latent. rate: the peak for binary weights. cutmix: share of the
    minibatches. teacher: a checkpoint to learn from. compile: by torch.compile, which needs a C++ compiler.
    """

    out: Path
    data: str
    directory: Path
    widths: Sequence[int]
    epochs: int
    rate: float
    cutmix: float
    batch: int
    seed: int
    net: str = "reactnet"
    init: Path | None = None
    folded: bool = False
    latent: str = LATENT
    above: bool = False
    image: tuple[int, int, int] | None = None
    flip: bool = True
    teacher: Path | None = None
    compile: bool = True


def augment(
    images: torch.Tensor, generator: torch.Generator, flip: bool = True, recorded: bool = False
) -> torch.Tensor:
    """Random crop of each image padded by 4 pixels, and perhaps random flip: (n, c, h, w) uint8 to the same.

    recorded: what is padded are recordings, which go on as they end; pictures are padded with grey. They are never
    flipped.
    """
    n, channels, height, width = images.shape
    margins = 4, 4, 4, 4
    padded = F.pad(images, margins, mode="replicate") if recorded else F.pad(images, margins, value=128)
    dy, dx = (torch.randint(0, 9, (n, 1), generator=generator) for _ in range(2))
    rows = (dy + torch.arange(height)).view(n, 1, height, 1)
    columns = dx + torch.arange(width)
    if flip and not recorded:
        flipped = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    which, channel = torch.arange(n).view(n, 1, 1, 1), torch.arange(channels).view(1, channels, 1, 1)
    return padded[which, channel, rows, columns.view(n, 1, 1, width)]


def cutmix(images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Paste a box of another image into each (Yun et al. 2019). Returns images, order of the others, share kept."""
    order = torch.randperm(len(images), generator=generator)
    sides = images.shape[2:]
    share = (1 - torch.rand((), generator=generator).item()) ** 0.5
    height, width = (int(side * share) for side in sides)
    top = int(torch.randint(0, sides[0] + 1 - height, (), generator=generator))
    left = int(torch.randint(0, sides[1] + 1 - width, (), generator=generator))
    images = images.clone()
    box = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
    images[box] = images[order][box]
    return images, order, 1 - height * width / (sides[0] * sides[1])


def _check(settings: Settings) -> None:
    """UserError for what can be told without the dataset."""
    if not (math.isfinite(settings.rate) and settings.rate > 0):
        raise UserError(f"--rate must be a number above 0, got {settings.rate}")
    if not 0 <= settings.cutmix <= 1:
        raise UserError(f"--cutmix must be 0..1, got {settings.cutmix}")
    if not 0 <= settings.seed < 1 << 63:
        raise UserError(f"--seed must be 0..{(1 << 63) - 1}, got {settings.seed}")
    if settings.out.suffix == ".log":
        raise UserError(f"{settings.out} would be the log: give --out another ending, for example .pt")
    if settings.folded and (not settings.init or is_model(settings.init) or settings.net == PLAIN):
        raise UserError(f"--folded needs --init with a checkpoint; a model is folded already, a {PLAIN} folds exactly")
    if settings.net == FLOAT:
        if settings.above or settings.latent != LATENT:
            raise UserError(f"--net {FLOAT} has no latent: leave out --latent and --above")
        if settings.init and is_model(settings.init):
            raise UserError(f"--net {FLOAT} needs --init with a checkpoint: a model has signs for weights")
    if settings.init and settings.out.exists():
        raise UserError(f"{settings.out} is there already: go on with it without --init, or choose another --out")


def _words(value) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


class Training:
    """A run of pretraining: network, optimizer, schedule and generator, and the checkpoint they are kept in.

    UserError for settings that make no sense together.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        _check(settings)
        torch.manual_seed(settings.seed)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self._load()
        self.teacher = distil.teacher(settings.teacher, self.labels, self.image) if settings.teacher else None
        widths = settings.widths
        steps = [b / a for a, b in zip(widths, widths[1:], strict=False) if a > 0]
        if any(w < 32 or w % 32 for w in widths) or sorted(steps) != [1.0] * (len(widths) - 3) + [2.0, 2.0]:
            raise UserError("--widths must be multiples of 32, each the one before or, twice, its double")
        weights = self._weights()
        # A net that comes from a model has no batch norm, as none can be made of what it was folded into.
        shape = {"classes": len(self.labels), "widths": widths, "image": self.image}
        self.net = make(settings.net, latent=settings.latent, norm=has_norm(weights), **shape)
        if settings.above:
            if has_norm(weights):
                raise UserError("--above needs --init with a model: export the checkpoint, and start from that")
            self.net.freeze_below()
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.epochs < 1 or not 1 <= settings.batch <= len(self.x):
            raise UserError(f"--epochs must be at least 1 and --batch 1..{len(self.x)}, the training images")
        self.steps_per_epoch = len(self.x) // settings.batch
        total = settings.epochs * self.steps_per_epoch
        self.steps = Steps(self.net, settings.rate, total, pct_start=0.04, final_div_factor=1e3)
        self.epoch = 0
        if settings.out.exists():
            self._resume()
        elif settings.init:
            self._initialize(weights)

    def _load(self):
        """Training images, and those held back from them: what chooses must not be the test set."""
        settings = self.settings
        found = data.load(settings.data, settings.directory, settings.image)
        self.labels, self.image, self.recorded = found.names, found.images.shape[1:], found.recorded
        digest = hashlib.sha256(np.ascontiguousarray(found.images))
        digest.update(np.ascontiguousarray(found.labels, np.int64))
        self.digest = digest.hexdigest()
        images = torch.from_numpy(found.images).permute(0, 3, 1, 2).contiguous()
        labels, held = torch.from_numpy(found.labels).long(), torch.from_numpy(found.held)
        self.x, self.y = images[~held], labels[~held]
        self.x_validation, self.y_validation = images[held], labels[held]
        self.windows = None if found.windows is None else torch.from_numpy(found.windows)[~held]

    def _kept(self) -> dict:
        """The settings that a checkpoint keeps, as training cannot go on with others."""
        kept = {name: getattr(self.settings, name) for name in KEPT}
        kept |= {"widths": list(self.settings.widths), "image": list(self.image)}
        return kept | {"teacher": str(self.settings.teacher or "none")}

    def _parts(self):
        """What a checkpoint keeps the state of, beside the generator."""
        return {"net": self.net, "optimizer": self.steps.optimizer, "schedule": self.steps.schedule}

    def _resume(self):
        out, saved = self.settings.out, checkpoint(self.settings.out)
        again = f"give the same again, or take its weights with --init {out} --out another.pt"
        try:
            if saved["schedule"]["total_steps"] != self.steps.schedule.total_steps:
                raise UserError(f"{out} was begun with other --epochs, --batch or --data: {again}")
            for name, now in self._kept().items():
                # Version 0.1 kept no settings.
                if (then := saved.get("settings", {}).get(name, now)) != now:
                    raise UserError(f"{out} was begun with --{name} {_words(then)}, not {_words(now)}: {again}")
            if saved.get("data", self.digest) != self.digest:
                raise UserError(f"{out} was begun with other images or labels of --data: {again}")
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            self.generator.set_state(saved["generator"])
            self.epoch = saved["epoch"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"{out} is not a checkpoint that training can go on from: choose another --out") from error

    def _weights(self) -> dict[str, torch.Tensor]:
        """Those of the net that this run begins or goes on with; none for a new one."""
        if self.settings.out.exists():
            return checkpoint(self.settings.out)["net"]
        return weights_to_train(self.settings.init, self.settings.folded) if self.settings.init else {}

    def _initialize(self, weights):
        try:
            missing, _ = self.net.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise UserError(f"{self.settings.init} holds the weights of another network") from error
        with torch.no_grad():
            for name, parameter in self.net.named_parameters():
                if name in missing and name.endswith("norm.weight"):
                    parameter.zero_()
        if any(name.endswith(".levels") for name in missing):
            self.net.calibrate(self.x.permute(0, 2, 3, 1).numpy())

    def run(self) -> None:
        settings = self.settings
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        step_net = torch.compile(self.net) if settings.compile else self.net
        if self.teacher and settings.compile:
            self.teacher.compile()
        while self.epoch < settings.epochs:
            start, loss = time.time(), self._one_epoch(step_net)
            accuracy, seconds = self.accuracy(), time.time() - start
            line = f"epoch {self.epoch}/{settings.epochs} loss {loss:.4f} validation {accuracy:.2f} % {seconds:.0f} s"
            print(line)
            with settings.out.with_suffix(".log").open("a") as log:
                log.write(line + "\n")
            self._save()
        after = f"export {settings.out} {settings.out.with_suffix('.safetensors')}"
        if settings.net == FLOAT:
            after = f"pretrain --teacher {settings.out} --out taught.pt"
        print(f"{settings.out}; next: bitreplay {after}")

    def _one_epoch(self, step_net) -> float:
        total = 0.0
        order = torch.randperm(len(self.x), generator=self.generator)
        title = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        for i in tqdm(range(self.steps_per_epoch), desc=title, unit="step", leave=False, disable=None):
            rows = order[i * self.settings.batch : (i + 1) * self.settings.batch]
            loss = self._loss(step_net, self._augmented(rows), self.y[rows])
            total += self.steps.take(loss)
        self.epoch += 1
        return total / self.steps_per_epoch

    def _augmented(self, rows: torch.Tensor) -> torch.Tensor:
        if self.windows is not None:
            return tilt.images(self.windows[rows], self.generator)
        return augment(self.x[rows], self.generator, self.settings.flip, self.recorded)

    def _loss(self, step_net, images, labels):
        others, share = labels, 1.0
        if torch.rand((), generator=self.generator).item() < self.settings.cutmix:
            images, order, share = cutmix(images, self.generator)
            others = labels[order]
        with torch.autocast("cpu", torch.bfloat16):
            scores = step_net(to_input(images)).float()
            taught = self.teacher(to_input(images)).float() if self.teacher else None
        loss = share * F.cross_entropy(scores, labels, label_smoothing=LABEL_SMOOTHING)
        if share < 1:
            loss = loss + (1 - share) * F.cross_entropy(scores, others, label_smoothing=LABEL_SMOOTHING)
        if taught is None:
            return loss
        return distil.TRUTH * loss + (1 - distil.TRUTH) * distil.loss(scores, taught)

    def accuracy(self) -> float:
        """Percent right of the images held back, in float32."""
        self.net.eval()
        with torch.no_grad():
            found = torch.cat([self.net(to_input(images)).argmax(1) for images in self.x_validation.split(500)])
        self.net.train()
        return 100 * (found == self.y_validation).float().mean().item()

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"generator": self.generator.get_state(), "epoch": self.epoch}
        state |= {"settings": self._kept(), "labels": self.labels, "data": self.digest}
        temporary = self.settings.out.with_name(self.settings.out.name + ".new")
        torch.save(state, temporary)
        temporary.replace(self.settings.out)
