"""Leakage with known answers (evaluation.md, 5b): hazard 11's constant would give them all the same."""

import math

import pytest
import torch

from avsep.scoring.silence import FLOOR_DB, leakage_db


def mixture() -> torch.Tensor:
    return torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("share", "decibels"), [(1, 0), (0.01, -40), (0.1, -20), (0.0, FLOOR_DB), (1e-6, FLOOR_DB), (2, 20 * math.log10(2))]
)
def test_known_answers(share: float, decibels: float) -> None:
    found = leakage_db(share * mixture(), mixture())
    assert found.shape == (2,)
    assert found.tolist() == pytest.approx([decibels] * 2, abs=1e-4)


def test_it_is_energy_whatever_the_phase() -> None:
    given = mixture().flip(-1)
    assert leakage_db(given, mixture()).tolist() == pytest.approx([0, 0], abs=1e-4)
