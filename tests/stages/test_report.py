"""The page, made from inputs that follow the stages' contracts."""

import base64
import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from avsep.errors import InputError
from avsep.params import Report, ReportParams, load
from stages import report
from tests.report_inputs import write_inputs

ROOT = Path(__file__).parents[2]
PARAMS = load(ReportParams, ROOT / "params.yaml")
HOSTILE = "<script>alert('cello')</script>"
CLASSES = [HOSTILE, "flute", 'tuba" onload="x', "violin", "erhu & fiddle"]


class Page(HTMLParser):
    """What a browser would load and run, and what it would show."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def sources(self, tag: str) -> list[str]:
        return [attributes["src"] for name, attributes in self.tags if name == tag]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_inputs(tmp_path, CLASSES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made() -> str:
    report.main(PARAMS)
    return Path("metrics/report/index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("inputs")
def test_every_picture_and_sound_is_in_the_page_and_decodes() -> None:
    page = Page(made())
    pictures, sounds = page.sources("img"), page.sources("audio")
    # two mixtures: a spectrogram, 4 pictures, masks of 2 x 4 sounding and 2 x 2 silent ones
    assert len(pictures) == 2 * (1 + 4 + 2 * 4 + 2 * 2)
    # the mixture, 2 x (reference, oracle, three systems), 2 x two systems
    assert len(sounds) == 2 * (1 + 2 * 5 + 2 * 2)
    for picture in pictures:
        with Image.open(io.BytesIO(decoded(picture))) as image:
            image.load()
    for sound in sounds:
        wave, rate = soundfile.read(io.BytesIO(decoded(sound)))
        assert len(wave) == 4000 and rate == 11025


def decoded(uri: str) -> bytes:
    head, content = uri.split(",", 1)
    assert head in ("data:image/png;base64", "data:image/jpeg;base64", "data:audio/wav;base64")
    return base64.b64decode(content, validate=True)


@pytest.mark.usefixtures("inputs")
def test_nothing_is_loaded_and_nothing_runs() -> None:
    html = made()
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for tag, name, value in [(tag, *item) for tag, attributes in page.tags for item in attributes.items()]:
        assert not name.startswith("on"), f"{tag} has {name}"
        if name in ("src", "srcset", "href", "xlink:href", "poster", "data"):
            assert value.startswith(("data:", "#")), f"{tag} loads {value[:80]}"
    assert "url(http" not in html and "@import" not in html
    assert "default-src 'none'" in html


@pytest.mark.usefixtures("inputs")
def test_hostile_names_are_shown_as_they_are_written() -> None:
    text = Page(made()).text
    assert all(name in text for name in CLASSES)
    assert "no sound & <no> picture" in text


def test_numbers_are_those_of_the_metrics(inputs: Path) -> None:
    evaluated = json.loads((inputs / "metrics/evaluate.json").read_text())
    page = Page(made())
    for system in ("mixture", "oracle", "baseline", "colearning", "cyclic"):
        assert f"{evaluated[system]['sdr']:.2f}" in page.text
    assert (
        "95.3 %" in page.text and "\N{MINUS SIGN}43.2 dB" in page.text and "3.1 %" in page.text and "0.917" in page.text
    )


def test_box_is_drawn_where_the_detector_found_the_object(inputs: Path) -> None:
    page = Page(made())
    boxes = [attributes for tag, attributes in page.tags if attributes.get("class") == "box"]
    assert len(boxes) == 2 * 3
    assert {(box["x"], box["y"], box["width"], box["height"]) for box in boxes} == {("60.0", "40.0", "90.5", "100.0")}
    path = inputs / "metrics/examples/000/example.json"
    assert json.loads(path.read_text())["objects"]["D"]["box"] is None
    assert "nothing detected" in page.text


def test_the_same_inputs_give_the_same_bytes(inputs: Path) -> None:
    assert made() == made()
    written = [path.name for path in (inputs / "metrics/report").iterdir()]
    assert written == ["index.html"]


@pytest.mark.usefixtures("inputs")
def test_fewer_mixtures_are_shown_on_demand() -> None:
    report.main(ReportParams(extract=PARAMS.extract, spectrogram=PARAMS.spectrogram, report=Report(mixtures=1)))
    assert json.loads(Path("metrics/report.json").read_text())["mixtures"] == 1
    assert Path("metrics/report/index.html").read_text().count("<article") == 1


def test_no_rejected_video_is_said_so(inputs: Path) -> None:
    (inputs / "data/index/rejected.csv").write_text("class,id,stage,reason\n", encoding="utf-8")
    assert "None: every video" in Page(made()).text


def without(column: str) -> Callable[[Path], None]:
    return lambda path: pd.read_csv(path).drop(columns=column).to_csv(path, index=False)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def pickled(path: Path) -> None:
    np.savez(path, mixture=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    ("file", "spoil", "told"),
    [
        ("metrics/evaluate.json", Path.unlink, "evaluate.json is missing"),
        ("metrics/evaluate.json", truncated, "evaluate.json is no JSON"),
        ("metrics/evaluate.json", lambda path: path.write_text('{"cyclic": {}}'), r"has no mixture\.sdr"),
        ("metrics/cyclic.json", Path.unlink, "cyclic.json is missing"),
        ("metrics/pairs.csv", Path.unlink, "pairs.csv is missing"),
        ("metrics/pairs.csv", without("nsdr"), "has no column nsdr"),
        ("metrics/examples/000/example.json", lambda path: path.write_text("{}"), "example.json: mixture"),
        ("metrics/examples/000/arrays.npz", truncated, "arrays.npz holds no arrays"),
        ("metrics/examples/000/arrays.npz", pickled, "arrays.npz holds no arrays"),
        ("metrics/examples/001/B.jpg", truncated, "B.jpg is no JPEG"),
        ("metrics/examples/001/B_cyclic.wav", truncated, "B_cyclic.wav is no wav"),
        ("metrics/examples/001/mixture.wav", Path.unlink, "mixture.wav is missing"),
        ("metrics/baseline/plots/metrics/val/si_sdri.tsv", truncated, "si_sdri.tsv"),
        ("data/index/rejected.csv", Path.unlink, "rejected.csv is missing"),
    ],
)
def test_a_missing_or_foreign_input_is_named_in_one_line_and_nothing_is_written(
    file: str, spoil: Callable[[Path], object], told: str, inputs: Path
) -> None:
    if file.endswith(".tsv"):
        (inputs / file).write_text("epoch\tother\n1\t2\n", encoding="utf-8")
    else:
        spoil(inputs / file)
    with pytest.raises(InputError, match=told) as caught:
        report.main(PARAMS)
    assert "\n" not in str(caught.value)
    assert not (inputs / "metrics/report").exists()
