"""More sources than training mixes: drawn from the seed, in balance, and scored as two are."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from avsep.clips.index import Video
from avsep.scoring import sources
from avsep.scoring.separation import si_sdr
from avsep.systems.system import System
from tests.helpers.factories import CLASSES, write_data
from tests.helpers.outcomes import GATES, GROUNDED, REFERENCES, TRAINED, separate_sources, tiny_systems
from tests.helpers.toys import Silent, Waves


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


@pytest.fixture(scope="module")
def systems() -> dict[str, System]:
    return tiny_systems()


def test_mixtures_are_a_function_of_the_seed_and_in_balance(videos: list[Video]) -> None:
    drawn = sources.draw(videos, 3, 10, seed=0)
    assert drawn == sources.draw(list(reversed(videos)), 3, 10, seed=0) != sources.draw(videos, 3, 10, seed=1)
    assert all(len({video.category for video in mixture}) == 3 for mixture in drawn)
    assert set(Counter(video.category for mixture in drawn for video in mixture).values()) == {6}
    assert drawn[:4] == sources.draw(videos, 3, 4, seed=0), "the first n are the same for any count"
    with pytest.raises(ValueError, match="6 sources out of 5 classes"):
        sources.draw(videos, 6, 1, seed=0)


@pytest.mark.parametrize("count", [2, 4])
def test_rows_are_those_of_what_is_heard(videos: list[Video], systems: dict[str, System], count: int) -> None:
    drawn = sources.draw(videos, count, 3, seed=0)
    outcomes = separate_sources(drawn, 2, systems)
    rows = [row for made in outcomes for row in sources.score(made, GATES)]
    assert {row["system"] for row in rows} == {*REFERENCES, *TRAINED}, "no controls"
    assert len(rows) == 3 * count * len({*REFERENCES, *TRAINED})
    assert all(set(row) <= set(sources.COLUMNS) and row["sources"] == count for row in rows)
    oracle = [row["si_sdri"] for row in rows if row["system"] == "oracle"]
    assert np.mean(oracle) > 3, "the tones lie apart"
    assert [row["mixture"] for row in rows] == sorted(row["mixture"] for row in rows)
    assert [row["si_sdri"] for row in rows if row["system"] == "mixture"] == [0] * 3 * count
    mixture = torch.from_numpy(outcomes[0].mixture)
    first = [row["si_sdr"] for row in rows if row["system"] == "mixture" and row["mixture"] == 0]
    waves = [torch.from_numpy(wave) for wave in outcomes[0].references.values()]
    known = [float(si_sdr(mixture.double(), wave.double())) for wave in waves]
    assert first == pytest.approx(known, abs=1e-3)
    for row in rows:
        assert ("muted" in row) == (row["system"] in GROUNDED)
        if row["system"] in GROUNDED:
            assert row["muted"] == (row["probability"] < 0.5)
    assert {row["class"] for row in rows} <= set(CLASSES)
    by_mixture = {made.number: [video.name for video in made.videos.values()] for made in outcomes}
    assert [row["video"] for row in rows if row["system"] == "cyclic"] == [
        name for own in by_mixture.values() for name in own
    ]


def test_batches_change_nothing(videos: list[Video], systems: dict[str, System]) -> None:
    drawn = sources.draw(videos, 3, 3, seed=0)
    one, other = ([row for made in separate_sources(drawn, b, systems) for row in sources.score(made, GATES)]
                  for b in (1, 3))  # fmt: skip
    assert len(one) == len(other)
    for row, same in zip(one, other, strict=True):
        assert row == pytest.approx(same, abs=1e-2)


def test_waves_without_masks_are_scored(videos: list[Video], systems: dict[str, System]) -> None:
    drawn = sources.draw(videos, 3, 2, seed=0)
    made = separate_sources(drawn, 2, {"mixture": systems["mixture"], "waves": Waves(share=0.5)})
    assert made[0].masks == {} and set(made[0].estimates["waves"]) == {"1", "2", "3"}
    rows = [row for own in made for row in sources.score(own, {}) if row["system"] == "waves"]
    assert len(rows) == 6 and not any("probability" in row for row in rows)
    assert [row["si_sdri"] for row in rows] == pytest.approx([0] * 6, abs=1e-4), "it is the mixture, half as loud"
    assert all(row["snri"] > 1 for row in rows), "but nearer to a source that is a third of it"


def test_silence_that_a_system_gives_by_itself_has_an_snr_and_no_other_score(
    videos: list[Video], systems: dict[str, System]
) -> None:
    drawn = sources.draw(videos, 3, 1, seed=0)
    category = drawn[0][1].category
    asked = {"mixture": systems["mixture"], "silent": Silent(f"playing the {category}")}
    [made] = separate_sources(drawn, 1, asked)
    rows = {row["class"]: row for row in sources.score(made, {"silent": 0.5}) if row["system"] == "silent"}
    mixture = {row["class"]: row for row in sources.score(made, {"silent": 0.5}) if row["system"] == "mixture"}
    muted = rows.pop(category)
    assert (muted["probability"], muted["muted"]) == (0, 1)
    assert muted["snr"] == pytest.approx(0) and muted["snri"] == pytest.approx(-mixture[category]["snr"])
    assert np.isnan(muted["si_sdr"]) and np.isnan(muted["si_sdri"])
    assert len(rows) == 2 and all(row["muted"] == 0 and np.isfinite(row["si_sdri"]) for row in rows.values())


def test_the_gate_is_the_systems_own(videos: list[Video], systems: dict[str, System]) -> None:
    [made] = separate_sources([videos[:2]], 1, {name: systems[name] for name in ("mixture", *GROUNDED)})
    for gates, muted in (({"colearning": 0.0, "cyclic": 1.1}, {"colearning": {0}, "cyclic": {1}}),):
        rows = sources.score(made, gates)
        assert {s: {row["muted"] for row in rows if row["system"] == s} for s in GROUNDED} == muted
    other = replace(made, probabilities={})
    assert not any("muted" in row for row in sources.score(other, {}))
