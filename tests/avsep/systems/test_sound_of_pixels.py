"""Sound of Pixels, asked as every system is, answers what its network says."""

from pathlib import Path

import pytest
import torch

from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.systems.catalogue import entry_of
from avsep.systems.sound_of_pixels import SoundOfPixelsSystem, load
from avsep.systems.system import Sight, hear_sources, together
from tests.helpers.factories import FPS, SIZE, SPECTROGRAM, noise, tiny_waves
from tests.helpers.outcomes import PARAMS, networks, tiny_setup
from tests.helpers.weights import save_trained


def loaded(root: Path, network: torch.nn.Module, masks: str = "binary", **baseline: int) -> SoundOfPixelsSystem:
    params = {**PARAMS, "baseline": {**PARAMS["baseline"], "masks": masks, **baseline}}
    save_trained(root / "checkpoints/baseline/best.safetensors", network, params)
    seen = {f"baseline_{name}": value for name, value in baseline.items()}
    [system] = load([entry_of("baseline")], tiny_setup(root, params=params, **seen))
    assert isinstance(system, SoundOfPixelsSystem)
    return system


@torch.no_grad()
@pytest.mark.parametrize("binary", [True, False])
def test_it_answers_what_its_network_says_and_grounds_nothing(binary: bool, tmp_path: Path) -> None:
    network = networks()["baseline"]
    assert isinstance(network, SoundOfPixels)
    system = loaded(tmp_path, network, "binary" if binary else "ratio")
    heard = hear_sources(tiny_waves(2), SPECTROGRAM)
    pictures = {name: noise(2, 1, 3, SIZE, SIZE, seed=n) for n, name in enumerate("ABCD")}
    asked = {name: together([system.prepare(one, "") for one in own]) for name, own in pictures.items()}
    answer = system.answer(heard, asked)
    expected = network.separate(heard.mixture, {name: network.frames(own) for name, own in pictures.items()})
    assert set(answer.masks) == set("ABCD") and answer.probability is None
    for name, mask in expected.items():
        if binary:
            assert set(answer.masks[name].unique().tolist()) <= {0.0, 1.0}
            sure = (mask - 0.5).abs() > 1e-4
            assert sure.any()
            torch.testing.assert_close(answer.masks[name][sure], (mask > 0.5).float()[sure])
        else:
            torch.testing.assert_close(answer.masks[name], mask, atol=1e-5, rtol=1e-4)


def test_it_sees_whole_frames_at_its_own_rate(tmp_path: Path) -> None:
    system = loaded(tmp_path, networks()["baseline"], fps=2, frames=3, stride=5)
    assert system.sight == Sight("baseline", 2, 3, 5, SIZE, square=False, whole=True)
    reader = system.sight.reader(1000, 255, 8)
    assert not reader.objects and (reader.fps, reader.step) == (2, 4)
    assert Sight("baseline", FPS, 3, 5, SIZE, square=False, whole=True) != system.sight
