"""Train the network for windows of an accelerometer and a gyroscope on HAPT's first 20 people, with PyTorch.

    bitreplay data hapt
    python -m bitreplay_host.training.pretrain_imu

Writes pretrain/imu.safetensors and a log; minutes on one core. The other 10 people are for tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from .. import paths
from ..datasets import hapt
from .export import export
from .net import Net, to_input
from .steps import LABEL_SMOOTHING, Steps

OUT = Path("pretrain/imu.safetensors")
PEOPLE = 20  # to train on
WIDTHS = 32, 32, 64, 64, 128
EPOCHS, BATCH, RATE, SEED = 20, 64, 3e-3, 1
TILT = 15.0  # degrees: standard deviation of how a device sits on the body


def tilted(windows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each window as a device that is turned by some degrees about each axis would have it."""
    x, y, z = rng.normal(0, np.radians(TILT), (3, len(windows)))
    skew = np.zeros((len(windows), 3, 3))
    skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0] = x, y, z
    turn = torch.matrix_exp(torch.from_numpy(skew - skew.transpose(0, 2, 1))).numpy()
    parts = [windows[..., :3] @ turn, windows[..., 3:] @ turn]
    return np.concatenate(parts, axis=-1).round().clip(-32768, 32767).astype(np.int16)


def tensor(windows: np.ndarray) -> torch.Tensor:
    return to_input(torch.from_numpy(hapt.to_images(windows)).permute(0, 3, 1, 2))


def main() -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    found = hapt.load(paths.DATA)
    known = found["people"] <= PEOPLE
    windows, labels = found["windows"][known], torch.from_numpy(found["labels"][known]).long()
    net = Net(len(hapt.ACTIVITIES), groups=2, widths=WIDTHS)
    steps_per_epoch = len(windows) // BATCH
    steps = Steps(net, RATE, EPOCHS * steps_per_epoch, pct_start=0.1, final_div_factor=1e4)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with open(OUT.with_suffix(".log"), "w") as log:
        for epoch in range(EPOCHS):
            order, total = rng.permutation(len(windows)), 0.0
            for i in tqdm(range(steps_per_epoch), desc=f"epoch {epoch + 1}/{EPOCHS}", leave=False, disable=None):
                rows = order[i * BATCH : (i + 1) * BATCH]
                scores = net(tensor(tilted(windows[rows], rng)))
                loss = F.cross_entropy(scores, labels[rows], label_smoothing=LABEL_SMOOTHING)
                total += steps.take(loss)
            line = f"epoch {epoch + 1}/{EPOCHS} loss {total / steps_per_epoch:.4f}"
            print(line)
            log.write(line + "\n")
        right = accuracy(net, found["windows"][~known], found["labels"][~known])
        line = f"right of the other people's windows: {right:.2f} %"
        print(line)
        log.write(line + "\n")
    export(net, OUT, "imu", hapt.ACTIVITIES)
    print(f"{OUT}: {OUT.stat().st_size} bytes")


def accuracy(net: Net, windows: np.ndarray, labels: np.ndarray) -> float:
    """Percent right."""
    net.eval()
    with torch.no_grad():
        parts = np.array_split(windows, len(windows) // 500 + 1)
        found = np.concatenate([net(tensor(part)).argmax(1).numpy() for part in parts])
    return float(100 * (found == labels).mean())


if __name__ == "__main__":
    main()
