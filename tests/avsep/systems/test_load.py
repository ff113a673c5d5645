"""Every system that there is has a name of the catalogue, and can what its line says."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from avsep.errors import InputError
from avsep.systems import catalogue
from avsep.systems.catalogue import STAGES, SYSTEMS, entry_of
from avsep.systems.load import load_systems
from avsep.systems.system import Sight, System, hear_sources, together
from avsep.weights.clip import CLIP
from tests.helpers.factories import SAMPLES, SPECTROGRAM, noise, tiny_waves
from tests.helpers.outcomes import PARAMS, REFERENCES, tiny_setup, tiny_systems, write_weights

NAMES = [entry.name for entry in SYSTEMS]


@pytest.fixture(scope="module")
def systems() -> dict[str, System]:
    return tiny_systems()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder)
    return folder


def test_every_line_of_the_catalogue_is_loaded_in_its_order(systems: dict[str, System]) -> None:
    assert list(systems) == NAMES
    assert [system.name for system in systems.values()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_system_can_what_its_line_says(name: str, systems: dict[str, System]) -> None:
    entry, system = entry_of(name), systems[name]
    assert entry.grounds == hasattr(system, "ground")
    # what a class can, fine-tuned systems can as well, and are not asked for it
    for flag, capabilities in ((entry.confident, ("evidence", "embed")), (entry.looks, ("look", "see", "view"))):
        there = [hasattr(system, capability) for capability in capabilities]
        assert all(there) if flag else all(there) or not any(there)
        assert not any(there) or entry.module == "vast"
    if entry.looks:
        assert isinstance(cast(Any, system).view, Sight)
    assert (system.sight is None) == (entry.asked == "phrase" or entry.group == "reference")


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_system_answers_as_the_protocol_says(name: str, systems: dict[str, System]) -> None:
    system = systems[name]
    heard = hear_sources(tiny_waves(2), SPECTROGRAM, ["pairs/000", "pairs/001"])
    count, size = (system.sight.count, system.sight.size) if system.sight is not None else (0, 16)
    pictures = [noise(count, 3, size, size, seed=n) for n in range(2)] if count else [torch.empty(0)] * 2
    asked = {object_: together([system.prepare(own, "playing the cello") for own in pictures]) for object_ in "ABCD"}
    answer = system.answer(heard, asked)
    objects = ("A", "C") if name in REFERENCES else tuple("ABCD")
    assert set(answer.sounds(SPECTROGRAM, heard.wave)) == set(objects)
    assert bool(answer.masks) != bool(answer.waves), "masks or waves"
    assert all(mask.shape == heard.mixture.shape for mask in answer.masks.values())
    assert all(wave.shape == (2, SAMPLES) for wave in answer.sounds(SPECTROGRAM, heard.wave).values())
    assert (answer.probability is not None) == entry_of(name).grounds
    if answer.probability is not None:
        said = cast(Any, system).ground(heard, asked)
        for sound, object_ in (("mixture", "B"), ("A", "A"), ("C", "D")):
            p = answer.probability(sound, object_)
            assert p.shape == (2,) and ((p >= 0) & (p <= 1)).all()
            torch.testing.assert_close(said(sound, object_), p)


@pytest.mark.parametrize("stages", [[], ["cyclic"], ["finetune", "baseline"]], ids="+".join)
def test_only_the_weights_of_the_stages_are_needed(stages: list[str], tmp_path: Path) -> None:
    write_weights(tmp_path)
    for stage in set(STAGES) - set(stages):
        (tmp_path / f"checkpoints/{stage}/best.safetensors").unlink()
    if not {"trimodal", "finetune"} & set(stages):
        (tmp_path / CLIP).unlink()
    found = load_systems(stages, tiny_setup(tmp_path))
    assert list(found) == [entry.name for entry in SYSTEMS if entry.stage is None or entry.stage in stages]


@pytest.mark.parametrize("stage", STAGES)
def test_weights_that_are_missing_are_told_in_one_line(stage: str, tmp_path: Path) -> None:
    write_weights(tmp_path)
    (tmp_path / f"checkpoints/{stage}/best.safetensors").unlink()
    with pytest.raises(InputError, match=f"checkpoints/{stage}/best.safetensors") as caught:
        load_systems([stage], tiny_setup(tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_told_in_one_line(root: Path) -> None:
    with pytest.raises(InputError, match=r"checkpoints/cyclic/best\.safetensors") as caught:
        load_systems(["cyclic"], tiny_setup(root, params={**PARAMS, "model": {**PARAMS["model"], "unet_channels": 4}}))
    assert "\n" not in str(caught.value)


def test_systems_of_one_file_share_networks(systems: dict[str, System]) -> None:
    visual, text, tuned = (cast(Any, systems[name]) for name in ("trimodal_visual", "trimodal_text", "finetune_visual"))
    assert visual.network is text.network and visual.network is not tuned.network
    assert visual.clip is tuned.clip and visual.words is text.words
    assert catalogue.entry_of("trimodal_visual").module == catalogue.entry_of("finetune_text").module


def test_networks_are_made_to_be_asked(systems: dict[str, System]) -> None:
    networks = [cast(Any, system).network for system in systems.values() if hasattr(system, "network")]
    assert len(networks) == 8 and not any(network.training for network in networks)
