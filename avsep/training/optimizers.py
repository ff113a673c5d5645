"""The optimisers that params name."""

from collections.abc import Callable
from functools import partial

import torch


def optimizer(name: str, momentum: float, weight_decay: float) -> Callable[..., torch.optim.Optimizer]:
    """SGD with momentum, or Adam, which has its own."""
    if name == "sgd":
        return partial(torch.optim.SGD, momentum=momentum, weight_decay=weight_decay)
    return partial(torch.optim.Adam, weight_decay=weight_decay)
