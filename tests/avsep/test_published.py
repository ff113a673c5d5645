"""The published checkpoint's names: each has its place in our networks."""

import numpy as np
import pytest
import torch

from avsep.published import UNUSED, ccol_state
from models.ccol import CCoL
from tests.golden import compute

SHAPES = compute.published_shapes(compute.HERE / "ccol_align_corners_true.npz")


def published() -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in SHAPES.items()}


def test_every_published_tensor_has_one_place_and_its_shape() -> None:
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in CCoL(shared_trunk=False).state_dict().items()}
    state = {name: tuple(value.shape) for name, value in ccol_state(published()).items()}
    assert state == ours


def test_exactly_the_four_unused_layers_are_dropped() -> None:
    dropped = sorted(name for name in SHAPES if UNUSED.match(name))
    layers = ("fc_a1", "fc_a2", "fc_v1", "fc_v2")
    assert dropped == sorted(f"grounding.{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias"))
    assert len(ccol_state(published())) == len(SHAPES) - len(dropped)


@pytest.mark.parametrize(
    "name", ["other.weight", "sound.unet_block.model.9.weight", "frame_ground.features.9.0.weight", "frame.head.weight"]
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        ccol_state({**published(), name: torch.empty(1, device="meta")})


def test_the_golden_files_list_the_same_tensors() -> None:
    assert compute.published_shapes(compute.HERE / "ccol_align_corners_false.npz") == SHAPES
    assert sum(int(np.prod(shape)) for shape in SHAPES.values()) > 30e6
