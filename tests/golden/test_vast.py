"""Parity with the published VAST network and losses."""

import numpy as np
import pytest

from tests.golden import compute


@pytest.mark.slow
@pytest.mark.parametrize("align_corners", [True, False])
def test_every_key_of_the_golden_file(align_corners: bool) -> None:
    found = compute.vast(seed=0, batch=2, align_corners=align_corners)
    file = compute.HERE / f"vast_align_corners_{str(align_corners).lower()}.npz"
    with np.load(file, allow_pickle=False) as golden:
        assert set(found) == set(golden.files)
        for key in golden.files:
            assert found[key].shape == golden[key].shape, key
            if key == "keys":
                assert (found[key] == golden[key]).all()
            elif key == "grad_norm":
                np.testing.assert_allclose(found[key], golden[key], rtol=1e-3, err_msg=key)
            elif golden[key].ndim == 0:
                np.testing.assert_allclose(found[key], golden[key], rtol=1e-4, err_msg=key)
            else:
                np.testing.assert_allclose(found[key], golden[key], rtol=0, atol=1e-4, err_msg=key)
