"""Where torch's randomness starts."""

import os
import random

import lightning
import numpy as np
import pytest
import torch

from avsep.training.seeds import seed_everything


def test_all_generators_start_as_by_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
    for name in names:
        monkeypatch.setenv(name, "unset")

    def drawn() -> tuple[float, float, float, list[str]]:
        own = float(np.random.random())  # noqa: NPY002 - the generator that other libraries draw from
        return random.random(), own, float(torch.rand(())), [os.environ[name] for name in names]

    lightning.seed_everything(7, workers=True, verbose=False)
    theirs = drawn()
    seed_everything(8)
    assert drawn() != theirs
    seed_everything(7)
    assert drawn() == theirs
