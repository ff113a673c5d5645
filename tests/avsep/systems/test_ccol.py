"""CCoL, asked as every system is, answers what its network says."""

from pathlib import Path

import pytest
import torch

from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.systems.catalogue import entry_of
from avsep.systems.ccol import CCoLSystem, load
from avsep.systems.system import Sight, hear_sources, together
from tests.helpers.factories import FPS, SIZE, SPECTROGRAM, noise, tiny_ccol, tiny_waves
from tests.helpers.outcomes import PARAMS, tiny_setup
from tests.helpers.weights import save_trained


def loaded(root: Path, network: CCoL, **options: object) -> CCoLSystem:
    save_trained(root / "checkpoints/cyclic/best.safetensors", network, PARAMS)
    [system] = load([entry_of("cyclic")], tiny_setup(root, **options))
    assert isinstance(system, CCoLSystem)
    return system


def pictures(seed: int) -> torch.Tensor:
    return noise(2, 3, SIZE, SIZE, seed=seed)


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False], ids=["one trunk", "a trunk each, as published"])
def test_it_answers_what_its_network_says(shared: bool, tmp_path: Path) -> None:
    network = tiny_ccol(3, shared_trunk=shared).eval()
    system = loaded(tmp_path, network)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in system.network.state_dict().items())
    heard = hear_sources(tiny_waves(2), SPECTROGRAM)
    seen = {name: [system.prepare(pictures(10 * n + b), "") for b in range(2)] for n, name in enumerate("ABCD")}
    assert all(isinstance(one, FrameFeatures) for own in seen.values() for one in own)
    asked = {name: together(own) for name, own in seen.items()}
    answer = system.answer(heard, asked)
    stacked = {
        name: network.frames(torch.stack([pictures(10 * n + b) for b in range(2)])) for n, name in enumerate("ABCD")
    }
    for name, mask in network.separate(heard.log_mixture, stacked).items():
        torch.testing.assert_close(answer.masks[name], mask, atol=1e-5, rtol=1e-4)
    grounded = network.ground(heard.log_sounds, stacked)
    assert answer.probability is not None
    for sound, name in (("mixture", "A"), ("mixture", "D"), ("A", "B"), ("C", "C")):
        torch.testing.assert_close(
            answer.probability(sound, name), grounded.probability(sound, name), atol=1e-5, rtol=0
        )


@torch.no_grad()
def test_it_grounds_without_separating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = loaded(tmp_path, tiny_ccol(3))
    heard = hear_sources(tiny_waves(1), SPECTROGRAM)
    asked = {"A": together([system.prepare(pictures(0), "")])}
    expected = system.answer(heard, asked).probability
    assert expected is not None

    def refuse(*_: object) -> None:
        raise AssertionError("it separates")

    monkeypatch.setattr(system.network, "separate", refuse)
    assert torch.equal(system.ground(heard, asked)("mixture", "A"), expected("mixture", "A"))


def test_it_sees_as_params_say(tmp_path: Path) -> None:
    system = loaded(tmp_path, tiny_ccol(3), frames=3, stride=2, square=True)
    assert system.sight == Sight("cyclic", FPS, 3, 2, SIZE, square=True, whole=False)
