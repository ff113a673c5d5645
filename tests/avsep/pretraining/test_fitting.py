"""The loop: what it shows of the items, in which order, and that it learns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avsep.pretraining.fitting import fit


def shown(name: str, seed: int, count: int = 7) -> list[list[int]]:
    """The batches of 2 of two epochs over `count` items."""
    weight, batches = nn.Parameter(torch.zeros(())), []

    def losses(items: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        batches.append(items)
        return {"square": (weight - 1).square()}

    told: list[tuple[str, Mapping[str, float]]] = []
    settings: dict[str, Any] = {"epochs": 2, "batch": 2, "seed": seed, "log": lambda *entry: told.append(entry)}
    fit(name, losses, torch.optim.SGD([weight]), [0.1], count, **settings)
    assert [(of, list(values)) for of, values in told] == [(name, ["square"])], "of the last step"
    assert abs(weight.item() - 1) < 1, "it has moved towards the least loss"
    return batches


def test_an_epoch_shows_an_item_once_in_an_order_of_seed_and_name() -> None:
    batches = shown("one", seed=0)
    assert [len(items) for items in batches] == [2] * 6, "the odd item fills no batch"
    first, second = ([item for items in epoch for item in items] for epoch in (batches[:3], batches[3:]))
    assert len(set(first)) == len(set(second)) == 6 and first != second
    assert shown("one", seed=0) == batches
    assert shown("other", seed=0) != batches != shown("one", seed=1)


def test_fewer_items_than_a_batch_are_one_batch() -> None:
    assert [sorted(items) for items in shown("one", seed=0, count=1)] == [[0], [0]]
