"""CCoL's separation alone, asked as every system is, answers what its network says."""

from pathlib import Path

import pytest
import torch

from avsep.models.ungated import Ungated
from avsep.systems.catalogue import entry_of
from avsep.systems.system import Sight, hear_sources, together
from avsep.systems.ungated import UngatedSystem, load
from tests.helpers.factories import FPS, SIZE, SPECTROGRAM, noise, tiny_waves
from tests.helpers.outcomes import PARAMS, networks, tiny_setup
from tests.helpers.weights import save_trained


def loaded(root: Path, network: torch.nn.Module, **options: object) -> UngatedSystem:
    save_trained(root / "checkpoints/ungated/best.safetensors", network, PARAMS)
    [system] = load([entry_of("ungated")], tiny_setup(root, **options))
    assert isinstance(system, UngatedSystem)
    return system


@torch.no_grad()
def test_it_answers_what_its_network_says_and_grounds_nothing(tmp_path: Path) -> None:
    network = networks()["ungated"]
    assert isinstance(network, Ungated)
    system = loaded(tmp_path, network)
    heard = hear_sources(tiny_waves(2), SPECTROGRAM)
    pictures = {name: noise(2, 1, 3, SIZE, SIZE, seed=n) for n, name in enumerate("ABCD")}
    asked = {name: together([system.prepare(one, "") for one in own]) for name, own in pictures.items()}
    answer = system.answer(heard, asked)
    expected = network.separate(heard.log_mixture, {name: network.frames(own) for name, own in pictures.items()})
    assert set(answer.masks) == set("ABCD") and answer.probability is None
    for name, mask in expected.items():
        torch.testing.assert_close(answer.masks[name], mask, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("whole", [True, False])
def test_it_sees_crops_or_whole_frames(whole: bool, tmp_path: Path) -> None:
    system = loaded(tmp_path, networks()["ungated"], ungated_whole=whole)
    assert system.sight == Sight("ungated", FPS, 1, 1, SIZE, square=False, whole=whole)
    assert system.sight.reader(1000, 255, 4).objects != whole
