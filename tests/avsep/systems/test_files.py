"""Others' waves: given window by window, refused in one line that names the file."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from avsep.errors import InputError
from avsep.systems.catalogue import external
from avsep.systems.files import OthersWaves, level_of, load
from avsep.systems.system import HeardMixtures, hear_mixtures
from tests.helpers.factories import RATE, SAMPLES, SPECTROGRAM, noise
from tests.helpers.outcomes import tiny_setup

LENGTHS = {"pairs/000": SAMPLES, "scenes/plain_00": SAMPLES + 100}
OBJECTS = {"pairs/000": ("A", "B", "C"), "scenes/plain_00": ("0",)}
SILENT = ("pairs/000", "B")  # by a dash; C of it by a wave of zeros
MIXED = {name: 0.1 * noise(length, seed=7 + length) for name, length in LENGTHS.items()}


def given(name: str, one: str) -> np.ndarray:
    return np.zeros(SAMPLES) if one == "C" else 0.1 * noise(LENGTHS[name] + 5, seed=len(name + one)).numpy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of answers to a pair and a scene."""
    root = tmp_path / "waves"
    questions: dict[str, Any] = {"rate": RATE, "window": SAMPLES, "mixtures": []}
    answers: dict[str, dict[str, str]] = {}
    for name, length in LENGTHS.items():
        (root / name).mkdir(parents=True)
        objects = [{"name": one, "phrase": f"playing {one}"} for one in OBJECTS[name]]
        level = level_of(MIXED[name][:SAMPLES])
        questions["mixtures"].append({"name": name, "samples": length, "level": level, "objects": objects})
        answers[name] = {one: "-" if (name, one) == SILENT else f"{name}/{one}.wav" for one in OBJECTS[name]}
        for one, file in answers[name].items():
            if file != "-":
                soundfile.write(root / file, given(name, one), RATE, subtype="FLOAT")
    (root / "questions.json").write_text(json.dumps(questions))
    (root / "answers.json").write_text(json.dumps(answers))
    return root


def loaded(folder: Path, rate: int = RATE) -> OthersWaves:
    setup = tiny_setup(folder.parent, external={"peer": Path(folder.name)}, rate=rate)
    (system,) = load([external("peer")], setup)
    assert isinstance(system, OthersWaves)
    return system


def hear(*places: tuple[str, int]) -> HeardMixtures:
    """Windows that start somewhere in mixtures."""
    windows = [MIXED[name][start : start + SAMPLES] for name, start in places]
    padded = [torch.nn.functional.pad(window, (0, SAMPLES - len(window))) for window in windows]
    return hear_mixtures(torch.stack(padded), SPECTROGRAM, [n for n, _ in places], [s for _, s in places])


def ask(system: OthersWaves, heard: HeardMixtures, *objects: str) -> tuple[dict[str, Tensor], Callable[..., Tensor]]:
    asked = {one: [system.prepare(torch.empty(0), f"playing {one}")] * len(heard.names) for one in objects}
    answer = system.answer(heard, asked)
    assert not answer.masks and answer.probability is not None
    return dict(answer.waves), answer.probability


def test_each_object_is_given_its_wave_or_silence(folder: Path) -> None:
    waves, says = ask(loaded(folder), hear(("pairs/000", 0)), "A", "B", "C")
    np.testing.assert_array_equal(waves["A"][0], given("pairs/000", "A")[:SAMPLES].astype(np.float32))
    assert not waves["B"].any() and not waves["C"].any()
    assert [float(says("mixture", one)) for one in "ABC"] == [1, 0, 0], "a wave of zeros is silence too"
    assert all(torch.isnan(says("A", one)).all() for one in "AB"), "it is not asked about solo sounds"


def test_windows_begin_where_they_do_and_end_with_the_mixture(folder: Path) -> None:
    scene, starts = "scenes/plain_00", (0, 60, 200)
    waves, says = ask(loaded(folder), hear(*((scene, start) for start in starts)), "0")
    whole = given(scene, "0").astype(np.float32)[: LENGTHS[scene]]
    for window, start in zip(waves["0"].numpy(), starts, strict=True):
        inside = whole[start : start + SAMPLES]
        np.testing.assert_array_equal(window[: len(inside)], inside)
        assert not window[len(inside) :].any()
    assert says("mixture", "0").tolist() == [1, 1, 1]


def test_a_mixture_of_another_export_is_refused_when_it_is_asked(folder: Path) -> None:
    system = loaded(folder)
    again = "with `python -m avsep.export mixtures`"
    own = hear(("pairs/000", 0))
    for heard, objects, words in (
        (HeardMixtures(own.mixture, {}, own.wave, ["pairs/001"], [0]), "A", "asks for no mixture 'pairs/001'"),
        (HeardMixtures(own.mixture, {}, 1.01 * own.wave, ["pairs/000"], [0]), "A", "pairs/000 is another mixture now"),
        (own, "D", "asks for no 'playing D' as D of pairs/000"),
    ):
        with pytest.raises(InputError, match=re.escape(words)) as caught:
            ask(system, heard, objects)
        assert str(folder / "questions.json") in str(caught.value) and again in str(caught.value)
    with pytest.raises(InputError, match="asks for no 'the horn' as A"):
        system.answer(own, {"A": ["the horn"]})
    ask(system, HeardMixtures(own.mixture, {}, 1.0001 * own.wave, ["pairs/000"], [0]), "A")  # another device's sum


def edit(file: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        values = json.loads((folder / file).read_text())
        change(values)
        (folder / file).write_text(json.dumps(values))

    return edited


def wave(samples: Any, rate: int = RATE) -> Callable[[Path], None]:
    """A's wave in the place of the true one."""
    return lambda folder: soundfile.write(folder / "pairs/000/A.wav", samples, rate, subtype="FLOAT")


def overwrite(path: Path, text: str) -> None:
    path.write_text(text)


def link_out(folder: Path) -> None:
    shutil.move(folder / "pairs/000/A.wav", folder.parent / "A.wav")
    (folder / "pairs/000/A.wav").symlink_to(folder.parent / "A.wav")


A = "pairs/000/A.wav"
FAULTS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no answers": (lambda f: (f / "answers.json").unlink(), "answers.json", "is missing"),
    "no questions": (lambda f: (f / "questions.json").unlink(), "questions.json", "is missing"),
    "no json": (lambda f: overwrite(f / "answers.json", "{"), "answers.json", "no JSON"),
    "no dict": (edit("answers.json", lambda a: a.update({"pairs/000": 3})), "answers.json", "not as docs/external.md"),
    "no level": (
        edit("questions.json", lambda q: q["mixtures"][0].pop("level")),
        "questions.json",
        "level of 0 of",
    ),
    "no mixture": (edit("answers.json", lambda a: a.pop("pairs/000")), "answers.json", "A of pairs/000 is missing"),
    "no object": (edit("answers.json", lambda a: a["pairs/000"].pop("B")), "answers.json", "B of pairs/000 is missing"),
    "no file": (lambda f: (f / A).unlink(), A, "is missing"),
    "no sound": (lambda f: overwrite(f / A, "RIFF"), A, "is no sound"),
    "empty": (wave(np.zeros(0)), A, f"is short: 0 of {SAMPLES} samples"),
    "short": (wave(np.ones(SAMPLES - 1)), A, f"is short: {SAMPLES - 1} of {SAMPLES} samples"),
    "stereo": (wave(np.ones((SAMPLES, 2))), A, "has 2 channels: give mono"),
    "another rate": (wave(np.ones(SAMPLES), 2 * RATE), A, f"has {2 * RATE} Hz: give {RATE} Hz, extract.rate"),
    "NaN": (wave(np.full(SAMPLES, np.nan)), A, "holds NaN or infinity"),
    "infinity": (wave(np.full(SAMPLES, np.inf)), A, "holds NaN or infinity"),
    "upwards": (edit("answers.json", lambda a: a["pairs/000"].update(A="../A.wav")), "answers.json", "no path inside"),
    "absolute": (
        edit("answers.json", lambda a: a["pairs/000"].update(A="/A.wav")),
        "answers.json",
        "no path inside",
    ),
    "a link": (link_out, "answers.json", f"A of pairs/000: {A!r} is a link out of"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_line_that_names_the_file(fault: str, folder: Path) -> None:
    harm, file, words = FAULTS[fault]
    harm(folder)
    with pytest.raises(InputError) as caught:
        loaded(folder)
    assert str(folder / file) in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)


def test_another_rate_of_all_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=rf"questions\.json has {RATE} Hz, extract\.rate is 16000"):
        loaded(folder, rate=16000)


def test_the_hash_is_of_what_is_answered(folder: Path, tmp_path: Path) -> None:
    first = loaded(folder).sha256
    shutil.copytree(folder, tmp_path / "elsewhere")
    (tmp_path / "elsewhere/notes.txt").touch()
    assert loaded(tmp_path / "elsewhere").sha256 == first
    wave(0.5 * given("pairs/000", "A"))(folder)
    assert loaded(folder).sha256 != first
