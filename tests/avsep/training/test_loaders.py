"""Batches by way of shared memory or of pipes: the same values, and a line where there is too little room."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avsep.training import loaders
from avsep.training.loaders import Loader, by_pipes


class Numbers(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Any]:
        values = torch.full((2, 3), float(index))
        return {"name": f"sample {index}", "pair": (values, values.numpy() + 1), "level": 0.5, "number": index}


def test_pipes_bring_the_same_and_put_nothing_into_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = list(Loader(Numbers(), batch_size=2))
    piped = Loader(Numbers(), batch_size=2, num_workers=2, pipes=True)
    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", lambda *_, **__: pytest.fail("shared memory"))
    monkeypatch.setattr(torch.UntypedStorage, "share_memory_", lambda *_: pytest.fail("shared memory"))
    brought = list(piped)
    assert len(piped) == len(brought) == 3
    for one, other in zip(usual, brought, strict=True):
        assert one["name"] == other["name"] and list(one) == list(other)
        leaves = [(*batch["pair"], batch["level"], batch["number"]) for batch in (one, other)]
        for x, y in zip(*leaves, strict=True):
            assert isinstance(y, Tensor) and x.dtype == y.dtype and torch.equal(x, y)
            y.add_(1)  # it may be written to


def test_what_is_waited_for_a_batch_is_counted_and_not_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class Slow(Numbers):
        def __getitem__(self, index: int) -> dict[str, Any]:
            nonlocal now
            now += 2
            return super().__getitem__(index)

    monkeypatch.setattr(loaders.time, "monotonic", lambda: now)
    for pipes in (False, True):
        loader = Loader(Slow(), batch_size=2, pipes=pipes)
        for _ in loader:
            now += 100
        assert loader.waited == 12


@pytest.mark.parametrize(("free", "workers", "asked"), [(1e6, 2, True), (1e9, 2, False), (1e6, 0, False)])
def test_too_little_room_is_told_with_the_remedy(
    free: float, workers: int, asked: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loaders, "SHARED", Path("/"))
    monkeypatch.setattr(loaders, "free_bytes", lambda folder: int(free))
    sample = {"mixture": torch.zeros(10000), "pictures": [np.zeros(10000, np.float32)]}
    with caplog.at_level(logging.WARNING):
        assert by_pipes("grounding", sample, batch=8, workers=workers, processes=1) is asked
    told = "/ has 1 MB free, and the workers' samples may take 8 MB: they come through pipes"
    assert [told in line and "--shm-size" in line for line in caplog.messages] == [True] * asked
