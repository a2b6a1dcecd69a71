"""Pretraining of the backbone on CIFAR-100 (PyTorch, CPU, bfloat16)."""

import argparse
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

from .torch_net import Net


def augment(images, generator):
    """Random crop of the image padded by 4 grey pixels, and random flip. images: (n, 3, 32, 32) uint8."""
    n = len(images)
    padded = F.pad(images, (4, 4, 4, 4), value=128)
    dy, dx = (torch.randint(0, 9, (n, 1), generator=generator) for _ in range(2))
    rows = (dy + torch.arange(32)).view(n, 1, 32, 1)
    columns = dx + torch.arange(32)
    flip = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(flip, columns.flip(1), columns).view(n, 1, 1, 32)
    return padded[torch.arange(n).view(n, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1), rows, columns]


def cutmix(images, generator):
    """Paste a box of another image into each (CutMix, Yun et al. 2019): images, partners' order, share kept."""
    n = len(images)
    order = torch.randperm(n, generator=generator)
    side = int(32 * (1 - torch.rand((), generator=generator).item()) ** 0.5)
    top, left = (int(torch.randint(0, 33 - side, (), generator=generator)) for _ in range(2))
    images = images.clone()
    images[:, :, top:top + side, left:left + side] = images[order, :, top:top + side, left:left + side]
    return images, order, 1 - side * side / 1024


def to_input(images):
    return ((images.float() - 128) / 64).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def accuracy(net, images, labels):
    net.eval()
    hits = sum((net(to_input(x)).argmax(1) == y).sum().item() for x, y in zip(images.split(500), labels.split(500)))
    net.train()
    return 100 * hits / len(labels)


def train(data, out, epochs, batch, seed, log, init):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    arrays = np.load(data)
    x, y, x_test, y_test = (torch.from_numpy(arrays[k]) for k in ("x_train", "y_train", "x_test", "y_test"))
    x, x_test = (v.permute(0, 3, 1, 2).contiguous() for v in (x, x_test))
    y, y_test = y.long(), y_test.long()
    net = Net().to(memory_format=torch.channels_last)
    binary = [m.weight for m in [*net.blocks, net.tail]]
    other = [p for p in net.parameters() if not any(p is b for b in binary)]
    optimizer = torch.optim.Adam([{"params": binary}, {"params": other}], betas=(0.9, 0.99))
    steps = len(x) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [3e-3, 2e-3], total_steps=epochs * steps, pct_start=0.04,
                                                   final_div_factor=1e3)
    first = 0
    if init and not os.path.exists(out):
        missing, _ = net.load_state_dict(torch.load(init, weights_only=False)["net"], strict=False)
        for name in missing:
            if name.endswith("norm.weight"):
                dict(net.named_parameters())[name].data.zero_()
        print("new:", missing)
    if os.path.exists(out):
        saved = torch.load(out, weights_only=False)
        net.load_state_dict(saved["net"]); optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"]); generator.set_state(saved["generator"]); first = saved["epoch"]
    step_fn = torch.compile(net) if os.environ.get("COMPILE") else net
    for epoch in range(first, epochs):
        start, total = time.time(), 0.0
        order = torch.randperm(len(x), generator=generator)
        for i in range(steps):
            rows = order[i * batch:(i + 1) * batch]
            images, order2, share = augment(x[rows], generator), slice(None), 1.0
            if torch.rand((), generator=generator).item() < 0.5:
                images, order2, share = cutmix(images, generator)
            with torch.autocast("cpu", torch.bfloat16):
                scores = step_fn(to_input(images)).float()
            loss = share * F.cross_entropy(scores, y[rows], label_smoothing=0.05)
            if share < 1:
                loss = loss + (1 - share) * F.cross_entropy(scores, y[rows][order2], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                for w in binary:
                    w.clamp_(-1, 1)
            total += loss.item()
            if os.environ.get("BENCH") and i in (10, 50):
                print(i, time.time() - start, flush=True)
                if i == 50: return
        line = f"epoch {epoch + 1}/{epochs} loss {total / steps:.4f} test {accuracy(net, x_test, y_test):.2f} % {time.time() - start:.0f} s"
        print(line, flush=True)
        with open(log, "a") as f:
            f.write(line + "\n")
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                    "generator": generator.get_state(), "epoch": epoch + 1}, out + ".new")
        os.replace(out + ".new", out)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--data"); p.add_argument("--out"); p.add_argument("--init"); p.add_argument("--log"); p.add_argument("--epochs", type=int, default=45)
    p.add_argument("--batch", type=int, default=128); p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    train(a.data, a.out, a.epochs, a.batch, a.seed, a.log, a.init)
