"""An example holds what the report shows."""

import json
from pathlib import Path

import numpy as np

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.scoring.examples import write_example
from avsep.scoring.pairs import score
from avsep.scoring.separation import SCORES
from tests.helpers.factories import CLASSES, RATE, write_data
from tests.helpers.outcomes import GATES, GROUNDED, PHRASES, SYSTEMS, TRAINED, separate, tiny_systems
from tests.helpers.toys import Waves


def test_an_example_holds_what_the_report_shows(tmp_path: Path) -> None:
    videos = write_data(tmp_path / "data")["test"]
    made = separate(videos, batch=3)[1]
    rows, _ = score(made, GATES, 0, CLASSES)
    write_example(tmp_path / "001", made, rows, RATE, PHRASES)
    sounds = {f"{x}_{s}.wav" for s in GROUNDED for x in OBJECTS}
    sounds |= {f"{x}_{s}.wav" for s in (*TRAINED, "oracle", "oracle_binary", "reference") for x in SOUNDING}
    files = {path.name for path in (tmp_path / "001").iterdir()}
    assert files == sounds | {"mixture.wav", "arrays.npz", "example.json"} | {f"{x}.jpg" for x in OBJECTS}
    example = json.loads((tmp_path / "001/example.json").read_text())
    assert example["mixture"] == 1
    assert list(example["objects"]) == list(OBJECTS)
    first = example["objects"]["A"]
    assert (first["class"], first["role"], first["frame"]) == (CLASSES[1], "sounding", 7)
    assert first["box"] == [2, 1, 20, 16]
    assert set(first["probability"]) == set(GROUNDED)
    assert first["phrase"] == "playing the flute"
    assert first["phrase_confidence"] == made.confidences["playing the flute"]
    assert first["view"] == [3, 0, 21, 18], "the middle square of 24 x 18 pixels"
    assert "phrase" not in example["objects"]["B"]
    assert set(example["scores"]) == set(SYSTEMS)
    by_row = {(row["system"], row["object"]): row for row in rows}
    for system, objects in example["scores"].items():
        assert {x: list(scores) for x, scores in objects.items()} == {key: list(SCORES) for key in SOUNDING}
        assert objects["A"]["sdr"] == by_row[system, "A"]["sdr"]
    with np.load(tmp_path / "001/arrays.npz", allow_pickle=False) as arrays:
        attention = {name: arrays[f"attention_trimodal_visual_{name}"] for name in SOUNDING}
        assert all(where.shape == (2, 2) and abs(where.sum() - 1) < 1e-2 for where in attention.values())
        planes = [array for name, array in arrays.items() if not name.startswith("attention")]
        assert all(array.dtype == np.float16 and array.shape == (16, 16) for array in planes)
        assert {"mixture", "target_A", "target_C", "mask_oracle_A", "mask_baseline_C"} <= set(arrays)
        assert {f"mask_{s}_{x}" for s in GROUNDED for x in OBJECTS} <= set(arrays)
        np.testing.assert_allclose(arrays["mask_cyclic_B"], made.masks["cyclic"]["B"], atol=1e-3)


def test_an_example_of_waves_without_masks_has_their_sounds(tmp_path: Path) -> None:
    videos = write_data(tmp_path / "data")["test"]
    made = separate(videos, 3, {**tiny_systems([]), "waves": Waves()})[0]
    rows, _ = score(made, {}, 0)
    write_example(tmp_path / "000", made, rows, RATE, PHRASES)
    assert {path.name for path in (tmp_path / "000").glob("*_waves.wav")} == {f"{x}_waves.wav" for x in OBJECTS}
    with np.load(tmp_path / "000/arrays.npz", allow_pickle=False) as arrays:
        assert not [name for name in arrays if "waves" in name] and "mask_oracle_A" in arrays
    example = json.loads((tmp_path / "000/example.json").read_text())
    assert set(example["scores"]) == {"mixture", "oracle", "oracle_binary", "waves"}
    assert "phrase" not in example["objects"]["A"], "nobody is asked in words"
