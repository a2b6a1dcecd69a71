"""Steps of training: Adam, a one-cycle schedule, and latent weights kept in -1..1, where their signs can change."""

from __future__ import annotations

import torch

from .net import Net

LABEL_SMOOTHING = 0.05


class Steps:
    """The optimizer of a net, for `total` steps. rate: the peak for binary weights; 2/3 of it for the rest.

    pct_start, final_div_factor: of torch.optim.lr_scheduler.OneCycleLR.
    """

    def __init__(self, net: Net, rate: float, total: int, pct_start: float, final_div_factor: float):
        self.binary = [layer.weight for layer in [*net.blocks, net.trainable]]
        known = {id(p) for p in self.binary}
        other = [p for p in net.parameters() if id(p) not in known]
        self.optimizer = torch.optim.Adam([{"params": self.binary}, {"params": other}], betas=(0.9, 0.99))
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            [rate, rate * 2 / 3],
            total_steps=total,
            pct_start=pct_start,
            final_div_factor=final_div_factor,
        )

    def take(self, loss: torch.Tensor) -> float:
        """One step down the gradient of a loss; returns the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            for weight in self.binary:
                weight.clamp_(-1, 1)
        return loss.item()
