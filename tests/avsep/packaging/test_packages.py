"""A package in use: in a folder, on the hub, and what is refused of one."""

import json
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import soundfile
from huggingface_hub import constants
from typer.testing import CliRunner

from avsep.cli import app
from avsep.errors import InputError
from avsep.info import trained
from avsep.media.wav import Wave
from avsep.packaging.folder import copy_package, read_package
from avsep.packaging.hub import default_model, located
from avsep.separate import Separator, load
from avsep.separating.separation import Sound
from avsep.separating.streaming import Place
from tests.helpers.trained import RATE, pack, write_measured, write_trained

BOXES = [Place(4, 4, 28, 40, None), Place(30, 6, 60, 44, None)]
NAME = "lab/sounds"
COMMIT = "0" * 40


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_measured(write_trained(tmp_path_factory.mktemp("run") / "trained"))


@pytest.fixture(scope="module")
def packed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package in half precision, far from what it was made of; not to be written to."""
    folder = tmp_path_factory.mktemp("packed") / "model"
    copy_package(pack(root, "float16"), folder)
    return folder


@pytest.fixture
def package(packed: Path, tmp_path: Path) -> Path:
    """One to be written to."""
    return Path(shutil.copytree(packed, tmp_path / "model"))


def edit(package: Path, **values: Any) -> None:
    """Sets values of config.json; `section__param` is one of its params."""
    told = json.loads((package / "config.json").read_text(encoding="utf-8"))
    for name, value in values.items():
        section, _, param = name.partition("__")
        if param:
            told["params"][section][param] = value
        else:
            told[name] = value
    (package / "config.json").write_text(json.dumps(told), encoding="utf-8")


# --- In a folder


def wave_of(sound: Sound) -> Wave:
    assert sound.wave is not None
    return sound.wave


def test_in_single_precision_it_gives_what_the_repository_gives(
    root: Path, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    video = make_video(tmp_path / "v.mp4", seconds=2, sound="anoisesrc=a=0.2:r=16000:seed=1")
    there = Separator.from_pretrained(root, seen=1.0)(video, boxes=BOXES)
    whole = Separator.from_pretrained(pack(root), seen=1.0)(video, boxes=BOXES)
    half = Separator.from_pretrained(pack(root, "float16"), seen=1.0)(video, boxes=BOXES)
    boxes = [number for number, one in enumerate(there) if one.found == "box"]
    assert len(boxes) == 2
    for number in boxes:
        np.testing.assert_array_equal(wave_of(there[number]), wave_of(whole[number]))
    loudest = max(np.abs(wave_of(there[number])).max() for number in boxes)
    for one, other in zip([one for one in half if one.found == "box"], boxes, strict=True):
        np.testing.assert_allclose(wave_of(one), wave_of(there[other]), atol=0.02 * loudest)


def test_it_is_asked_in_words(packed: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", 0.1 * np.random.default_rng(0).standard_normal(2 * RATE), RATE)
    found = Separator.from_pretrained(str(packed))(tmp_path / "s.wav", texts=["cello", "a dog"])
    assert [one.name for one in found] == ["cello", "a dog"] and all(wave_of(one).any() for one in found)


def test_its_scores_are_told(packed: Path) -> None:
    told = trained(packed)
    assert [one["system"] for one in told["systems"]] == ["cyclic", "trimodal_visual", "trimodal_text"]
    assert told["systems"][0]["nsdr"] == 1 and told["systems"][0]["scenes_snri"] == 4.5 and told["pairs"] == 6
    assert all(one["trained"] for one in told["systems"])


# --- What is refused, in one line


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another format": ({"format": 2}, r"has format 2, written by avsep [\w.]+; avsep [\w.]+ reads 1"),
    "another library": ({"model_type": "bert"}, "is of another library"),
    "a type": ({"classes": 1}, "is damaged at classes"),
    "what is unknown": ({"auto_map": "code.py"}, "is damaged at auto_map"),
    "scores": ({"scores": {"pairs": 1, "scenes": 1, "systems": []}}, r"is damaged at scores\.systems"),
    "a path out of it": ({"files": {"../../etc/passwd": "0"}}, "names '../../etc/passwd', which no package holds"),
    "code": ({"files": {"code.py": "0"}}, "names 'code.py'"),
    "no weights": ({"files": {}}, "names no checkpoints/cyclic/best.safetensors"),
    "a param that is new": ({"detect__sharpness": 1}, r"avsep [\w.]+: detect\.sharpness is no param"),
    "a param's type": ({"spectrogram__hop": "wide"}, r"avsep [\w.]+: spectrogram\.hop is 'wide'"),
}


@pytest.mark.parametrize("edits, told", REFUSED.values(), ids=REFUSED)
def test_a_package_of_another_kind_is_refused(edits: dict[str, Any], told: str, package: Path) -> None:
    edit(package, **edits)
    with pytest.raises(InputError, match=told) as error:
        Separator.from_pretrained(package)
    assert "\n" not in str(error.value)


def test_other_params_than_the_weights_are_refused_by_name(package: Path) -> None:
    edit(package, spectrogram__n_fft=1024)
    with pytest.raises(InputError, match=r"trained with spectrogram\.n_fft 1022, .*config\.json says 1024"):
        load(package)


def test_a_section_that_is_missing_is_named(package: Path) -> None:
    told = json.loads((package / "config.json").read_text(encoding="utf-8"))
    del told["params"]["vast"]
    (package / "config.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InputError, match="vast is missing"):
        Separator.from_pretrained(package)


@pytest.mark.parametrize("name", ["checkpoints/cyclic/best.safetensors", "checkpoints/pretrained/detector.safetensors"])
def test_other_bytes_and_missing_files_are_refused(name: str, package: Path) -> None:
    content = bytearray((package / name).read_bytes())
    content[-1] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is missing or not what"):
        Separator.from_pretrained(package)
    (package / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing or not what"):
        read_package(package)


def test_a_copy_takes_the_place_of_a_package_alone(packed: Path, package: Path, tmp_path: Path) -> None:
    (package / "mine.txt").write_text("mine", encoding="utf-8")
    size = copy_package(package, tmp_path / "copy")
    assert not (tmp_path / "copy/mine.txt").exists(), "what it holds, and nothing else"
    assert size == sum(path.stat().st_size for path in packed.rglob("*") if path.is_file())
    assert copy_package(package, tmp_path / "copy") == size
    (tmp_path / "other").mkdir()
    (tmp_path / "other/precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is there, and no package"):
        copy_package(package, tmp_path / "other")


# --- By name


@pytest.fixture
def cache(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache after a download of NAME: its own layout, read by huggingface_hub itself, without a network."""
    folder = tmp_path / "cache" / f"models--{NAME.replace('/', '--')}"
    shutil.copytree(packed, folder / "snapshots" / COMMIT)
    for ref in ("main", "v1"):
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / ref).write_text(COMMIT, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_name_of_the_hub_is_a_package(cache: Path) -> None:
    separator = Separator.from_pretrained(NAME, local_files_only=True)
    assert separator.root == cache / "snapshots" / COMMIT and separator.package is not None
    assert located(NAME, revision="v1", local_files_only=True) == separator.root
    assert located(Path(NAME), revision=COMMIT) == separator.root, "offline by the hub's own switch"
    with pytest.raises(InputError, match=r"lab/sounds is no folder here, and did not come from the Hugging Face hub"):
        located(NAME, revision="v2", local_files_only=True)
    with pytest.raises(InputError, match="lab/none is no folder here"):
        located("lab/none", local_files_only=True)


def test_of_the_hub_files_under_known_names_alone_are_asked_for(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **wanted: Any) -> str:
        asked.update(wanted, name=name)
        return str(packed)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert located(NAME, revision="v1") == packed
    assert (asked["name"], asked["revision"], asked["local_files_only"]) == (NAME, "v1", False)
    assert {Path(name).suffix for name in asked["allow_patterns"]} == {".json", ".md", ".safetensors", ".txt"}
    assert not any("*" in name for name in asked["allow_patterns"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **wanted: str(tmp_path))
    with pytest.raises(InputError, match="is no package of avsep"):
        located(NAME)


@pytest.mark.parametrize("name", ["checkpoints/package", "pretrained/demo", "here/none", "../lab/x", "a/b/c", "none"])
def test_what_is_missing_here_is_not_asked_of_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()

    def never(*_: Any, **__: Any) -> str:
        raise AssertionError("asked of the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", never)
    with pytest.raises(InputError, match="is missing: give a folder"):
        located(name)


class Hub:
    """Stands in for the hub's client: keeps what is uploaded, as the hub does."""

    files: dict[str, bytes]
    made: list[tuple[Any, ...]]

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> str:
        assert exist_ok
        self.made.append((name, private))
        return f"https://hub/{name}"

    def create_branch(self, name: str, *, branch: str, exist_ok: bool) -> None:
        self.made.append((name, branch))

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        allow_patterns: list[str],
        delete_patterns: list[str],
        revision: str | None,
        commit_message: str,
    ) -> None:
        for name in [name for name in self.files if any(fnmatch(name, pattern) for pattern in delete_patterns)]:
            del self.files[name]
        for path in (path for path in folder_path.rglob("*") if path.is_file()):
            name = path.relative_to(folder_path).as_posix()
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                self.files[name] = path.read_bytes()
        self.made.append((repo_id, revision, commit_message))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    Hub.files, Hub.made = {"checkpoints/ungated/best.safetensors": b"an earlier one"}, []
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return Hub


def test_pushed_it_is_what_it_was(hub: type[Hub], package: Path, tmp_path: Path) -> None:
    (package / "mine.txt").write_text("mine", encoding="utf-8")
    address = Separator.from_pretrained(package).push_to_hub(NAME, revision="v1", message="first")
    assert address == f"https://hub/{NAME}" and hub.made == [(NAME, True), (NAME, "v1"), (NAME, "v1", "first")]
    for name, content in hub.files.items():
        (tmp_path / "back" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "back" / name).write_bytes(content)
    assert set(hub.files) == {"README.md", "config.json", *read_package(package).files}
    assert Separator.from_pretrained(tmp_path / "back").package == read_package(package)


def test_what_cannot_be_pushed_is_told(
    hub: type[Hub], root: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="is no package"):
        Separator.from_pretrained(root).push_to_hub(NAME)
    with pytest.raises(InputError, match="no name of the hub"):
        Separator.from_pretrained(packed).push_to_hub("sounds")

    def refuse(self: Hub, name: str, **_: Any) -> str:
        raise OSError("401: who are you?\nmore")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    with pytest.raises(InputError, match=r"did not get to the hub as lab/sounds \(401: who are you\?\)$"):
        Separator.from_pretrained(packed).push_to_hub(NAME)


def test_the_word_copies_and_pushes(hub: type[Hub], packed: Path, tmp_path: Path) -> None:
    run = CliRunner()
    done = run.invoke(app, ["package", "copy", str(tmp_path / "copy"), "--model", str(packed)])
    assert done.exit_code == 0 and done.stdout.strip().endswith("MB") and read_package(tmp_path / "copy")
    done = run.invoke(app, ["package", "push", NAME, "--model", str(tmp_path / "copy"), "--public"])
    assert done.stdout.strip() == f"https://hub/{NAME}" and hub.made[0] == (NAME, False)


# --- Without a name


def test_without_a_name_what_is_here_is_taken(
    root: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, checkout = tmp_path / "here", tmp_path / "checkout"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(InputError, match="no model is here"):
        default_model(checkout)
    shutil.copytree(packed, checkout / "pretrained/demo")
    assert default_model(checkout) == checkout / "pretrained/demo"
    shutil.copytree(packed, checkout / "checkpoints/package")
    assert default_model(checkout) == checkout / "checkpoints/package"
    shutil.copytree(packed, here / "checkpoints/package")
    assert default_model(checkout) == Path("checkpoints/package")
    shutil.copytree(root, here, dirs_exist_ok=True, ignore=shutil.ignore_patterns("package"))
    assert default_model(checkout) == Path()
