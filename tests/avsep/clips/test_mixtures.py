"""What a sample is made of."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avsep.clips import mixtures
from avsep.clips.index import Video, video
from tests.helpers.factories import CLASSES, SAMPLES, hear_tiny, noise, tiny_heard, tiny_waves


def videos(per_class: int = 2) -> dict[str, list[Video]]:
    return {c: [video(Path("data"), c, f"{c}_{i}", 12) for i in range(per_class)] for c in CLASSES}


def test_partners_are_of_three_other_classes_and_all_occur() -> None:
    classes = videos()
    random = np.random.default_rng(0)
    first = classes["flute"][1]
    met: Counter[str] = Counter()
    for _ in range(200):
        mixture = mixtures.draw_partners(first, classes, random)
        assert mixture.a == first
        assert len({v.category for v in mixture}) == 4
        met.update(v.name for v in mixture[1:])
    assert set(met) == {v.name for c, members in classes.items() if c != "flute" for v in members}


def test_partners_by_video_or_by_class_or_any() -> None:
    """One class has 18 of 21 videos: among videos it is drawn as often as it has them, among classes as the others."""
    first, *others = CLASSES[:4]
    classes = {c: [video(Path("data"), c, f"{c}_{i}", 12) for i in range(18 if c == others[0] else 1)] for c in others}
    classes[first] = [video(Path("data"), first, "0", 12)]
    random = np.random.default_rng(0)

    def share(partners: mixtures.Partners) -> float:
        drawn = [mixtures.draw_partners(classes[first][0], classes, random, partners) for _ in range(300)]
        assert partners == "any" or all(len({v.category for v in mixture}) == 4 for mixture in drawn)
        return float(np.mean([mixture.b.category == others[0] for mixture in drawn]))

    assert share("videos") == pytest.approx(18 / 20, abs=0.06)
    assert share("classes") == pytest.approx(1 / 3, abs=0.09)
    assert share("any") == pytest.approx(18 / 21, abs=0.07)
    met = {mixtures.draw_partners(classes[first][0], classes, random, "any").c.category for _ in range(300)}
    assert first in met, "its own class too"


def test_fewer_than_four_classes_end_with_an_error() -> None:
    classes = {c: v for c, v in videos().items() if c in CLASSES[:3]}
    with pytest.raises(ValueError):
        mixtures.draw_partners(classes[CLASSES[0]][0], classes, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("fps", "count", "stride", "margin"),
    [(1, 3, 1, 1), (4, 1, 1, 4), (1, 3, 5, 5), (2, 5, 2, 4)],
)
def test_a_training_centre_keeps_its_margin_at_both_ends(fps: int, count: int, stride: int, margin: int) -> None:
    random = np.random.default_rng(0)
    drawn = {mixtures.centre_frame(20, fps, count, stride, random) for _ in range(500)}
    assert drawn == set(range(1 + margin, 20 - margin + 1))


def test_a_margin_in_seconds() -> None:
    random = np.random.default_rng(0)
    drawn = {mixtures.centre_frame(40, 2, 3, 1, random, margin=8.0) for _ in range(300)}
    assert drawn == set(range(17, 25))
    assert mixtures.centre_frame(30, 2, 3, 1, random, margin=8.0) == 16, "too short: its middle"


def test_the_fixed_centre() -> None:
    """ccol.md: count // 2 + 1, and of one frame that frame."""
    assert [mixtures.centre_frame(n, 1, 3, 1, None) for n in (1, 2, 3, 10, 11)] == [1, 2, 2, 6, 6]


def test_a_clip_too_short_for_the_margin_takes_its_middle() -> None:
    assert mixtures.centre_frame(5, 3, 3, 1, np.random.default_rng(0)) == 3


def test_frames_of_a_sample() -> None:
    assert mixtures.sample_frames(6, 3, 1, 11) == [5, 6, 7]
    assert mixtures.sample_frames(6, 3, 2, 11) == [4, 6, 8]
    assert mixtures.sample_frames(1, 3, 2, 11) == [1, 1, 3]
    assert mixtures.sample_frames(11, 3, 1, 11) == [10, 11, 11]
    assert mixtures.sample_frames(4, 1, 7, 11) == [4]


def test_a_frame_stands_for_the_middle_of_its_time() -> None:
    assert mixtures.frame_seconds(1, 1) == 0.5
    assert mixtures.frame_seconds(5, 2) == 2.25


def test_each_source_is_halved_in_a_mixture_of_two() -> None:
    waves = mixtures.mixed({"A": torch.ones(3), "C": -torch.ones(3)})
    assert waves["A"].tolist() == [0.5] * 3
    assert waves["C"].tolist() == [-0.5] * 3


# --- What is heard


def test_the_mixture_is_of_the_waves_sum() -> None:
    waves = tiny_waves(2)
    heard = hear_tiny(waves)
    assert heard.mixture.shape == (2, 1, 16, 16)
    assert set(heard.solo) == {"A", "C"}
    both = hear_tiny({"A": waves["A"] + waves["C"], "C": torch.zeros(2, SAMPLES)})
    torch.testing.assert_close(both.mixture, heard.mixture)
    torch.testing.assert_close(both.solo["A"], heard.mixture)
    assert not torch.allclose(heard.mixture, heard.solo["A"] + heard.solo["C"]), "magnitudes do not add up"


def test_targets_are_clamped_ratios() -> None:
    heard = tiny_heard(2)
    heard = replace(heard, solo={"A": heard.mixture * torch.linspace(0, 10, 16), "C": heard.solo["C"]})
    target = heard.target("A", 5.0)
    torch.testing.assert_close(target[0, 0, 3], torch.linspace(0, 10, 16).clamp(max=5))
    assert heard.target("A", 2.0).max() == 2


def test_a_silent_moment_has_a_finite_target_and_a_weight() -> None:
    heard = hear_tiny({"A": torch.zeros(1, SAMPLES), "C": torch.zeros(1, SAMPLES)})
    assert heard.target("A", 5.0).isfinite().all()
    assert heard.weight.min() == heard.weight.max() == pytest.approx(1e-3)


def test_weight_and_inputs_are_log_magnitudes() -> None:
    heard = tiny_heard(2)
    torch.testing.assert_close(heard.log_mixture, (1 + heard.mixture).log())
    torch.testing.assert_close(heard.weight, heard.log_mixture.clamp(1e-3, 10))
    assert set(heard.log_sounds) == {"A", "C", "mixture"}
    torch.testing.assert_close(heard.log_sounds["C"], (1 + heard.solo["C"]).log())
    loud = replace(heard, mixture=heard.mixture + 1e6)
    assert loud.weight.max() == 10


def test_hearing_a_batch_is_hearing_each_of_it() -> None:
    waves = {"A": noise(3, SAMPLES, seed=0), "C": noise(3, SAMPLES, seed=1)}
    batch, alone = hear_tiny(waves), hear_tiny({name: wave[1:2] for name, wave in waves.items()})
    torch.testing.assert_close(batch.mixture[1:2], alone.mixture)
    torch.testing.assert_close(batch.solo["C"][1:2], alone.solo["C"])
