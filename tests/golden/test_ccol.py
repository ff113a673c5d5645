"""Parity with the published networks and losses, and the corrected objectives against single samples."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.golden import compute

HERE = Path(__file__).parent


@cache
def ours(align_corners: bool) -> dict[str, np.ndarray]:
    return compute.ccol(seed=0, batch=3, align_corners=align_corners)


@pytest.mark.slow
@pytest.mark.parametrize("align_corners", [True, False])
def test_every_key_of_the_golden_file(align_corners: bool) -> None:
    found = ours(align_corners)
    with np.load(HERE / f"ccol_align_corners_{str(align_corners).lower()}.npz", allow_pickle=False) as golden:
        assert set(found) == set(golden.files)
        for key in golden.files:
            if key == "keys":
                continue
            assert found[key].shape == golden[key].shape, key
            scale = np.abs(golden[key]).max()
            if re.search(r"\.grad(_norm)?\.sound_ground", key):
                # its gradient goes through maxima: on another processor (Zen 1: 3.7e-3) near ties fall the other way
                bound = 1e-2 * scale
            elif re.search(r"\.grad(_norm)?\.", key):
                bound = 1e-3 * scale
            elif re.search(r"\.loss", key):
                bound = 1e-4 * scale
            else:
                bound = 1e-4
            assert np.abs(found[key] - golden[key]).max() <= bound, key


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["colearning", "cyclic"])
def test_the_published_batch_mixups_move_the_loss(stage: str) -> None:
    """Else the comparison above would not tell the published objective from the formula's."""
    found = ours(True)
    assert abs(found[f"{stage}.loss"] - found[f"{stage}.loss_one_sample_at_a_time"].mean()) > 1e-5
