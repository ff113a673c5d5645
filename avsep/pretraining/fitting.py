"""The loop by which the ResNet, the detector and CLIP learn, each from its own losses; one that was stopped goes on."""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avsep.files.reading import reading
from avsep.files.whole import whole_file
from avsep.progress import progress
from avsep.training.seeds import seed_step

Losses = Callable[[list[int], np.random.Generator], dict[str, Tensor]]  # of the chosen items: name -> ()
Log = Callable[[str, Mapping[str, float]], None]  # takes what is learned, and its losses at one step


def fit(
    name: str,
    network: nn.Module,
    losses: Losses,
    optimiser: torch.optim.Optimizer,
    lr: list[float],
    count: int,
    *,
    epochs: int,
    batch: int,
    seed: int,
    log: Log,
    kept: Path | None = None,
) -> None:
    """Minimises the sum of `losses(items, rng)` over `count` items, with one cycle of the learning rates `lr`, one for
    each group of the optimiser's parameters.

    The items' order is a function of (seed, name, epoch), a step's other randomness one of (seed, name, step).  Items
    that fill no batch are left out of an epoch.  Logs the losses at every tenth step.

    With a folder `kept`, which is of these networks, items and settings, the state after each epoch is <name>.pt in it,
    and a training that finds one goes on from there, to the same bits: `network` has all that the losses change.
    Raises InputError if it cannot be read.
    """
    steps = max(count // batch, 1)  # of an epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=lr, total_steps=epochs * steps)
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    salt = zlib.crc32(name.encode())
    orders = [np.random.default_rng([seed, salt, epoch]).permutation(count) for epoch in range(epochs)]
    batches = [order[at * batch : (at + 1) * batch].tolist() for order in orders for at in range(steps)]
    state = None if kept is None else kept / f"{name}.pt"
    logged: list[dict[str, float]] = []
    done = 0
    if state is not None and state.exists():
        with reading(state, "state of a training", "remove it"):
            found: dict[str, Any] = torch.load(state, map_location="cpu", weights_only=True)
        network.load_state_dict(found["network"])
        optimiser.load_state_dict(found["optimiser"])
        schedule.load_state_dict(found["schedule"])
        logged, done = found["logged"], found["steps"]
        for values in logged:
            log(name, values)
    shown = progress(batches[done:], desc=f"train {name}", total=len(batches) - done, unit="step")
    for step, items in enumerate(shown, start=done):
        seed_step(seed, step)  # torchvision's samplers of boxes draw from torch's own generator
        named = losses(items, np.random.default_rng([seed, salt, epochs, step]))
        optimiser.zero_grad()
        torch.stack(list(named.values())).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 10 == 0 or step + 1 == len(batches):
            logged.append({term: value.item() for term, value in named.items()})
            log(name, logged[-1])
        if state is not None and (step + 1) % steps == 0:
            parts: dict[str, Any] = {"network": network, "optimiser": optimiser, "schedule": schedule}
            with whole_file(state) as temporary:
                states = {part: holder.state_dict() for part, holder in parts.items()}
                torch.save({**states, "logged": logged, "steps": step + 1}, temporary)
