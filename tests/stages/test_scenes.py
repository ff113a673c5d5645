"""Stage scenes: a set of every kind, or an empty one for a user's own videos."""

import json
from pathlib import Path
from typing import Any

import pytest

from avsep.errors import InputError
from avsep.params.sections import Scenes, Videos
from avsep.params.stages import ScenesParams
from avsep.scenes.files import list_scenes, read_stem, read_truth
from avsep.scenes.rendering import KINDS
from stages import scenes


def params(classes: tuple[str, ...] = ("cello", "flute", "trumpet", "tuba"), source: Any = "demo") -> ScenesParams:
    videos: dict[str, Any] = {"per_class": 3, "seconds": 6.0, "timbre": 1.0, "fps": 2, "width": 64, "height": 64}
    videos["path"] = "avsep/demo" if source == "demo" else "/videos"
    return ScenesParams(
        seed=0,
        videos=Videos(source=source, classes=list(classes), **videos),
        scenes=Scenes(per_kind=1, players=(2, 3), seconds=1.0, width=64, height=64, apart_db=10.0, noise_db=-10.0),
    )


def metrics() -> dict[str, Any]:
    return json.loads(Path("metrics/scenes.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_scene_of_each_kind_with_all_its_files_and_nothing_old() -> None:
    (scenes.SCENES / "plain_77").mkdir(parents=True)
    scenes.main(params())
    names = [f"{kind}_00" for kind in KINDS]
    assert list_scenes(scenes.SCENES) == sorted(names)
    stems = {path.relative_to(scenes.SCENES).as_posix() for path in scenes.SCENES.glob("*/*.wav")}
    truths = [read_truth(scenes.SCENES, name) for name in names]
    assert stems == {f"{truth.name}/{stem}" for truth in truths for stem in truth.stems()}
    files = {path.name for path in scenes.SCENES.iterdir() if path.is_file()}
    assert files == {f"{name}{suffix}" for name in names for suffix in (".mp4", ".truth.json")}
    assert not (scenes.SCENES / "plain_77").exists()
    told = metrics()
    assert told["scenes"] == len(KINDS) and told["kinds"] == dict.fromkeys(KINDS, 1)
    assert told["players"] == sum(len(truth.players) for truth in truths)
    assert told["playing"] == sum(player.playing for truth in truths for player in truth.players)


def test_a_users_own_videos_have_no_scenes() -> None:
    (scenes.SCENES / "plain_00").mkdir(parents=True)
    scenes.main(params(source="folder"))
    assert list(scenes.SCENES.iterdir()) == [] and list_scenes(scenes.SCENES) == []
    assert metrics() == {"scenes": 0, "seconds": 0, "kinds": {}, "players": 0, "playing": 0}


def test_mistakes_are_told() -> None:
    with pytest.raises(InputError, match=r"videos\.classes names kazoo"):
        scenes.main(params(("cello", "flute", "kazoo", "tuba")))
    with pytest.raises(InputError, match="data/scenes is missing: run stage scenes"):
        list_scenes(scenes.SCENES)
    scenes.SCENES.mkdir(parents=True)
    (scenes.SCENES / "plain_00.truth.json").write_text('{"kind": "plain"}')
    with pytest.raises(InputError, match=r"plain_00\.truth\.json does not tell what is in the scene"):
        read_truth(scenes.SCENES, "plain_00")
    with pytest.raises(InputError, match=r"plain_00/player_0\.wav is missing: run stage scenes again"):
        read_stem(scenes.SCENES, "plain_00", "player_0.wav", 11025, 100)
