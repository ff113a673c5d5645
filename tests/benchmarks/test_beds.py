"""The test beds run, at a tiny size, and refuse what they do not know."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from avsep.demo import sound
from benchmarks import bed, other_font, trial

TINY = "steps=2 batch=2 levels=3 channels=4 max_channels=8 embedding=4 per_class=1 seconds=4.0 timbre=0.0"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bed, "SCORED_VIDEOS", 1)
    monkeypatch.setattr(bed, "SCORED_SECONDS", 4.0)
    monkeypatch.setattr(bed, "SCORED_MIXTURES", 32)


@pytest.mark.usefixtures("few")
def test_a_line_is_the_same_twice_and_another_one_differs() -> None:
    one, again = (bed.learn(bed.settings_of(TINY), seed=0) for _ in range(2))
    other = bed.learn(bed.settings_of(f"{TINY} optimizer=muon"), seed=0)
    assert one.snri.shape == one.si_sdri.shape == (32,) and np.isfinite(one.snri).all()
    assert (one.snri == again.snri).all()
    assert (one.snri != other.snri).any()


def test_what_is_no_setting_is_refused() -> None:
    with pytest.raises(SystemExit, match="error: step: no setting; there are steps, batch"):
        bed.settings_of("step=3")


def test_a_trial_has_its_params_and_links(tmp_path: Path) -> None:
    at, folder, earlier = tmp_path / "at", tmp_path / "trial", tmp_path / "earlier"
    for made in (at / "data", at / "checkpoints/pretrained", at / "checkpoints/cyclic", at / "checkpoints/grounding"):
        made.mkdir(parents=True)
    (at / "params.yaml").write_text(yaml.safe_dump({"seed": 0, "threads": 2, "train": {"lr": 1.0, "batch": 4}}))
    trial.prepare(folder, at, "cyclic", ["train.lr=1.0e-3"], 7, {"grounding": earlier})
    params = yaml.safe_load((folder / "params.yaml").read_text())
    assert params == {"seed": 7, "threads": 1, "train": {"lr": 1e-3, "batch": 4}}
    links = {path.name: path.readlink() for path in (folder / "checkpoints").iterdir()}
    assert links == {"pretrained": at / "checkpoints/pretrained", "grounding": earlier / "checkpoints/grounding"}
    with pytest.raises(SystemExit, match=r"error: train\.rate is no param"):
        trial.prepare(folder, at, "cyclic", ["train.rate=1"], 0, {})


def test_another_font_plays_the_same_melody() -> None:
    """By the demo's own font it is the video's own sound, at timbre 0."""
    wave = other_font.heard(sound.sound_font(), 0, "flute", 3, 2.0)
    _, music, _ = np.random.default_rng([0, 2232532693, 3]).spawn(3)
    expected = sound.play(music, "flute", sound.compose(music, "flute", 2.0), 2.0, 0.0).mean(axis=1)
    assert (wave == expected).all()
