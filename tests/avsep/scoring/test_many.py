"""More sources than training mixes: drawn from the seed, in balance, and scored as two are."""

from collections import Counter

import numpy as np
import pytest
import torch

from avsep.clips.index import Video
from avsep.scoring import many
from avsep.scoring.separation import si_sdr
from avsep.scoring.systems import GROUNDED
from tests.helpers.factories import CLASSES, SPECTROGRAM, tiny_reader, write_data, write_video
from tests.helpers.outcomes import GATES, networks, told


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


def test_mixtures_are_a_function_of_the_seed_and_in_balance(videos: list[Video]) -> None:
    drawn = many.draw(videos, 3, 10, seed=0)
    assert drawn == many.draw(list(reversed(videos)), 3, 10, seed=0) != many.draw(videos, 3, 10, seed=1)
    assert all(len({video.category for video in mixture}) == 3 for mixture in drawn)
    assert set(Counter(video.category for mixture in drawn for video in mixture).values()) == {6}
    assert drawn[:4] == many.draw(videos, 3, 4, seed=0), "the first n are the same for any count"
    with pytest.raises(ValueError, match="6 sources out of 5 classes"):
        many.draw(videos, 6, 1, seed=0)


def test_a_video_that_is_silent_is_named(videos: list[Video]) -> None:
    root = videos[0].audio.parents[2]
    quiet = write_video(root, "harp", "quiet", seed=99, silent_until=2.5)
    quiet_at_its_middle = many.silent((videos[0], quiet), tiny_reader())
    assert [video.name for video in quiet_at_its_middle] == ["harp/quiet"]
    assert many.silent((videos[0], videos[1]), tiny_reader()) == []


@pytest.mark.parametrize("sources", [2, 4])
def test_rows_are_those_of_what_is_heard(videos: list[Video], sources: int) -> None:
    drawn = dict(zip((0, 1, 5), many.draw(videos, sources, 3, seed=0), strict=True))
    heard = many.Together(drawn, tiny_reader())
    sees = {s: many.Together(drawn, tiny_reader(objects=s != "baseline"), seen=True) for s in ("baseline", *GROUNDED)}
    said = told(drawn.values())
    options = dict(spectrogram=SPECTROGRAM, max_target=5.0, device="cpu", batch=2)
    batches = many.score_all(networks(), heard, sees, said, GATES, **options)  # type: ignore[arg-type]
    rows = [row for batch in batches for row in batch]
    assert len(rows) == 3 * sources * len(many.SYSTEMS)
    assert all(set(row) <= set(many.COLUMNS) and row["sources"] == sources for row in rows)
    oracle = [row["si_sdri"] for row in rows if row["system"] == "oracle"]
    assert np.mean(oracle) > 3, "the tones lie apart"
    assert {row["mixture"] for row in rows} == {0, 1, 5}, "2, 3 and 4 were silent"
    assert [row["si_sdri"] for row in rows if row["system"] == "mixture"] == [0] * 3 * sources
    waves = heard[0]["waves"]
    mixture = torch.stack(list(waves.values())).sum(0)
    first = [row["si_sdr"] for row in rows if row["system"] == "mixture" and row["mixture"] == 0]
    known = [float(si_sdr(mixture.double(), wave.double())) for wave in waves.values()]
    assert first == pytest.approx(known, abs=1e-3)
    for row in rows:
        if row["system"] in GROUNDED:
            assert row["muted"] == (row["probability"] < 0.5)
    assert {row["class"] for row in rows} <= set(CLASSES)
