"""The loop by which the ResNet, the detector and CLIP learn, each from its own losses."""

import zlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from avsep.progress import progress
from avsep.training.seeds import seed_step

Losses = Callable[[list[int], np.random.Generator], dict[str, Tensor]]  # of the chosen items: name -> ()
Log = Callable[[str, Mapping[str, float]], None]  # takes what is learned, and its losses at one step


def fit(
    name: str,
    losses: Losses,
    optimiser: torch.optim.Optimizer,
    lr: list[float],
    count: int,
    *,
    epochs: int,
    batch: int,
    seed: int,
    log: Log,
) -> None:
    """Minimises the sum of `losses(items, rng)` over `count` items, with one cycle of the learning rates `lr`, one for
    each group of the optimiser's parameters.

    The items' order is a function of (seed, name, epoch), a step's other randomness one of (seed, name, step).  Items
    that fill no batch are left out of an epoch.  Logs the losses at every tenth step.
    """
    steps = max(count // batch, 1)  # of an epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=lr, total_steps=epochs * steps)
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    salt = zlib.crc32(name.encode())
    orders = [np.random.default_rng([seed, salt, epoch]).permutation(count) for epoch in range(epochs)]
    batches = [order[at * batch : (at + 1) * batch].tolist() for order in orders for at in range(steps)]
    for step, items in enumerate(progress(batches, desc=f"train {name}", total=len(batches), unit="step")):
        seed_step(seed, step)  # torchvision's samplers of boxes draw from torch's own generator
        named = losses(items, np.random.default_rng([seed, salt, epochs, step]))
        optimiser.zero_grad()
        torch.stack(list(named.values())).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 10 == 0 or step + 1 == len(batches):
            log(name, {term: value.item() for term, value in named.items()})
