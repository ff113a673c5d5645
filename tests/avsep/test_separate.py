"""The front door, with tiny random networks: from a video to objects and sounds, from any working directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from avsep.clips.index import listed_classes
from avsep.errors import InputError
from avsep.separate import Separated, load
from avsep.separating.tracks import Object
from avsep.separating.video import Separator
from avsep.weights.detectors import save_no_detector, save_zero_shot
from tests.helpers.trained import FPS, RATE, SAMPLES, write_trained
from tests.helpers.zero_shot import write_zero_shot

BOXES = ((4, 4, 28, 40), (30, 6, 60, 44))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What a run leaves: params, weights, gates, lists."""
    return write_trained(tmp_path / "trained")


@pytest.fixture
def video(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    return make_video(tmp_path / "somewhere" / "-a video %.mp4", seconds=3)


def sees(monkeypatch: pytest.MonkeyPatch, *boxes: tuple[int, int, int, int]) -> None:
    """The detector sees a thing of another class at each box, in all frames."""

    def objects(self: Separator, frames: list[Any]) -> list[Object]:
        everywhere = tuple(range(1, len(frames) + 1))
        return [Object(label, 0.9, (box,) * len(frames), everywhere) for label, box in enumerate(boxes, start=1)]

    monkeypatch.setattr(Separator, "objects", objects)


def test_a_video_becomes_objects_with_sounds(
    root: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    monkeypatch.chdir(tmp_path)  # neither the trained folder nor the repository
    separator = load(root)
    assert (separator.system, separator.rate) == ("cyclic", RATE), "the first that stands for its method"
    found = separator(video)
    assert (found.rate, found.fps, found.samples) == (RATE, FPS, SAMPLES) and len(found.mixture) == 3 * RATE
    assert [(one.number, one.category) for one in found.objects] == [(1, "cello"), (2, "flute")]
    windows = len(found.starts)
    for one, box in zip(found.objects, BOXES, strict=True):
        assert one.wave.shape == found.mixture.shape and np.isfinite(one.wave).all() and one.wave.any()
        assert one.boxes.tolist() == [list(box)] * (3 * FPS) and one.confidence == 0.9
        assert one.probability is not None and one.probability.shape == (windows,)
        assert ((one.probability > 0) & (one.probability < 1)).all()
        assert one.muted is not None and not one.muted.any(), "the gate is 0"
    total = found.rest + sum(one.wave for one in found.objects)
    np.testing.assert_allclose(total, found.mixture, atol=1e-6)


def test_a_gate_mutes(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, *BOXES)
    (root / "metrics/evaluate.json").write_text('{"gates": {"cyclic": 1.0}}', encoding="utf-8")
    found = load(root)(video)
    assert all(one.muted is not None and one.muted.all() and not one.wave.any() for one in found.objects)
    np.testing.assert_array_equal(found.rest, found.mixture)


@pytest.mark.parametrize("system", ["trimodal_visual", "trimodal_text"])
def test_vast_separates_and_says_of_none_that_it_is_silent(
    system: str, root: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(monkeypatch, *BOXES)
    found: Separated = load(root, system=system)(video)
    assert all(one.probability is None and one.muted is None and one.wave.any() for one in found.objects)


def test_a_video_without_an_object_is_all_rest(root: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch)
    found = load(root)(video)
    assert found.objects == ()
    np.testing.assert_array_equal(found.rest, found.mixture)


def test_a_sound_alone_is_asked_in_words(root: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    stereo = (0.1 * random.standard_normal((2 * RATE, 2))).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", stereo, RATE)
    separator = load(root, system="trimodal_text")
    phrases = ["playing the cello", "playing the tuba"]
    found = separator.ask(tmp_path / "song.wav", phrases)
    assert list(found) == phrases and not np.allclose(found[phrases[0]], found[phrases[1]])
    assert all(wave.shape == (2 * RATE,) and wave.any() for wave in found.values())
    soundfile.write(tmp_path / "fast.wav", np.repeat(stereo, 2, axis=0), 2 * RATE)  # another rate comes to ours
    assert separator.ask(tmp_path / "fast.wav", phrases[:1])[phrases[0]].shape == (2 * RATE,)
    with pytest.raises(InputError, match="cyclic sees objects"):
        load(root).ask(tmp_path / "song.wav", phrases)
    with pytest.raises(InputError, match="the phrase"):
        separator.ask(tmp_path / "song.wav", ["скрипка"])
    with pytest.raises(InputError, match=r"none\.wav"):
        separator.ask(tmp_path / "none.wav", phrases)


def test_a_detector_that_is_asked_in_words_looks_for_the_training_classes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = root / "checkpoints/pretrained"
    source = write_zero_shot("owlv2", tmp_path / "source")
    save_zero_shot("owlv2", source, pretrained / "detector.safetensors", pretrained / "zero_shot")
    with pytest.raises(InputError, match=r"train\.csv is missing"):
        load(root)
    (root / "data/index").mkdir(parents=True)
    rows = [f"/{name}/x_{i}.wav,/{name}/x_{i}.mp4,12" for i in range(2) for name in ("tuba", "cello")]
    (root / "data/index/train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert listed_classes(root / "data/index/train.csv") == ["cello", "tuba"]
    monkeypatch.chdir(tmp_path)
    assert load(root).separator.classes == ["cello", "tuba"]
    assert load(root, classes=["a red bus"]).separator.classes == ["a red bus"]


def test_what_cannot_be_used_is_told(root: Path, video: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="system 'baseline' is none of cyclic, trimodal_visual, trimodal_text"):
        load(root, system="baseline")
    with pytest.raises(InputError, match="device 'tpu9' cannot be used here"):
        load(root, device="tpu9")
    with pytest.raises(InputError, match=r"params\.yaml is missing"):
        load(tmp_path)
    text = tmp_path / "text.mp4"
    text.write_text("no video", encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.mp4 cannot be used"):
        load(root)(text)
    pretrained = root / "checkpoints/pretrained"
    save_no_detector(pretrained / "detector.safetensors", pretrained / "zero_shot")
    with pytest.raises(InputError, match="holds no detector"):
        load(root)
    (root / "checkpoints/cyclic/best.safetensors").unlink()
    with pytest.raises(InputError, match=r"detector|best\.safetensors is missing"):
        load(root)
