"""Where the videos come from, and what the demo's must be."""

from typing import Any

import pytest

from avsep.params.contradictions import videos
from avsep.params.loading import check
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "videos.path is avsep/demo: videos.source folder needs the path": changed(videos__source="folder"),
    "videos.path is /videos: videos.source demo is made from avsep/demo": changed(videos__path="/videos"),
    "survey.watched is avsep/demo: it follows from videos.source, folder": changed(
        videos__source="folder", videos__path="/videos", survey__watched="avsep/demo"
    ),
    "download.url is https://example.org/: {id} must stand": changed(download__url="https://example.org/"),
    "audio.samples": changed(audio__samples=11025 * 60),
    "videos.per_class": changed(videos__per_class=2),
    "index.min_seconds": changed(index__min_seconds=3600.0),
    "extract.fps": changed(extract__fps=60),
    "index.min_seconds is 3600: sets every clip aside": changed(index__min_seconds=3600.0),
    "videos.classes has 3 classes": changed(videos__classes=["cello", "flute", "tuba"]),
    "videos.classes names a class twice": changed(videos__classes=["cello", "cello", "flute", "tuba", "violin"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(videos.CHECKS, REFUSED.values())


def test_videos_that_are_brought_are_asked_nothing_of_the_demos() -> None:
    check(changed(videos__source="folder", videos__path="/videos", videos__classes=[], videos__per_class=1))
