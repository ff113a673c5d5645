"""What a package holds of CCoL's weights."""

import torch

from avsep.weights.ccol import ONCE, TWICE, with_twins, without_twins
from tests.helpers.factories import tiny_ccol


def test_the_last_layer_of_the_frame_encoders_is_held_once() -> None:
    weights = tiny_ccol().state_dict()
    for name in [name for name in weights if name.startswith(TWICE)]:  # as FrozenFrames.load_resnet leaves them
        weights[name] = weights[ONCE + name.removeprefix(TWICE)]
    held = without_twins(weights)
    assert {name for name in weights if name not in held} == {name for name in weights if name.startswith(TWICE)}
    again = with_twins(held)
    assert again.keys() == weights.keys() and all(torch.equal(again[name], weights[name]) for name in weights)


def test_where_they_differ_both_are_held() -> None:
    weights = tiny_ccol().state_dict()  # two random layers
    assert without_twins(weights).keys() == weights.keys() == with_twins(weights).keys()
