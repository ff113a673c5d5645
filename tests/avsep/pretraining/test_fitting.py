"""The loop: what it shows of the items, in which order, and that it learns."""

from pathlib import Path

import numpy as np
import torch
from dvclive import Live
from torch import Tensor, nn

from avsep.pretraining.fitting import fit


def shown(folder: Path, name: str, seed: int, count: int = 7) -> list[list[int]]:
    """The batches of 2 of two epochs over `count` items."""
    weight, batches = nn.Parameter(torch.zeros(())), []

    def losses(items: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        batches.append(items)
        return {"square": (weight - 1).square()}

    with Live(dir=str(folder), dvcyaml=None, save_dvc_exp=False, report=None) as live:
        optimiser = torch.optim.SGD([weight])
        fit(name, losses, optimiser, [0.1], count, epochs=2, batch=2, seed=seed, live=live)
    assert abs(weight.item() - 1) < 1, "it has moved towards the least loss"
    return batches


def test_an_epoch_shows_an_item_once_in_an_order_of_seed_and_name(tmp_path: Path) -> None:
    batches = shown(tmp_path, "one", seed=0)
    assert [len(items) for items in batches] == [2] * 6, "the odd item fills no batch"
    first, second = ([item for items in epoch for item in items] for epoch in (batches[:3], batches[3:]))
    assert len(set(first)) == len(set(second)) == 6 and first != second
    assert shown(tmp_path, "one", seed=0) == batches
    assert shown(tmp_path, "other", seed=0) != batches != shown(tmp_path, "one", seed=1)


def test_fewer_items_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    assert [sorted(items) for items in shown(tmp_path, "one", seed=0, count=1)] == [[0], [0]]
