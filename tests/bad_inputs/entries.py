"""Where files come in: a good one each, and the code of the pipeline that reads it."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image

from avsep import archives, cli, fetch
from avsep.clips.index import read_index, read_mixtures
from avsep.clips.leaks import read_leaks, write_leaks
from avsep.errors import InputError
from avsep.files.hashes import Hashes
from avsep.files.ledgers import Ledger, recorded_outputs
from avsep.folders import Job, separate_all
from avsep.info import trained
from avsep.media import annotations, frames
from avsep.media.detections import read_detections
from avsep.media.ffmpeg import extract, ffmpeg, take_over
from avsep.media.sounds import load_sound
from avsep.media.wav import duration, loudest_db, read_window, write_wav
from avsep.packaging.folder import copy_package, read_package
from avsep.params.loading import read
from avsep.report import mixtures, sounds, tables
from avsep.scenes.files import Other, Player, Truth, list_scenes, read_stem, read_truth, write_truth
from avsep.scoring.localisation import true_box
from avsep.separate import Separator, trained_in
from avsep.separating.gates import read_gates
from avsep.separating.reading import about, opened, shown_size, sound_of
from avsep.sources import lists, published
from avsep.sources.manifest import Row, read_manifest, read_parts, write_manifest
from avsep.systems.catalogue import SYSTEMS
from avsep.systems.files import level_of
from avsep.systems.files import load as load_others
from avsep.systems.load import load_systems
from avsep.training.resume import deps_of
from avsep.weights.captions import Caption, captions_of, load_captions, save_captions
from avsep.weights.checkpoints import load_torch
from avsep.weights.clip import load_teacher
from avsep.weights.detectors import check_zero_shot
from stages.index import read_extracted
from tests.helpers import factories, outcomes, published_layout
from tests.helpers.open_images import write_open_images
from tests.helpers.trained import pack, write_measured, write_trained
from tests.helpers.zero_shot import write_zero_shot

ROOT = Path(__file__).parents[2]
RATE, FPS, FRAMES = factories.RATE, factories.FPS, factories.FRAMES
VIDEO = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=8:duration=2", "-f", "lavfi", "-t", "2", "-i", "sine=440"]


# A cache, a ledger; what need not be there; what may be an archive, or not.
LENIENT = {
    *("data/.hashes", "the ledger of captions", "the table of leaks", "a video's truth", "dvc.yaml"),
    *("what was fetched, published.json", "a hub's owlv2, tokenizer_config.json"),
    *("an archive to unpack (.zip)", "an archive to unpack (.tar.gz)"),
}


@dataclass(frozen=True)
class Entry:
    """A place where a file comes in."""

    name: str
    format: str  # which of `spoiling`'s faults fit
    write: Callable[[Path], Path]  # what is good, in a new folder -> the file that is to be spoilt
    read: Callable[[Path], object]  # of that folder, as the pipeline does

    @property
    def lenient(self) -> bool:
        """Whether what is no such file, or missing, may be done without."""
        return self.name in LENIENT


ENTRIES: dict[str, Entry] = {}


def entry(name: str, form: str, write: Callable[[Path], Path]) -> Callable[[Callable[[Path], object]], None]:
    def add(reader: Callable[[Path], object]) -> None:
        ENTRIES[name] = Entry(name, form, write, reader)

    return add


def text(name: str, content: str) -> Callable[[Path], Path]:
    """Writes one file of text."""

    def write(folder: Path) -> Path:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return write


# --- Videos


def video(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        ends = ["-movflags", "+faststart"] if name.endswith(".mp4") else []
        command = [ffmpeg(), "-y", "-nostdin", "-loglevel", "error", *VIDEO, "-threads", "1", *ends]
        subprocess.run([*command, f"file:{folder / name}"], check=True)
        return folder / name

    return write


def _extract(folder: Path) -> None:
    [file] = [path for path in folder.iterdir() if path.suffix in (".mp4", ".mkv", ".webm", ".avi", ".mts")]
    extract(file, folder / "frames.zip", folder / "sound.wav", FPS, RATE)


for _suffix in ("mp4", "mkv", "webm", "avi", "mts"):
    entry(f"a video to extract (.{_suffix})", "video", video(f"video.{_suffix}"))(_extract)


@entry("a video to separate", "video", video("video.mp4"))
def _separate(folder: Path) -> None:
    said = about(folder / "video.mp4", pictures=True)
    shown_size(said)
    with opened(said, FPS, RATE) as (kept, pictures):
        for _ in pictures:
            pass
        kept.heard(0, kept.samples)
    for _ in sound_of(said):
        pass


# --- What others have extracted


def layout(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        published_layout.write_layout(folder, ["cello/a"])
        return folder / name

    return write


def _take_over(folder: Path) -> None:
    if not (folder / "audio/cello/a.wav").is_file():
        raise InputError("stage videos lists plain files alone")
    take_over(
        folder / "audio/cello/a.wav", folder / "frames/cello/a.mp4", folder / "out.zip", folder / "out.wav", 1, 11025
    )


entry("an imported sound", "wav", layout("audio/cello/a.wav"))(_take_over)
entry("an imported frame", "jpg", layout("frames/cello/a.mp4/000003.jpg"))(_take_over)


@entry("detections", "npy", layout("detection_results/cello/a.mp4.npy"))
def _detections(folder: Path) -> None:
    read_detections(folder / "detection_results/cello/a.mp4.npy", published_layout.SECONDS)


def published_lists(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        names = {split: [f"{c}/{c}_{split}" for c in factories.CLASSES] for split in published.SPLITS}
        published_layout.write_lists(folder, names, [names["test"][:4]])
        return folder / name

    return write


for _name in ("train.csv", "test.csv", "test_sep.csv"):
    entry(f"a published list, {_name}", "csv", published_lists(_name))(lambda folder: published.read_lists(folder))


# --- Lists of ids, manifests, ledgers


IDS = {name: [f"{name:_<10.10}{number}" for number in range(3)] for name in factories.CLASSES}
SPANS = {name: {one: [[0, 250], [300, 400]] for one in ids} for name, ids in IDS.items()}
ROWS = "class,id,from,to\n" + "".join(f"{c},{one},0,2.5\n" for c, ids in IDS.items() for one in ids)


entry("a list of ids (.json)", "json", text("list.json", json.dumps({"version": 1.0, "videos": IDS})))(
    lambda folder: lists.read_lists(folder / "list.json", "videos.path")
)
entry("a list of parts (.json)", "json", text("list.json", json.dumps(SPANS)))(
    lambda folder: lists.read_lists(folder / "list.json", "videos.path")
)
entry("a list of ids (.csv)", "csv", text("list.csv", ROWS))(
    lambda folder: lists.read_lists(folder / "list.csv", "videos.path")
)


def manifest(folder: Path) -> Path:
    rows = [Row(name, f"{name}_0", f"{name}/{name}_0.mp4", "7.0", "0" * 64, "0-1;2-3") for name in factories.CLASSES]
    write_manifest(folder / "manifest.csv", rows)
    return folder / "manifest.csv"


@entry("the manifest", "csv", manifest)
def _manifest(folder: Path) -> None:
    for row, file in read_manifest(folder / "manifest.csv", folder):
        read_parts(row.parts, "the manifest")
        file.is_file()


COLUMNS = ["frames", "samples", "status", "reason"]


def ledger(folder: Path) -> Path:
    with Ledger(folder / "extract.csv", COLUMNS) as one:
        for name in factories.CLASSES:
            one.record((name, "a"), "0" * 64, [], frames="7", samples="7000", status="ok", reason="")
    return folder / "extract.csv"


@entry("the ledger of stage extract", "csv", ledger)
def _ledger(folder: Path) -> None:
    with Ledger(folder / "extract.csv", COLUMNS):
        pass
    read_extracted(folder / "extract.csv")
    recorded_outputs(folder / "extract.csv")


@entry("the ledger as index reads it", "csv", ledger)
def _extracted(folder: Path) -> None:
    read_extracted(folder / "extract.csv")
    recorded_outputs(folder / "extract.csv")


def leaks(folder: Path) -> Path:
    write_leaks(folder / "leaks.csv", [])
    return folder / "leaks.csv"


entry("the table of leaks", "csv", leaks)(lambda folder: read_leaks(folder / "leaks.csv"))


def hashes(folder: Path) -> Path:
    (folder / "file").write_bytes(b"content")
    os.utime(folder / "file", ns=(0, 0))
    known = Hashes(folder / ".hashes")
    known.sha256(folder / "file")
    known.close()
    return folder / ".hashes"


@entry("data/.hashes", "sqlite", hashes)
def _hashes(folder: Path) -> None:
    for _ in range(2):
        known = Hashes(folder / ".hashes")
        known.sha256(folder / "file")
        known.close()


# --- The data's files


def data(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        factories.write_data(folder / "data")
        return folder / "data" / name

    return write


@entry("an archive of frames", "zip", data("frames/cello/cello_train.mp4.zip"))
def _frames(folder: Path) -> None:
    archive = folder / "data/frames/cello/cello_train.mp4.zip"
    for number in range(1, frames.count_frames(archive) + 1):
        frames.crop_and_resize(frames.read_frame(archive, number), None, 20, 16)


@entry("a sound of data/audio", "wav", data("audio/cello/cello_train.wav"))
def _sound(folder: Path) -> None:
    wav = folder / "data/audio/cello/cello_train.wav"
    duration(wav, RATE)
    level = loudest_db(wav, RATE)
    assert not np.isnan(level), "the level of a sound is NaN"
    for centre in (0.0, 1.0, 100.0):
        assert np.isfinite(read_window(wav, centre, 255, RATE)).all(), "a window of sound is NaN"
    read_window(wav, 0.0, 50 * RATE, RATE)


entry("an index of videos", "csv", data("index/train.csv"))(
    lambda folder: read_index(folder / "data/index/train.csv", folder / "data")
)


@entry("an index of mixtures", "csv", data("index/test_sep.csv"))
def _mixtures(folder: Path) -> None:
    root = folder / "data"
    read_mixtures(root / "index/test_sep.csv", read_index(root / "index/test.csv", root), root)


# --- Open Images


def open_images(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_open_images(folder)
        return folder / name if name else min((folder / "images").iterdir())

    return write


def _open_images(folder: Path) -> None:
    told = annotations.read_open_images(folder, ["cello", "acoustic_guitar"], {"acoustic_guitar": "Guitar"})
    for picture in (*told.train.pictures, *told.validation.pictures):
        annotations.read_picture(picture.path)


for _name in (annotations.TRAIN, annotations.DESCRIPTIONS):
    entry(f"Open Images, {_name}", "csv", open_images(_name))(_open_images)
entry("a picture of Open Images", "jpg", open_images(""))(_open_images)


# --- Params


entry("params.yaml", "yaml", text("params.yaml", (ROOT / "params.yaml").read_text(encoding="utf-8")))(
    lambda folder: read(folder / "params.yaml")
)


@entry("dvc.yaml", "yaml", text("dvc.yaml", (ROOT / "dvc.yaml").read_text(encoding="utf-8")))
def _pipeline(folder: Path) -> None:
    with contextlib.chdir(folder):
        deps_of("grounding")


# --- Weights


def weights(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        outcomes.write_weights(folder)
        return folder / name

    return write


for _stage, _system in (("cyclic", "cyclic"), ("trimodal", "trimodal"), ("baseline", "baseline")):
    entry(f"weights of {_system}", "safetensors", weights(f"checkpoints/{_stage}/best.safetensors"))(
        lambda folder, stage=_stage: load_systems([stage], outcomes.tiny_setup(folder))  # type: ignore[misc]
    )
entry("weights of CLIP", "safetensors", weights("checkpoints/pretrained/clip.safetensors"))(
    lambda folder: load_teacher(folder / "checkpoints/pretrained/clip.safetensors", **factories.CLIP)
)


def captions(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        known = {f"cello/{n}": Caption("0" * 64, torch.randn(8), 0.5, 0.75) for n in range(3)}
        save_captions(known, "c" * 64, folder / "captions.safetensors")
        return folder / name

    return write


def _captions(folder: Path) -> None:
    path = folder / "captions.safetensors"
    load_captions(path)
    captions_of([f"cello/{n}" for n in range(3)], "c" * 64, path)


entry("latent captions", "safetensors", captions("captions.safetensors"))(_captions)
entry("the ledger of captions", "csv", captions("captions.csv"))(_captions)


def state_dict(folder: Path) -> Path:
    torch.manual_seed(0)
    torch.save({"a.weight": torch.randn(3, 2), "a.bias": torch.zeros(3)}, folder / "net.pth")
    return folder / "net.pth"


def old_state_dict(folder: Path) -> Path:
    state = torch.load(state_dict(folder), weights_only=True)
    torch.save(state, folder / "net.pth", _use_new_zipfile_serialization=False)
    return folder / "net.pth"


entry("a state dict of torch's", "pth", state_dict)(lambda folder: load_torch(folder / "net.pth"))
entry("a state dict of torch's, before 1.6", "pth", old_state_dict)(lambda folder: load_torch(folder / "net.pth"))


# --- Packages, and folders of the hub


_PACKAGES: dict[str, Path] = {}


def package(name: str) -> Callable[[Path], Path]:
    """A package, with its hashes: of `name` they are renewed after it was spoilt, as who poisons it would."""

    def write(folder: Path) -> Path:
        if "package" not in _PACKAGES:
            made = Path(tempfile.mkdtemp()) / "trained"
            _PACKAGES["package"] = pack(write_measured(write_trained(made)))
        shutil.copytree(_PACKAGES["package"], folder / "package")
        return folder / "package" / name

    return write


def _package(folder: Path) -> None:
    model = folder / "package"
    read_package(model)
    trained_in(model)
    trained(model)
    copy_package(model, folder / "copy")


def _poisoned(folder: Path) -> None:
    model = folder / "package"
    told = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for name in told["files"]:
        if (model / name).is_file() and (model / name).stat().st_size < 1 << 24:
            told["files"][name] = hashlib.sha256((model / name).read_bytes()).hexdigest()
    (model / "config.json").write_text(json.dumps(told), encoding="utf-8")
    separator = Separator.from_pretrained(model)
    for name in ("cyclic", "trimodal_text"):
        separator.loaded(name)


entry("a package's config.json", "json", package("config.json"))(_package)
for _name in ("pretrained/detector", "pretrained/clip", "cyclic/best", "trimodal/best"):
    entry(f"a package's {_name}", "safetensors", package(f"checkpoints/{_name}.safetensors"))(_poisoned)


_ZERO: dict[str, Path] = {}


def zero_shot(kind: str, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        if kind not in _ZERO:
            _ZERO[kind] = write_zero_shot(kind, Path(tempfile.mkdtemp()) / kind)
        shutil.copytree(_ZERO[kind], folder / "model")
        return folder / "model" / name

    return write


_PARTS = {
    "owlv2": ("config.json", "tokenizer.json", "processor_config.json", "tokenizer_config.json", "model.safetensors"),
    "grounding_dino": ("config.json", "tokenizer.json", "model.safetensors"),
}
for _kind, _names in _PARTS.items():
    for _name in _names:
        entry(f"a hub's {_kind}, {_name}", _name.rpartition(".")[2], zero_shot(_kind, _name))(
            lambda folder, kind=_kind: check_zero_shot(kind, folder / "model")  # type: ignore[misc]
        )


# --- Others' waves


def external(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        wave = np.sin(np.arange(2 * RATE) / 5).astype(np.float32)
        objects = [{"name": one, "phrase": "a cello"} for one in "AB"]
        level = level_of(torch.from_numpy(wave[:255]))
        mixture = {"name": "pairs/000", "samples": len(wave), "level": level, "objects": objects}
        (folder / "questions.json").write_text(json.dumps({"rate": RATE, "mixtures": [mixture]}))
        (folder / "answers.json").write_text(json.dumps({"pairs/000": {"A": "a.wav", "B": "-"}}))
        soundfile.write(folder / "a.wav", wave, RATE, subtype="FLOAT")
        return folder / name

    return write


def _external(folder: Path) -> None:
    setup = outcomes.tiny_setup(folder, external={"others": folder})
    like = SYSTEMS[0]
    list(load_others([dataclasses.replace(like, name="others")], setup))


entry("others' questions.json", "json", external("questions.json"))(_external)
entry("others' answers.json", "json", external("answers.json"))(_external)
entry("others' wave", "wav", external("a.wav"))(_external)
entry("a sound file to separate", "wav", external("a.wav"))(
    lambda folder: load_sound(folder / "a.wav", 8000, mono=False)
)


# --- Scenes and truth


def scene(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        boxes = np.tile([1.0, 2.0, 10.0, 20.0], (8, 1))
        players = (Player("cello", "cello.wav", 1.0, boxes), Player("flute", None, None, boxes))
        write_truth(folder, Truth("s", "plain", 4, 2.0, players, (Other("noise", None, "noise.wav", 0.5),)))
        (folder / "s.mp4").write_bytes(b"")
        for stem in ("cello.wav", "noise.wav"):
            write_wav(folder / "s" / stem, np.sin(np.arange(2 * RATE) / 5), RATE)
        return folder / name

    return write


def _scene(folder: Path) -> None:
    for name in list_scenes(folder):
        truth = read_truth(folder, name)
        truth.boxes_at(2, 1)
        for stem in truth.stems():
            wave = read_stem(folder, name, stem, 800, 1600)
            assert wave.shape == (1600,) and np.isfinite(wave).all(), "a stem is no finite (samples,)"


entry("a scene's truth", "json", scene("s.truth.json"))(_scene)
entry("a scene's stem", "wav", scene("s/cello.wav"))(_scene)
entry("a video's truth", "json", text("t.json", json.dumps({"instrument": [[1, 2, 10, 20]] * 8})))(
    lambda folder: true_box(folder / "t.json", 0.5, 2.0)
)


# --- Metrics, and what the report shows


entry("the gates", "json", text("evaluate.json", json.dumps({"gates": {"colearning": 0.5, "cyclic": 0.25}})))(
    lambda folder: read_gates(["colearning", "cyclic"], folder / "evaluate.json")
)
entry("metrics of a stage", "json", text("m.json", json.dumps({"a": {"b": 1.5}, "c": [1, 2]})))(
    lambda folder: tables.flat(tables.read_json(folder / "m.json"))
)
entry("a table of metrics", "csv", text("t.csv", "class,id,value\ncello,a,1.5\nNA,b,\n"))(
    lambda folder: tables.read_table(folder / "t.csv", ["class", "id", "value"])
)


def shown(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez_compressed(folder / "arrays.npz", mixture=np.ones((4, 5), np.float16))
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "A.jpg")
        write_wav(folder / "mixture.wav", np.zeros(100), RATE)
        return folder / name

    return write


entry("the report's arrays", "npz", shown("arrays.npz"))(lambda folder: mixtures.read_arrays(folder / "arrays.npz"))
entry("the report's picture", "jpg", shown("A.jpg"))(lambda folder: mixtures.read_picture(folder / "A.jpg", "evaluate"))
entry("the report's sound", "wav", shown("mixture.wav"))(lambda folder: sounds.read_wav(folder / "mixture.wav"))


# --- Archives


def archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("frames/a/1.jpg", b"\xff\xd8" + bytes(2000))
        made.writestr("b.txt", "text")
    return folder / "a.zip"


def tarred(folder: Path) -> Path:
    (folder / "b.txt").write_text("text" * 100)
    with tarfile.open(folder / "a.tar.gz", "w:gz") as made:
        made.add(folder / "b.txt", "in/b.txt")
    return folder / "a.tar.gz"


def _unpack(folder: Path) -> None:
    for path in (folder / "a.zip", folder / "a.tar.gz"):
        if path.exists() and archives.is_archive(path):
            archives.unpack(path, folder / "out", 1 << 20)


entry("an archive to unpack (.zip)", "archive", archive)(_unpack)
entry("an archive to unpack (.tar.gz)", "tar", tarred)(_unpack)


KNOWN = {"ccol": {"a": {"name": "a.pth", "bytes": 4, "sha256": "0" * 64, "unpacked": ["a"]}}}


@entry("what was fetched, published.json", "json", text("published.json", json.dumps(KNOWN)))
def _known(folder: Path) -> None:
    known = fetch._Known(folder / "published.json", "ccol")
    for name in known.entries:
        known.is_there(name, folder / "out")
    known.has_links()


# --- What was separated


TOLD = {"source": {"bytes": 1, "modified": 2}, "model": {}, "asked": {}, "sounds": []}


@entry("objects.json of a folder that is kept", "json", text("out/objects.json", json.dumps(TOLD)))
def _kept(folder: Path) -> None:
    class Given:
        def system_for(self, *, words: bool) -> str:
            return "cyclic"

        def model(self, system: str) -> dict[str, Any]:
            return {}

        def asks(self, texts: object, boxes: object) -> dict[str, Any]:
            return {}

    (folder / "v.mp4").write_bytes(b"1")
    os.utime(folder / "v.mp4", ns=(2, 2))
    separated = separate_all(Given(), [Job(folder / "v.mp4", folder / "out")], told=lambda job: None)  # type: ignore[arg-type, return-value]
    for done in separated:
        if done.error is not None:
            raise InputError(done.error)
        assert done.told is not None
        cli._table(done.told)
        cli._lines(done.job.file, done.job.folder, done.told)
