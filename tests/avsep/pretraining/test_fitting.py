"""The loop: what it shows of the items, in which order, and that it learns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avsep.errors import InputError
from avsep.pretraining.fitting import fit


def shown(name: str, seed: int, count: int = 7) -> list[list[int]]:
    """The batches of 2 of two epochs over `count` items."""
    weight, batches = nn.Parameter(torch.zeros(())), []

    def losses(items: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        batches.append(items)
        return {"square": (weight - 1).square()}

    told: list[tuple[str, Mapping[str, float]]] = []
    settings: dict[str, Any] = {"epochs": 2, "batch": 2, "seed": seed, "log": lambda *entry: told.append(entry)}
    network = nn.ParameterList([weight])
    fit(name, network, losses, torch.optim.SGD([weight]), [0.1], count, **settings)
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


# --- One that was stopped


class Learner:
    """A network with statistics of its batches, learned with momentum; `stop`: the step at which it is stopped."""

    def __init__(self, kept: Path | None, stop: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.steps, self.stop = 0, stop
        self.told: list[tuple[str, Mapping[str, float]]] = []
        optimiser = torch.optim.AdamW(self.network.parameters(), betas=(0.9, 0.98))
        own: dict[str, Any] = {"epochs": 3, "batch": 4, "seed": 0, "log": lambda *one: self.told.append(one)}
        fit("it", self.network, self.losses, optimiser, [0.1], 48, **own, kept=kept)

    def losses(self, items: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        if self.steps == self.stop:
            raise KeyboardInterrupt
        self.steps += 1
        x = torch.tensor(rng.normal(size=(4, 3)) + np.array(items)[:, None] % 5, dtype=torch.float32)
        return {"square": (self.network(x) - x.sum(1, keepdim=True)).square().mean()}

    def same(self, other: "Learner") -> bool:
        mine, theirs = self.network.state_dict(), other.network.state_dict()
        return self.told == other.told and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("stop", [5, 12, 30, 35], ids=["first epoch", "between", "third epoch", "last step"])
def test_one_that_was_stopped_goes_on_behind_its_last_epoch_to_the_same_bits(stop: int, tmp_path: Path) -> None:
    whole = Learner(None)
    with pytest.raises(KeyboardInterrupt):
        Learner(tmp_path, stop)
    again = Learner(tmp_path)
    assert again.same(whole) and again.steps == 36 - stop // 12 * 12
    finished = Learner(tmp_path)
    assert finished.same(whole) and finished.steps == 0, "one that is done is not done again"


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    Learner(tmp_path)
    (tmp_path / "it.pt").write_bytes((tmp_path / "it.pt").read_bytes()[:100])
    with pytest.raises(InputError, match=r"it\.pt is no state of a training .*remove it"):
        Learner(tmp_path)
