"""Parity with the published VAST network."""

import numpy as np
import pytest

from tests.golden import compute


@pytest.mark.slow
@pytest.mark.parametrize("align_corners", [True, False])
def test_the_networks_keys_of_the_golden_file(align_corners: bool) -> None:
    found = compute.vast_outputs(seed=0, batch=2, align_corners=align_corners)
    file = compute.HERE / f"vast_align_corners_{str(align_corners).lower()}.npz"
    with np.load(file, allow_pickle=False) as golden:
        for key, values in found.items():
            assert values.shape == golden[key].shape, key
            assert np.abs(values - golden[key]).max() <= 1e-4, key
