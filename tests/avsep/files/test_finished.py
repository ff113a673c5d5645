"""What a stage has finished is taken back as it was made, or not at all."""

import json
from pathlib import Path

import pytest

from avsep.files import finished
from avsep.files.finished import ABOUT, Finished

ITEM, OTHER = ("cello", "a"), ("cello", "b")


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    for path in (paths := [Path("data/frames/cello/a.zip"), Path("data/audio/cello/a.wav")]):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    return paths


def written(paths: list[Path]) -> list[str | None]:
    return [path.read_text() if path.exists() else None for path in paths]


def test_what_was_kept_comes_back_after_dvc_has_put_others_there(outputs: list[Path]) -> None:
    Finished("extract").keep(ITEM, "made from this", outputs, status="ok", frames="2")
    outputs[0].unlink()
    outputs[0].write_text("another run's")
    outputs[1].unlink()
    assert Finished("extract").take(ITEM, "made from this", outputs) == {"status": "ok", "frames": "2"}
    assert written(outputs) == ["a.zip", "a.wav"]


def test_a_rejected_video_comes_back_as_nothing(outputs: list[Path]) -> None:
    for path in outputs:
        path.unlink()
    Finished("extract").keep(ITEM, "this", outputs, status="rejected")
    outputs[0].write_text("another run's")
    assert Finished("extract").take(ITEM, "this", outputs) == {"status": "rejected"} and written(outputs) == [
        None,
        None,
    ]


def test_nothing_that_was_made_otherwise_comes_back(outputs: list[Path]) -> None:
    kept = Finished("extract")
    kept.keep(ITEM, "this", outputs, status="ok")
    assert kept.take(ITEM, "that", outputs) is kept.take(OTHER, "this", outputs) is None
    assert Finished("detect").take(ITEM, "this", outputs) is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"values": {}}', '{"outputs": "0", "values": {"status": "ok"}}'])
def test_what_is_damaged_is_made_anew(outputs: list[Path], damage: str) -> None:
    kept = Finished("extract")
    kept.keep(ITEM, "this", outputs, status="ok")
    (about,) = kept.path.rglob(ABOUT)
    about.write_text(damage)
    assert kept.take(ITEM, "this", outputs) is None


def test_bytes_that_changed_are_not_believed(outputs: list[Path]) -> None:
    kept = Finished("extract")
    kept.keep(ITEM, "this", outputs, status="ok")
    outputs[1].write_text("through the file's other name")
    assert kept.take(ITEM, "this", outputs) is None


def test_no_more_is_kept_than_is_asked_for(outputs: list[Path]) -> None:
    kept = Finished("extract")
    for made_from in ("an older one", "this"):
        kept.keep(ITEM, made_from, outputs, status="ok")
    kept.keep(OTHER, "this", outputs, status="ok")
    kept.keep_only({ITEM: "this"})
    assert len([*kept.path.iterdir()]) == 1 and kept.take(ITEM, "this", outputs) == {"status": "ok"}
    kept.clear()
    assert not Path("data/unfinished").exists() and all(path.exists() for path in outputs)
    kept.clear()


def test_files_have_one_copy_or_where_there_are_no_links_two(
    outputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Finished("extract")
    kept.keep(ITEM, "this", outputs, status="ok")
    assert all(path.stat().st_nlink == 2 for path in outputs)
    kept.clear()

    def refused(*_: object) -> None:
        raise PermissionError("this file system knows no links")

    monkeypatch.setattr(finished.os, "link", refused)
    kept.keep(ITEM, "this", outputs, status="ok")
    outputs[0].unlink()
    assert kept.take(ITEM, "this", outputs) == {"status": "ok"}
    assert written(outputs) == ["a.zip", "a.wav"] and all(path.stat().st_nlink == 1 for path in outputs)
    assert json.loads(next(kept.path.rglob(ABOUT)).read_text())["values"] == {"status": "ok"}
