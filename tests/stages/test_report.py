"""The page, made from inputs that follow the stages' contracts."""

import base64
import contextlib
import hashlib
import io
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from avsep.clips.leaks import Leak, write_leaks
from avsep.errors import InputError
from avsep.params.loading import load
from avsep.params.stages import ReportParams
from avsep.report import charts, figures, page, tables
from avsep.report.tables import decimal
from avsep.report.uris import png_uri
from avsep.systems import catalogue
from stages import report
from tests.helpers.report_inputs import TITLES, add_system, write_inputs, write_scenes

ROOT = Path(__file__).parents[2]
PARAMS = load(ReportParams, ROOT / "params.yaml")
HOSTILE = "<script>alert('cello')</script>"
CLASSES = [HOSTILE, "flute", 'tuba" onload="x', "NA", "erhu & fiddle"]


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

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.text += " "

    def sources(self, tag: str) -> list[str]:
        return [attributes["src"] for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module", autouse=True)
def drawn_once() -> Iterator[None]:
    """Most of these pages have the same charts, and a chart takes longest of all."""
    known: dict[str, str] = {}

    def draw(*args: Any, **kwargs: Any) -> str:
        key = repr((args, kwargs))
        if key not in known:
            known[key] = figures.curve_chart(*args, **kwargs)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "curve_chart", draw)
        yield


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs as they are, and their page, made once: it takes time."""
    root = tmp_path_factory.mktemp("report")
    write_inputs(root, CLASSES)
    with contextlib.chdir(root):
        report.main(PARAMS)
    return root


@pytest.fixture
def inputs(untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to be spoilt, without its page."""
    shutil.copytree(untouched, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "metrics/report")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def html(untouched: Path) -> str:
    return (untouched / "metrics/report/index.html").read_text(encoding="utf-8")


def made(params: ReportParams = PARAMS) -> str:
    report.main(params)
    return Path("metrics/report/index.html").read_text(encoding="utf-8")


def test_every_picture_is_in_the_page_and_decodes(html: str) -> None:
    pictures = [attributes for tag, attributes in Page(html).tags if tag == "img"]
    kinds = [attributes.get("class", "") for attributes in pictures]
    # two mixtures: sounding objects have the mixture, the true sound, the ideals, 4 systems and VAST's 4; silent ones
    # the mixture and 2 systems; two scenes: a player with 8 systems, one who is missed, a false object, and noise
    assert kinds.count("spectrum") == 2 * (2 * 11 + 2 * 3) + 2 * ((2 + 8) + 2 + (1 + 8)) + 2
    assert kinds.count("mask") == 2 * (2 * (11 - 2) + 2 * 2), "the mixture has none, the ideal the true sound's"
    assert kinds.count("attention") == 2 * 2
    for picture in pictures:
        with Image.open(io.BytesIO(decoded(picture["src"]))) as image:
            image.load()
            if picture.get("class") == "spectrum":
                assert image.size[1] == 128


def decoded(uri: str) -> bytes:
    head, content = uri.split(",", 1)
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return base64.b64decode(content, validate=True)


def test_every_sound_lies_beside_the_page_without_a_bit_lost(untouched: Path, html: str) -> None:
    folder = untouched / "metrics/report"
    urls = Page(html).sources("audio")
    assert all(re.fullmatch(r"sounds/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+\.flac", url) for url in urls)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.flac")}
    assert files == set(urls) and len(files) == json.loads((untouched / "metrics/report.json").read_text())["sounds"]
    given, _ = soundfile.read(untouched / "metrics/examples/001/C_finetune_text.wav", dtype="int16")
    (name,) = [name for name in files if "/001/" in name and name.endswith("C_finetune_text.flac")]
    heard, rate = soundfile.read(folder / name, dtype="int16")
    np.testing.assert_array_equal(heard, given)
    assert rate == 11025 and not any("preload" not in tag or tag["preload"] != "none" for tag in audio_of(html))


def audio_of(html: str) -> list[dict[str, str]]:
    return [attributes for tag, attributes in Page(html).tags if tag == "audio"]


def labels_of(html: str) -> list[str]:
    """Of the sounds of mixtures."""
    labels = [attributes["aria-label"] for attributes in audio_of(html)]
    return [label for label in labels if label.startswith("Mixture ")]


def test_nothing_is_loaded_but_sounds_and_one_script_runs(html: str) -> None:
    page = Page(html)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for tag, name, value in [(tag, *item) for tag, attributes in page.tags for item in attributes.items()]:
        assert not name.startswith("on"), f"{tag} has {name}"
        if name in ("src", "srcset", "poster", "data", "xlink:href"):
            assert value.startswith("data:") or (tag == "audio" and value.startswith("sounds/")), value[:80]
        if name == "href" and not value.startswith("#"):
            assert tag == "a" and value.startswith(("tables/", "../", "https://arxiv.org/abs/")), value
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none';") and f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy and "http" not in policy
    assert "url(http" not in html and "@import" not in html


def test_hostile_names_are_shown_as_they_are_written(html: str) -> None:
    text = Page(html).text
    assert all(name in text for name in CLASSES)
    assert "no sound & <no> picture" in text


def test_numbers_are_those_of_the_metrics(untouched: Path, html: str) -> None:
    scores = pd.read_csv(untouched / "metrics/evaluate/scores.csv").set_index(["system", "metric"])["mean"]
    text = Page(html).text.replace("\N{NO-BREAK SPACE}", " ")
    for system in TITLES:
        assert decimal(scores[system, "sdr"], 2) in text
    assert all(number in text for number in ("95.3 %", "\N{MINUS SIGN}43.2 dB", "3.1 %", "0.917"))


def test_box_is_drawn_where_the_detector_found_the_object(untouched: Path, html: str) -> None:
    page = Page(html)
    boxes = [attributes for tag, attributes in page.tags if attributes.get("class") == "box "]
    assert len(boxes) == 3 + 2 * 3, "of the first screen, and of each mixture"
    assert {(box["x"], box["y"], box["width"], box["height"]) for box in boxes} == {("60.0", "40.0", "90.5", "100.0")}
    path = untouched / "metrics/examples/000/example.json"
    assert json.loads(path.read_text())["objects"]["D"]["box"] is None
    assert "nothing detected" in page.text


def test_heat_lies_over_what_clip_saw(untouched: Path, html: str) -> None:
    page = Page(html)
    maps = [attributes for _, attributes in page.tags if attributes.get("class") == "attention"]
    assert len(maps) == 2 * 2
    # the middle 168 of 224 pixels, and the whole height
    assert {heat["style"] for heat in maps} == {"left: 12.50%; top: 0.00%; width: 75.00%; height: 100.00%"}
    assert maps[0]["src"] == heat_of(untouched / "metrics/examples/000/arrays.npz", "A")
    assert maps[1]["src"] == heat_of(untouched / "metrics/examples/000/arrays.npz", "C")


def heat_of(arrays: Path, letter: str) -> str:
    with np.load(arrays) as archive:
        shares = archive[f"attention_trimodal_visual_{letter}"].astype(np.float32)
    return png_uri(figures.overlay(shares, "inferno"))


def test_an_object_is_asked_for_with_its_phrase(inputs: Path) -> None:
    path = inputs / "metrics/examples/000/example.json"
    example = json.loads(path.read_text(encoding="utf-8"))
    example["objects"]["A"] |= {"phrase": f"{HOSTILE} & a lyre", "phrase_confidence": 0.312}
    example["objects"]["C"] |= {"phrase": "someone playing", "phrase_confidence": 0.897}
    path.write_text(json.dumps(example), encoding="utf-8")
    text = Page(made()).text
    assert f"Asked with {HOSTILE} & a lyre" in " ".join(text.split())
    assert "sounds 0.31, taken as absent" in text and "sounds 0.90, taken as present" in text, "the threshold is 0.417"


def test_vast_answers_with_sounds_and_scores(untouched: Path, html: str) -> None:
    page = Page(html)
    labels = labels_of(html)
    for system in ("trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text"):
        assert sum(label.endswith(f", {TITLES[system]}") for label in labels) == 2 * 2
    pairs = pd.read_csv(untouched / "metrics/pairs.csv")
    row = pairs[(pairs["mixture"] == 0) & (pairs["object"] == "C") & (pairs["system"] == "finetune_text")].iloc[0]
    assert f"NSDR {decimal(row['nsdr'], 1, True)} · SI-SDRi {decimal(row['si_sdri'], 1, True)}" in page.text


def test_controls_stand_below_what_was_trained_and_nowhere_else(html: str) -> None:
    of = html[html.index('<h2 id="separation">') :]
    rows = [attributes["class"] for tag, attributes in Page(of).tags if tag == "tr" and "class" in attributes]
    assert rows[:16] == ["reference"] * 3 + ["trained"] * 8 + ["control"] * 5
    order = {"reference": 0, "trained": 1, "external": 2, "control": 3, "scenes": 0}
    starts = [0, *(at for at in range(1, len(rows)) if order[rows[at]] < order[rows[at - 1]])]
    assert len(starts) > 20, "each table, of which there are many, starts anew"


def test_only_what_is_significantly_best_is_marked(inputs: Path) -> None:
    path = inputs / "metrics/evaluate/differences.csv"
    table = pd.read_csv(path)
    own = (table["metric"] == "nsdr") & table[["system", "against"]].isin(["cyclic"]).any(axis=1)
    table["significant"] = 0
    table.to_csv(path, index=False)
    assert not marked(), "nothing is significant"
    table.loc[own, "significant"] = 1
    table.loc[own, "difference"] = (table.loc[own, "system"] == "cyclic") * 2.0 - 1
    table.to_csv(path, index=False)
    assert len(marked()) == 2, "among the means, and where NSDR stands alone"
    table.loc[own & (table["system"] == "finetune_text"), "significant"] = 0
    table.to_csv(path, index=False)
    assert not marked(), "it has to beat each other trained system"


def marked() -> list[str]:
    return [tag for tag, attributes in Page(made()).tags if attributes.get("class") == "best"]


def test_a_class_may_have_the_name_of_nothing(untouched: Path) -> None:
    table = tables.read_table(untouched / "metrics/pairs.csv", ["class"])
    assert "NA" in set(table["class"]) and not table["class"].isna().any()


def test_rates_of_phrases_are_in_percent(html: str) -> None:
    text = Page(html).text.replace("\N{NO-BREAK SPACE}", " ")
    assert all(number in text for number in ("88.4 %", "12.7 %", "4.6 %", "0.943", "0.871", "0.417", "5.03", "3.86"))


def test_what_was_not_asked_is_not_told(inputs: Path) -> None:
    path = inputs / "metrics/evaluate/phrases.csv"
    table = pd.read_csv(path)
    gone = table["name"].isin(["accepted_unmatched", "roc_auc_unmatched", "phrase_nsdr", "synonym_nsdr"])
    table[~gone].to_csv(path, index=False)
    text = Page(made()).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "88.4 %" in text
    assert "match nothing: " not in text and "In other words" not in text


def test_a_section_for_each_entry_of_the_contents(html: str) -> None:
    tags = Page(html).tags
    named = [attributes["id"] for tag, attributes in tags if tag == "h2" and attributes["id"] != "first"]
    assert named == list(page.CONTENTS)
    contents = html[html.index("<nav") : html.index("</nav>")]
    assert re.findall(r'href="([^"]+)"', contents) == [f"#{name}" for name in named]


def test_means_stand_above_their_intervals(untouched: Path, html: str) -> None:
    scores = pd.read_csv(untouched / "metrics/evaluate/scores.csv").query("system == 'cyclic' and metric == 'nsdr'")
    mean, low, high = (decimal(scores[end].item(), 2) for end in ("mean", "low", "high"))
    assert f'>{mean}<span class="interval">{low} to {high}</span>' in html


def test_a_difference_is_told_from_both_sides_and_is_faint_if_it_may_be_none(inputs: Path) -> None:
    path = inputs / "metrics/evaluate/differences.csv"
    table = pd.read_csv(path)
    own = (table["metric"] == "nsdr") & (table["system"] == "cyclic") & (table["against"] == "baseline")
    table.loc[own, ["difference", "low", "high", "significant"]] = [1.23, -0.45, 2.67, 0]
    table.to_csv(path, index=False)
    html = made()
    turned = '\N{MINUS SIGN}1.23<span class="interval">\N{MINUS SIGN}2.67 to +0.45</span>'
    assert '<td class="faint">+1.23<span class="interval">\N{MINUS SIGN}0.45 to +2.67</span>' in html
    assert f'<td class="faint">{turned}' in html


def test_the_published_sdr_stands_beside_its_caveat(html: str) -> None:
    text = " ".join(Page(html).text.split())
    assert "As published: not to be believed" in text and "for nothing else" in text


def test_missing_places_sources_and_scenes_are_said_so_in_a_line(inputs: Path) -> None:
    without_rows(inputs / "metrics/evaluate/localisation.csv")
    without_rows(inputs / "metrics/evaluate/sources.csv")
    write_scenes(inputs / "metrics", kinds=())
    text = " ".join(Page(made()).text.split())
    assert "Not scored: no true boxes are known" in text
    assert "evaluate.sources names no number of sources" in text
    assert "None: scenes are rendered" in text


def test_scenes_are_told_with_what_was_missed(html: str) -> None:
    text = " ".join(Page(html).text.split())
    assert "Plain 1 2 2 50.0 %" in text, "one scene, two players, both play, one is found"
    assert "All scenes 2 4 4 50.0 %" in text
    assert "Noise 1 2 2" in text and "Nobody plays" not in text


def test_skipped_mixtures_are_listed(inputs: Path) -> None:
    rows = [("pairs", 2, 7, "oracle: reference 0 is <silent>"), ("sources", 3, 1, "a/b is silent in its window")]
    pd.DataFrame(rows, columns=tables.SKIPPED).to_csv(inputs / "metrics/skipped.csv", index=False)
    text = " ".join(Page(made()).text.split())
    assert "7 the test mixtures oracle: reference 0 is <silent>" in text
    assert "mixtures of 3 sources" in text


def test_the_same_inputs_give_the_same_bytes(inputs: Path, untouched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "curve_chart", figures.curve_chart)
    made()
    folders = [root / "metrics/report" for root in (inputs, untouched)]
    files = [sorted(path.relative_to(of) for path in of.rglob("*") if path.is_file()) for of in folders]
    assert files[0] == files[1] and len(files[0]) > 80
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in files[0])
    assert {path.name for path in folders[0].iterdir()} == {"index.html", "sounds", "tables"}


@pytest.mark.usefixtures("inputs")
def test_fewer_mixtures_are_shown_on_demand() -> None:
    fewer = replace(PARAMS, report=replace(PARAMS.report, mixtures=1))
    assert made(fewer).count('<details class="card mixture"') == 1
    assert json.loads(Path("metrics/report.json").read_text())["mixtures"] == 1
    none = made(replace(PARAMS, report=replace(PARAMS.report, mixtures=0)))
    assert 'id="first"' not in none and "None is shown: report.mixtures is 0." in none


# --- The first screen


def test_what_came_out_stands_first_in_five_lines(untouched: Path, html: str) -> None:
    told = html[html.index("<ol>") : html.index("</ol>")]
    assert told.count("<li>") == 5 and html.index("<ol>") < html.index("<nav")
    scores = pd.read_csv(untouched / "metrics/evaluate/scores.csv").set_index(["system", "metric"])
    for system in ("cyclic", "trimodal_visual"):
        mean, low, high = (decimal(scores.loc[(system, "nsdr"), end], 1, True) for end in ("mean", "low", "high"))
        assert f"{mean} dB" in told and f"95 % interval {low} to {high}" in told
    opening = html[: html.index("<nav")]
    assert "A trial, and no result." not in opening
    assert opening.count("<audio") == 1 + 2 * 2 + 2 and opening.count("<img") == 4


def test_a_mixture_is_heard_on_the_first_screen_beside_its_pictures(untouched: Path, html: str) -> None:
    pairs = pd.read_csv(untouched / "metrics/pairs.csv").query("system == 'cyclic' and role == 'sounding'")
    gains = pairs.groupby("mixture")["nsdr"].mean()[[0, 1]]
    opening = html[: html.index("<nav")]
    (number,) = re.findall(r'href="#mixture-(\d+)">All of this mixture', opening)
    assert f"the gain here, {decimal(gains[int(number)], 1, True)} dB" in opening
    assert all(f"/00{number}/" in url for url in Page(opening).sources("audio"))


def test_where_the_figures_come_from_stands_above_them(untouched: Path, html: str) -> None:
    opening = html[: html.index("<ol>")]
    told = " ".join(Page(opening.replace("</dd>", "</dd> ").replace("</dt>", "</dt> ")).text.split())
    assert "Profile demo Videos 1,320 of 3 classes, rendered by this project" in told
    assert "Split 1,308 to train, 5 to choose, 7 to test Mixtures 4 to test, 6 to choose" in told
    assert "Seed 0 Device cpu" in told
    assert hashlib.md5((untouched / "metrics/pairs.csv").read_bytes()).hexdigest() in html[: html.index("<nav")]


@pytest.mark.usefixtures("inputs")
def test_a_trial_is_no_result_and_says_so_above_all_else() -> None:
    trial = made(replace(PARAMS, report=replace(PARAMS.report, profile="smoke", trial=True)))
    assert "A trial, and no result." in trial and "Profile smoke" in trial
    assert trial.index("A trial, and no result.") < trial.index("provenance", trial.index("<header>"))


# --- Players, links


def test_each_mixture_can_be_linked_sorted_and_filtered(untouched: Path, html: str) -> None:
    pairs = pd.read_csv(untouched / "metrics/pairs.csv", keep_default_na=False, na_values=[""])
    mixtures = [attributes for tag, attributes in Page(html).tags if attributes.get("class") == "card mixture"]
    assert [mixture["id"] for mixture in mixtures] == ["mixture-0", "mixture-1"]
    for number, mixture in enumerate(mixtures):
        own = pairs[(pairs["mixture"] == number) & (pairs["role"] == "sounding")]
        told = json.loads(mixture["data-nsdr"])
        assert set(json.loads(mixture["data-classes"])) == set(own["class"])
        for system, value in told.items():
            np.testing.assert_allclose(value, own[own["system"] == system]["nsdr"].mean(), atol=1e-3)
        assert len(told) == 8 and f'href="#mixture-{number}"' in html, "trained ones, neither ideals nor controls"


def test_players_have_axes_and_sounds_of_one_length(html: str) -> None:
    decks = re.findall(r'<div class="deck" id="mixture-.*?<div class="seconds".*?</div>', html, re.DOTALL)
    assert len(decks) == 2 * 4
    for deck in decks:
        assert 'data-seconds="0.363"' in deck and "4 kHz" in deck and "250 Hz" in deck and "0.3 s" in deck
        kinds = re.findall(r'data-kind="(\w+)"', deck)
        assert kinds[0] == "mixture" and kinds.count("mixture") == 1 and kinds.count("reference") in (0, 1)


def test_tables_can_be_taken_along(untouched: Path, html: str) -> None:
    linked = [a["href"] for tag, a in Page(html).tags if tag == "a" and a["href"].startswith("tables/")]
    assert "tables/pairs.csv" in linked and "tables/evaluate/scores.csv" in linked
    for path in linked:
        lying = untouched / "metrics/report" / path
        assert lying.read_bytes() == (untouched / "metrics" / path.removeprefix("tables/")).read_bytes()


def test_docs_and_papers_that_are_linked_are_there(html: str) -> None:
    hrefs = [attributes["href"] for tag, attributes in Page(html).tags if tag == "a"]
    docs = [href for href in hrefs if href.startswith("../../")]
    assert len(docs) > 4 and all((ROOT / href.removeprefix("../../")).is_file() for href in docs)
    assert sum(href.startswith("https://arxiv.org/abs/") for href in hrefs) == 3


def test_what_a_stage_learned_is_linked_where_it_is_shown(inputs: Path) -> None:
    assert "visualization" not in made()
    shown = inputs / "metrics/cyclic/visualization/index.html"
    shown.parent.mkdir()
    shown.write_text("")
    assert re.findall(r'<a href="(\.\./[^"]*visualization[^"]*)">([^<]+)</a>', made()) == [
        ("../cyclic/visualization/index.html", "Cyclic co-learning")
    ]


def test_ideals_are_marked_as_beyond_the_scale(html: str) -> None:
    shown = section(html, "separation")
    own = re.findall(r'<tr class="reference">(?:(?!</tr>).)*?class="beyond right"', shown, re.DOTALL)
    assert own and not re.search(r'<tr class="trained">(?:(?!</tr>).)*?class="beyond', shown, re.DOTALL)
    assert "Mean and 95 % interval, dB" in shown and 'class="axis"' in shown


def test_no_rejected_video_is_said_so(inputs: Path) -> None:
    (inputs / "data/index/rejected.csv").write_text("class,id,stage,reason\n", encoding="utf-8")
    assert "None: every video" in Page(made()).text


def test_leaks_are_told_at_the_top_by_name(inputs: Path, html: str, caplog: pytest.LogCaptureFixture) -> None:
    assert "leak:" not in Page(html).text and 'class="card leaks"' not in html
    shared = [f"{HOSTILE}/a{number}" for number in range(4)]
    write_leaks(inputs / "data/index/leaks.csv", [Leak("test", name, "val", name) for name in shared])
    page = made()
    text = Page(page).text
    assert f"4 videos are in both val and test: {', '.join(shared)}" in text  # all of them
    assert text.index("4 videos are in both") < text.index("is gained over") and "<script>alert" not in page
    assert any(message.startswith("LEAK: 4 videos are in both val and test") for message in caplog.messages)


@pytest.mark.parametrize(("lacking", "named"), [((160, 0), ["cello"]), ((81, 120), ["flute", "cello"]), ((79, 80), [])])
def test_frames_without_an_object_are_told_at_the_top(
    lacking: tuple[int, int], named: list[str], inputs: Path, html: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert "found no object" not in Page(html).text and 'class="card unseen"' not in html
    folders = {name: {"total": 160, "without": own} for name, own in zip(("cello", "flute"), lacking, strict=True)}
    told = {"frames": {"total": 320, "with_object": 320 - sum(lacking), "without": sum(lacking)}, "folders": folders}
    (inputs / "metrics/detect.json").write_text(json.dumps(told), encoding="utf-8")
    page = made()
    card = page.partition('class="card unseen"')[2].partition("</div>")[0]
    assert [line.split(":")[0] for line in re.findall("<li>(.*?)</li>", card)] == named
    assert (f"In {sum(lacking)} of 320 frames" in card) == bool(named)
    assert any("found no object" in message for message in caplog.messages) == bool(named)


# --- Systems that nobody named here

NINTH = catalogue.Entry(
    *("ninth", "A ninth system", ("#123456", "#654321"), (2.0, 1.0)),
    module="ninth",
    stage="ninth",
    method="Ninth",
    grounds=True,
    first=True,
)
SEEING = catalogue.Entry("seeing", "By another picture", module="x", method="VAST", asked="picture", looks=True)
WORDED = catalogue.Entry("worded", "By another phrase", module="x", method="VAST", asked="phrase")
THEIRS = "Their <waves>"  # in no catalogue
LIKE = TITLES["cyclic"]


@pytest.fixture(scope="module")
def more(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page where three systems more are in the catalogue, and the waves of another are scored."""
    root = tmp_path_factory.mktemp("more")
    shutil.copytree(untouched, root, dirs_exist_ok=True)
    add_system(root, THEIRS, like="cyclic", masks=False)
    add_system(root, "ninth", like="cyclic")
    add_system(root, "seeing", like="trimodal_visual")
    add_system(root, "worded", like="trimodal_text", masks=False)
    shutil.copytree(root / "metrics/cyclic", root / "metrics/ninth")
    shutil.copy(root / "metrics/cyclic.json", root / "metrics/ninth.json")
    trained = catalogue.Drawn("ninth", "Training the ninth", ("#abcdef", "#fedcba"))
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(root):
        patch.setattr(catalogue, "SYSTEMS", (*catalogue.SYSTEMS, NINTH, SEEING, WORDED))
        patch.setattr(catalogue, "TRAINING", (*catalogue.TRAINING, trained))
        return made()


def lines_of(html: str, title: str) -> int:
    return html.count(f'<th scope="row">{escape(title)}</th>')


def legends(html: str) -> list[list[str]]:
    """The titles in each legend."""
    found = re.findall(r'<ul class="legend">(.*?)</ul>', html, re.DOTALL)
    return [[unescape(title).strip() for title in re.findall(r"</svg>([^<]+)</li>", legend)] for legend in found]


def section(html: str, name: str) -> str:
    after = html[html.index(f'<h2 id="{name}">') :]
    return after[: after.index("</section>")]


each_more = pytest.mark.parametrize("system", [NINTH, catalogue.external(THEIRS)], ids=["ninth", "external"])


@each_more
def test_a_new_system_has_a_line_in_each_table(system: catalogue.Entry, more: str) -> None:
    """It is like cyclic co-learning, and stands wherever that does."""
    assert lines_of(more, LIKE) > 25
    tables = re.findall(r"(?:<summary>[^<]*</summary>\s*<div[^>]*>)?<table.*?</table>", more, re.DOTALL)
    for shown in tables:
        to_itself = f"<summary>Against {escape(system.title)}</summary>" in shown
        if not to_itself and f"<summary>Against {LIKE}</summary>" not in shown:
            assert lines_of(shown, system.title) == lines_of(shown, LIKE), re.sub("<[^>]+>", " ", shown)[:200]
    assert lines_of(more, system.title) == lines_of(more, LIKE)
    assert more.count(f"<summary>Against {escape(system.title)}</summary>") == 1
    assert lines_of(more, f"{system.title}: boxes that are taken to sound") == 1
    assert more.count(f'<th scope="col">{escape(system.title)}</th>') == 1, "by class"
    assert more.count(f"<summary>{escape(system.title)}</summary>") == 1, "by pair of classes"


@each_more
def test_a_new_system_is_drawn_in_each_chart(system: catalogue.Entry, more: str) -> None:
    assert sum(system.title in legend for legend in legends(more)) == 3, "of its method, of grounding, of gates"
    drawn = f"stroke: var({figures.variable(system)})"
    charts = {name: section(more, name).split("<figure>")[1:] for name in ("separation", "grounding", "silence")}
    assert [len(of) for of in charts.values()] == [4, 4, 4]
    assert sum(drawn in chart for chart in charts["separation"]) == 1, "that of its method"
    assert all(drawn in chart for chart in (*charts["grounding"], *charts["silence"]))


@each_more
def test_a_new_system_is_heard_and_says_who_sounds(system: catalogue.Entry, more: str) -> None:
    assert more.count(f"<dt>{escape(system.title)}</dt>") == 2 * 4
    labels = labels_of(more)
    assert sum(label.endswith(f", {system.title}") for label in labels) == 2 * 4


def test_an_external_system_gives_waves_and_no_mask(more: str, html: str) -> None:
    assert more.count('<tr class="external">') == lines_of(more, LIKE) + 1, "and one among the places"
    assert more.count("no mask: it gives a sound") == 2 * 4 + 2 * 2, "and one that is asked by phrase"
    assert "no mask" not in html
    assert f"Mask of {escape(THEIRS)}" not in more and f"Mask of {NINTH.title}" in more


def test_a_new_stage_and_a_new_method_are_told(more: str) -> None:
    assert "Separation by Ninth (NSDR)" in more
    assert "Training the ninth" in legends(more)[-1] and more.count("stroke: var(--line-abcdef-fedcba)") > 3
    assert "<summary>ninth</summary>" in more, "what its stage wrote down"


def test_systems_by_picture_and_by_phrase_are_told_from_the_catalogue(more: str) -> None:
    headings = re.findall(
        r'<p class="heading">(.*?)</p>(.*?)(?=<p class="heading">|<div class="seconds")', more, re.DOTALL
    )
    assert len(headings) == 2 * 2 * 2
    for (picture, by_picture), (phrase, by_phrase) in zip(headings[::2], headings[1::2], strict=True):
        assert picture == "Asked with the picture" and phrase.startswith("Asked with <q>a person playing the ")
        assert f"{SEEING.title}</strong>" in by_picture and f"{WORDED.title}</strong>" in by_phrase
    attended = more.count('class="attention"')
    assert attended == 2 * 2 * 2, "each that looks"


def test_every_colour_of_a_line_is_told_by_day_and_by_night(more: str) -> None:
    used = set(re.findall(r"var\((--line-[\w-]+)\)", more))
    assert {figures.variable(line) for line in (NINTH, SEEING, catalogue.external(THEIRS))} <= used
    for name in used:
        _, _, _, by_day, by_night = name.split("-")
        assert re.findall(rf"{name}: (#\w+);", more) == [f"#{by_day}", f"#{by_night}"]
        assert more.index(f"{name}: ") < more.index("prefers-color-scheme: dark") < more.rindex(f"{name}: ")


def test_others_sounds_may_be_of_sounding_objects_alone(inputs: Path) -> None:
    add_system(inputs, "theirs", like="baseline", masks=False)
    for path in inputs.glob("metrics/examples/*"):
        assert not (path / "B_theirs.wav").exists()
    html = made()
    assert sum("theirs" in legend for legend in legends(html)) == 1, "it does not say who sounds"
    assert sum(label.endswith(", theirs") for label in labels_of(html)) == 2 * 2 and lines_of(html, "theirs") > 10


def test_swatches_have_the_dashes_of_the_lines(html: str) -> None:
    swatches = re.findall(r'<svg class="swatch".*?stroke: var\(([^)]+)\)"([^>]*)/></svg>([^<]+)</li>', html)
    lines = {line.title: line for line in (*catalogue.TRAINING, *catalogue.SYSTEMS, *charts.KINDS)}
    assert len(swatches) > 15
    for name, dashes, title in swatches:
        assert name == figures.variable(lines[unescape(title)])
        assert [float(length) for length in re.findall(r"[\d.]+", dashes)] == list(lines[unescape(title)].dashes)


def test_the_report_knows_no_systems_name() -> None:
    """Names stand in the catalogue alone; two of them are words for other things: a sound, a section."""
    listed = (*catalogue.SYSTEMS, *catalogue.CONTROLS, *catalogue.GATE_CONTROLS, *catalogue.SCENE_CONTROLS)
    names = {one.name for one in (*listed, *catalogue.TRAINING)} - {"mixture", "grounding"}
    folder = ROOT / "avsep/report"
    sources = [*folder.glob("*.py"), *(folder / "templates").iterdir()]
    assert len(sources) > 20 and len(names) > 15
    for source in sources:
        text = source.read_text(encoding="utf-8")
        told = {name for name in names if re.search(rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_])", text)}
        assert not told, f"{source.name} knows {sorted(told)}"


def without(column: str) -> Callable[[Path], None]:
    return lambda path: pd.read_csv(path).drop(columns=column).to_csv(path, index=False)


def older(path: Path) -> None:
    path.write_text('{"frames": {"total": 9, "with_object": 9, "without": 0}}', encoding="utf-8")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def without_phrase(path: Path) -> None:
    example = json.loads(path.read_text(encoding="utf-8"))
    del example["objects"]["A"]["phrase"]
    path.write_text(json.dumps(example), encoding="utf-8")


def looking_elsewhere(path: Path) -> None:
    example = json.loads(path.read_text(encoding="utf-8"))
    example["objects"]["C"]["view"] = [100, 0, 268, 168]
    path.write_text(json.dumps(example), encoding="utf-8")


def without_attention(path: Path) -> None:
    with np.load(path) as archive:
        arrays: dict[str, Any] = {
            name: archive[name] for name in archive.files if name != "attention_trimodal_visual_C"
        }
    np.savez(path, **arrays)


def inattentive(path: Path) -> None:
    with np.load(path) as archive:
        arrays: dict[str, Any] = dict(archive)
    np.savez(path, **{**arrays, "attention_trimodal_visual_A": -arrays["attention_trimodal_visual_A"]})


def without_rows(path: Path) -> None:
    pd.read_csv(path).head(0).to_csv(path, index=False)


def pickled(path: Path) -> None:
    np.savez(path, mixture=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    ("file", "spoil", "told"),
    [
        ("metrics/evaluate.json", Path.unlink, "evaluate.json is missing"),
        ("metrics/evaluate.json", truncated, "evaluate.json is no JSON"),
        ("metrics/evaluate.json", lambda path: path.write_text('{"cyclic": {}}'), r"tell no phrases\.threshold"),
        ("metrics/evaluate/scores.csv", without_rows, "scores.csv has no row of mixture: run `dvc repro evaluate`"),
        ("metrics/evaluate/grounding.csv", without_rows, "grounding.csv has no row of colearning: run"),
        ("metrics/evaluate/silence.csv", without("leakage_db_p95"), "has no column leakage_db_p95"),
        ("metrics/evaluate/gates/cyclic.csv", Path.unlink, "cyclic.csv is missing"),
        ("metrics/evaluate/reliability/cyclic_solo.csv", without("share"), "has no column share"),
        ("metrics/evaluate/sources.csv", Path.unlink, "sources.csv is missing"),
        ("metrics/skipped.csv", without("reason"), "has no column reason"),
        ("metrics/phrases.csv", without("kind"), "has no column kind"),
        ("metrics/scenes.csv", Path.unlink, "scenes.csv is missing"),
        ("metrics/scenes_found.csv", without("recall"), "scenes_found.csv has no column recall"),
        ("metrics/evaluate/differences.csv", without("significant"), "has no column significant"),
        ("metrics/evaluate/by_class.csv", Path.unlink, "by_class.csv is missing"),
        ("metrics/cyclic.json", Path.unlink, "cyclic.json is missing"),
        ("metrics/pairs.csv", Path.unlink, "pairs.csv is missing"),
        ("metrics/pairs.csv", without("nsdr"), "has no column nsdr"),
        ("metrics/examples/000/example.json", lambda path: path.write_text("{}"), "example.json: mixture"),
        ("metrics/examples/000/arrays.npz", truncated, "arrays.npz is no archive of arrays"),
        ("metrics/examples/000/arrays.npz", pickled, "arrays.npz is no archive of arrays"),
        ("metrics/evaluate/phrases.csv", without_rows, r"tell no phrases\.accepted_present"),
        ("metrics/examples/000/example.json", without_phrase, r"example.json: objects\.A\.\S*phrase: Field required"),
        ("metrics/examples/000/example.json", looking_elsewhere, r"objects\.C\.view lies not within C.jpg"),
        ("metrics/examples/000/arrays.npz", without_attention, "arrays.npz has no attention_trimodal_visual_C"),
        ("metrics/examples/000/arrays.npz", inattentive, "attention_trimodal_visual_A holds no shares of 1"),
        ("metrics/examples/001/C_finetune_text.wav", Path.unlink, "C_finetune_text.wav is missing"),
        ("metrics/captions.json", Path.unlink, "captions.json is missing"),
        ("metrics/examples/001/B.jpg", truncated, "B.jpg is no JPEG"),
        ("metrics/examples/001/B_cyclic.wav", truncated, "B_cyclic.wav is no wav"),
        ("metrics/examples/001/mixture.wav", Path.unlink, "mixture.wav is missing"),
        ("metrics/scene_examples/plain_00/object_0_cyclic.wav", Path.unlink, "object_0_cyclic.wav is missing"),
        ("metrics/scene_examples/plain_00/frame.jpg", truncated, "frame.jpg is no JPEG"),
        ("metrics/detect.json", Path.unlink, "detect.json is missing"),
        ("metrics/detect.json", older, "tells no frames of each folder: run `dvc repro detect`"),
        ("metrics/index.json", truncated, "index.json is no JSON"),
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


def test_the_run_ends_with_the_sentences_of_the_first_screen(inputs: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        report.main(PARAMS)
    lines = [line for line in caplog.messages if not line.startswith("mixtures: ")]
    told = " ".join(re.sub("<[^>]*>", " ", (inputs / "metrics/report/index.html").read_text(encoding="utf-8")).split())
    assert len(lines) == 5 and all("nan" not in line for line in lines)
    for line in lines:
        assert " ".join(line.split()) in told
