"""What is seen and heard of a training while it trains: the files, their numbers, and that nothing else changes."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from avsep.clips.index import Video
from avsep.clips.mixtures import Heard
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.training import page, shown, visualization
from avsep.training.resume import ResumeFolder
from avsep.training.shown import Show, Shown
from avsep.training.visualization import at_rest, clip_frames
from avsep.weights.checkpoints import load_weights
from stages import colearning
from tests.avsep.training import test_loop
from tests.avsep.training.test_loop import Stopped, samples_of
from tests.helpers.factories import RATE, SAMPLES, SPECTROGRAM, tiny_ccol, tiny_reader, write_data

EPOCHS = 3
FOLDER = Path("metrics/colearning/visualization")
STRIPS = Path("metrics/colearning/plots/images/masks")
SHOW = Show(look=shown.separation_and_grounding, mixtures=2, every=2)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Video]]:
    return write_data(tmp_path_factory.mktemp("visualization") / "data")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(splits: dict[str, list[Video]], show: Show | None = SHOW, **options: Any) -> None:
    test_loop.train(splits, show=show, batch=15, **options)


def left_behind(*without: str) -> dict[str, bytes]:
    """All that a stage declares as its outputs, but what lies in folders of those names."""
    files = [*Path("checkpoints/colearning").rglob("*"), *Path("metrics").rglob("*")]
    others = {"made", *without}  # metrics/made holds times
    return {str(path): path.read_bytes() for path in sorted(files) if path.is_file() and not others & {*path.parts}}


@pytest.fixture(scope="module")
def uninterrupted(
    splits: dict[str, list[Video]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("uninterrupted")
        patch.chdir(folder)
        train(splits)
        return folder, left_behind()


@pytest.fixture
def inside(uninterrupted: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(uninterrupted[0])


# --- What is written


class Links(HTMLParser):
    """What a page asks for beside itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in ("src", "href", "poster") and value]


def told(text: str) -> Any:
    return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)[0])


@pytest.mark.usefixtures("inside")
def test_each_shown_epoch_has_its_files() -> None:
    """Before the first, every second, and the last; of each mixture what stays stands there once."""
    assert sorted(path.name for path in FOLDER.iterdir()) == ["epochs", "index.html", "mixture1", "mixture2"]
    assert sorted(path.name for path in (FOLDER / "epochs").iterdir()) == ["0000", "0002", "0003"]
    of_epoch = {f"{name}_object{end}" for name in "ABCD" for end in (".mp4", ".png", ".wav", "_mask.png")}
    of_mixture = {
        "mixture.wav",
        "mixture.png",
        "weight.png",
        *(f"{n}{end}" for n in "ABCD" for end in (".jpg", "_true.mp4")),
    }
    of_mixture |= {f"{name}_true{end}" for name in "AC" for end in (".wav", ".png", "_mask.png")}
    for number in (1, 2):
        assert {path.name for path in (FOLDER / f"mixture{number}").iterdir()} == of_mixture
        for epoch in ("0000", "0002", "0003"):
            assert {path.name for path in (FOLDER / "epochs" / epoch / f"mixture{number}").iterdir()} == of_epoch
    assert not list(Path("metrics").rglob(".*")), "nothing unfinished"


@pytest.mark.usefixtures("inside")
def test_every_link_of_the_page_is_there_for_every_epoch_and_none_leads_elsewhere() -> None:
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    links = Links(text).found
    assert len(links) > 60 and all((FOLDER / link).is_file() for link in links)
    files = re.findall(r'data-file="([^"]+)"', text)
    folders = [epoch["folder"] for epoch in told(text)["shown"]]
    assert folders == ["0000", "0002", "0003"] and len(files) == 2 * 4 * 4
    assert all((FOLDER / "epochs" / folder / file).is_file() for folder in folders for file in files)
    assert not re.search(r"https?:|//\w|fetch\(|@import|url\(", text), "it works from a disk, without a network"


@pytest.mark.usefixtures("inside")
def test_the_page_tells_of_every_epoch_and_shows_the_newest() -> None:
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    data = told(text)
    assert [epoch["epoch"] for epoch in data["shown"]] == [0, 2, 3]
    assert "<output>epoch 3</output>" in text and "3 of 3 epochs: it is done" in text
    titles = re.findall(r"<figcaption>([^<]+) <b data-curve", text)
    curves = dict(zip(titles, data["curves"], strict=True))
    assert set(titles) == {
        *("Training loss", "SNRi, dB", "SI-SDRi, dB"),
        *("Grounding, mixtures", "Grounding, solo sounds"),
    }
    metrics = json.loads(Path("metrics/colearning.json").read_text())["last"]
    assert all(len(values) == EPOCHS for values in curves.values())
    assert curves["Training loss"][-1] == metrics["train/loss"]
    assert curves["SNRi, dB"][-1] == metrics["val/snri"]


def computed(splits: dict[str, list[Video]], number: int) -> tuple[dict[str, Tensor], Heard, Shown, Tensor]:
    """What the last epoch's weights make of a validation mixture, beside the mixture's wave (1, L)."""
    networks = tiny_ccol(seed=5).eval()
    networks.load_state_dict(load_weights("checkpoints/colearning/weights.safetensors"))
    batch = default_collate([samples_of(splits)[1][number]])
    seen = {name: networks.frames(pictures) for name, pictures in batch["pictures"].items()}
    heard = test_loop.hear_tiny(batch["waves"])
    with torch.no_grad():
        made = shown.separation_and_grounding(networks, heard, seen)
    return batch["waves"], heard, made, torch.stack(list(batch["waves"].values())).sum(0)


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_heard_is_what_the_mask_lets_through(splits: dict[str, list[Video]], number: int) -> None:
    waves, heard, made, mixture = computed(splits, number)
    folder, fixed = FOLDER / f"epochs/0003/mixture{number + 1}", FOLDER / f"mixture{number + 1}"
    for name in "ABCD":
        mask = made.masks["object"][name]
        estimate = SPECTROGRAM.let_through(mask.squeeze(1), mixture)[0]
        wave, rate = soundfile.read(folder / f"{name}_object.wav")
        assert rate == RATE
        np.testing.assert_allclose(wave, estimate.clamp(-1, 1), atol=1e-4)
        picture = np.asarray(Image.open(folder / f"{name}_object_mask.png"))[::-1] / 255
        np.testing.assert_allclose(picture, mask[0, 0], atol=0.01)
    np.testing.assert_allclose(soundfile.read(fixed / "mixture.wav")[0], mixture[0], atol=1e-4)
    for name, wave in waves.items():
        np.testing.assert_allclose(soundfile.read(fixed / f"{name}_true.wav")[0], wave[0], atol=1e-4)
        target = np.asarray(Image.open(fixed / f"{name}_true_mask.png"))[::-1] / 255
        np.testing.assert_allclose(target, heard.target(name, 1.0)[0, 0], atol=0.01)


@pytest.mark.usefixtures("inside")
def test_what_it_is_taken_for_and_how_well_it_is_heard(splits: dict[str, list[Video]]) -> None:
    newest = told((FOLDER / "index.html").read_text(encoding="utf-8"))["shown"][-1]
    for number in (0, 1):
        waves, _, made, mixture = computed(splits, number)
        for name, said in newest["mixtures"][number].items():
            for sound, of in made.probabilities.items():
                assert said["probability"][sound] == pytest.approx(float(of[name]), abs=1e-3)
            estimate = SPECTROGRAM.let_through(made.masks["object"][name].squeeze(1), mixture)
            if name in waves:
                noise, before = waves[name] - estimate, waves[name] - mixture
                expected = 10 * math.log10(float(before.square().sum() / noise.square().sum()))
            else:
                expected = 10 * math.log10(float(estimate.square().sum() / mixture.square().sum()))
            assert said["ways"]["object"] == pytest.approx(expected, abs=0.05)


@pytest.mark.usefixtures("inside")
def test_a_clip_has_the_objects_frames_and_the_sound(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    for path in (FOLDER / "mixture1/A_true.mp4", FOLDER / "epochs/0003/mixture1/A_object.mp4"):
        with av.open(str(path)) as clip:
            assert [stream.codec_context.name for stream in clip.streams] == ["h264", "aac"]
            assert clip.streams.video[0].codec_context.pix_fmt == "yuv420p", "which browsers play"
            assert len(list(clip.decode(video=0))) == math.ceil(SAMPLES / RATE * tiny_reader().kept_fps)
        with av.open(str(path)) as clip:
            sound = np.concatenate([frame.to_ndarray()[0] for frame in clip.decode(audio=0)])
        assert len(sound) / RATE == pytest.approx(SAMPLES / RATE, abs=1024 * 2 / RATE)
        assert np.abs(sound).max() > 0.01


def test_a_clip_shows_the_frames_around_the_middle_one(splits: dict[str, list[Video]]) -> None:
    """The window is 0.255 s, about a frame: with a longer one it begins that much earlier, and stops at the ends."""
    video = splits["val"][0]
    reader = tiny_reader()
    seen = visualization.Seen("A", video, True, reader.middle(video))
    wanted = [np.asarray(visualization.read_frame(video.frames, n)) for n in range(1, video.frame_count + 1)]

    def shown_frames(samples: int) -> list[int]:
        frames = clip_frames(seen, replace(reader, samples=samples))
        return [next(n for n, w in enumerate(wanted, 1) if np.array_equal(w, frame)) for frame in frames]

    assert shown_frames(RATE * 5 // 4) == [5, 6, 7, 8, 9], "the middle one is 7"
    assert shown_frames(RATE * 19 // 4) == [1] * 3 + list(range(1, 13)) + [12] * 4


@pytest.mark.usefixtures("inside")
def test_dvclive_has_a_picture_of_the_masks_for_each_shown_epoch() -> None:
    assert sorted(path.name for path in STRIPS.iterdir()) == ["0.png", "6.png", "9.png"], "by step"
    with Image.open(STRIPS / "9.png") as strip:
        assert strip.height == 2 * visualization.STRIP_HEIGHT + visualization.GAP
        assert strip.width == 4 * visualization.STRIP_HEIGHT + 3 * visualization.GAP, "A and C beside their targets"


# --- Nothing else changes


def test_the_same_bytes_twice(splits: dict[str, list[Video]], uninterrupted: tuple[Path, dict[str, bytes]]) -> None:
    train(splits)
    assert left_behind() == uninterrupted[1]


def test_weights_metrics_and_curves_are_the_same_without(
    splits: dict[str, list[Video]], uninterrupted: tuple[Path, dict[str, bytes]]
) -> None:
    train(splits, show=None)
    others = {
        path: content
        for path, content in uninterrupted[1].items()
        if not {"visualization", "images"} & {*Path(path).parts}
    }
    assert left_behind() == others
    assert "checkpoints/colearning/weights.safetensors" in others and "metrics/colearning.json" in others


def test_batch_norm_that_follows_the_batch_rests_too(splits: dict[str, list[Video]]) -> None:
    """objective.as_published: the frame encoders' norms move in training, and would here."""
    networks = tiny_ccol(batch_statistics=True)
    networks.train()
    networks.separation.unet.eval()
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    modes = {name: module.training for name, module in networks.named_modules()}
    random = torch.get_rng_state()
    sample = default_collate([samples_of(splits)[1][0]])
    with at_rest(networks):
        seen = {name: networks.frames(pictures) for name, pictures in sample["pictures"].items()}
        made = shown.separation_and_grounding(networks, test_loop.hear_tiny(sample["waves"]), seen)
    assert not made.masks["object"]["A"].requires_grad
    assert all(torch.equal(value, before[name]) for name, value in networks.state_dict().items())
    assert {name: module.training for name, module in networks.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("links", [True, False])
def test_a_stopped_training_ends_with_the_same_page(
    splits: dict[str, list[Video]],
    uninterrupted: tuple[Path, dict[str, bytes]],
    links: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the third epoch; then DVC removes what the stage has made. Also where a file has one name alone."""

    def refuse(*_: Any) -> None:
        raise OSError

    if not links:
        monkeypatch.setattr("avsep.training.loop.os.link", refuse)
    with pytest.raises(Stopped):
        train(splits, objective=test_loop.stop_at_step(2 * 3 + 2))
    assert (FOLDER / "epochs/0002").is_dir()
    shutil.rmtree("metrics")
    train(splits)
    assert left_behind() == uninterrupted[1]


def test_what_a_stopped_epoch_has_shown_goes(
    splits: dict[str, list[Video]], uninterrupted: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped when the second epoch is shown, and not kept yet."""
    calls = []

    def stop(self: ResumeFolder) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Stopped
        finish(self)

    finish = ResumeFolder.finish
    with monkeypatch.context() as patch:
        patch.setattr(ResumeFolder, "finish", stop)
        with pytest.raises(Stopped):
            train(splits)
    assert (FOLDER / "epochs/0002").is_dir()
    first: list[list[str]] = []

    def objective(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> Mapping[str, Tensor]:
        if not heard.mixture.is_meta and not first:
            first.append(sorted(path.name for path in (FOLDER / "epochs").iterdir()))
        return colearning.objective(networks, heard, seen)

    train(splits, objective=objective)
    assert first == [["0000"]]
    assert left_behind() == uninterrupted[1]


# --- Other phases


def test_a_phase_that_separates_nothing_shows_who_sounds(splits: dict[str, list[Video]]) -> None:
    train(splits, show=replace(SHOW, look=shown.grounding, every=9), epochs=1, milestones=[])
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert 'data-file="' not in text and 'data-score="' not in text and not STRIPS.exists()
    assert len(re.findall(r"data-said=", text)) == 2 * 4 * 2, "in the mixture, and with the pair's own sound"
    assert len(re.findall(r"_true\.wav", text)) == 2 * 4, "each object's, or its pair's"
    assert all((FOLDER / link).is_file() for link in Links(text).found)
    with_a = {
        (o, s): p for o, of in told(text)["shown"][-1]["mixtures"][0].items() for s, p in of["probability"].items()
    }
    assert len(with_a) == 8 and all(0 <= p <= 1 for p in with_a.values())


def test_queries_words_and_attention_are_shown(splits: dict[str, list[Video]]) -> None:
    def look(networks: CCoL, heard: Heard, seen: Mapping[str, FrameFeatures]) -> Shown:
        masks = {name: mask for name, mask in networks.separate(heard.log_mixture, seen).items() if name in "AC"}
        attention = torch.tensor([[[0.1, 0.2], [0.7, 0.0]]])
        everything = {**masks, "B": masks["A"], "D": masks["C"]}
        return Shown(masks={"visual": everything, "text": everything}, attention={"A": attention, "C": attention})

    show = Show(look=look, mixtures=1, every=1, phrase="a person playing the <{}>".format)
    train(splits, show=show, epochs=1, milestones=[])
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    category = splits["val"][0].category
    assert f"“a person playing the &lt;{category}&gt;”" in text or "“a person playing the &lt;" in text
    assert "By picture" in text and "By phrase" in text
    with Image.open(FOLDER / "epochs/0001/mixture1/A_attention.png") as heat:
        assert heat.size == (2, 2)
        opacity = np.asarray(heat)[..., 3]
    assert opacity[1, 0] == opacity.max() and opacity[1, 1] == 0
    assert all((FOLDER / link).is_file() for link in Links(text).found)


def test_no_mixture_leaves_the_curves(splits: dict[str, list[Video]]) -> None:
    train(splits, show=replace(SHOW, mixtures=0), epochs=1, milestones=[])
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert 'data-curve="' in text and 'data-file="' not in text and not STRIPS.exists()


def test_more_mixtures_than_there_are_shows_all(splits: dict[str, list[Video]]) -> None:
    train(splits, show=replace(SHOW, mixtures=99), epochs=1, milestones=[])
    assert sum(path.name.startswith("mixture") for path in FOLDER.iterdir()) == 4


# --- The page


def test_a_curve_goes_from_its_first_value_to_its_last() -> None:
    curve = page.curve("x", [2.0, None, 4.0, 3.0])
    assert curve is not None
    assert curve.path == "M 25.00 100.00 L 25.00 100.00 75.00 0.00 100.00 50.00"
    assert (curve.low, curve.high) == (2.0, 4.0)
    assert page.curve("x", [None]) is None
    flat = page.curve("x", [1.0, 1.0])
    assert flat is not None and flat.path == "M 50.00 100.00 L 50.00 100.00 100.00 100.00"


def test_names_are_escaped() -> None:
    seen = {
        **{
            "name": "A",
            "category": "<script>alert(1)</script>",
            "video": "x/<b>",
            "frame": 1,
            "sounds": True,
            "pair": "A",
        },
        **{
            "width": 4,
            "height": 4,
            "whole": True,
            "box": None,
            "confidence": None,
            "view": [0, 0, 4, 4],
            "phrase": None,
        },
    }
    now = {"A": {"probability": {"mixture": 0.5}, "ways": {"object": 1.0}, "looks": False}}
    text = page.render("cyclic", 3, [[seen]], [{"epoch": 0, "folder": "0000", "mixtures": [now]}], [])
    assert "<script>alert" not in text and "<b>" not in text.replace("<b ", "")
    assert "3 of 3" not in text and "0 of 3 epochs" in text


def browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.mark.skipif(browser() is None, reason="no browser")
@pytest.mark.usefixtures("inside")
def test_a_browser_shows_the_newest_epoch_and_no_error(tmp_path: Path) -> None:
    """Its script runs, from the disk."""
    command = [str(browser()), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    done = subprocess.run(
        [*command, "--enable-logging=stderr", "--dump-dom", (FOLDER / "index.html").absolute().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.search(r'data-step="1"[^>]*disabled', done.stdout), "the script ran: there is no later epoch"
    assert "CONSOLE" not in done.stderr
