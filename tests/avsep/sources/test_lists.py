"""Published lists in all their forms; what is none is told by file and place."""

import json
from pathlib import Path
from typing import Any

import pytest

from avsep.errors import InputError
from avsep.sources.lists import read_list, read_lists, snake

CLASSES = ("cello", "flute", "trumpet", "tuba")


def ids(category: str, number: int = 3) -> list[str]:
    return [f"{category[:4]}_{index:0>6}" for index in range(number)]


def write(path: Path, values: Any) -> Path:
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def test_musics_solos_and_solos_ids_give_the_same(tmp_path: Path) -> None:
    plain = {category: ids(category) for category in CLASSES}
    music = write(tmp_path / "music.json", {"version": 1.0, "videos": plain})
    solos = write(tmp_path / "solos.json", {category.title(): own for category, own in plain.items()})
    table = write(tmp_path / "list.csv", "".join(f"{c},{name}\n" for c, own in plain.items() for name in own))
    expected = {(category, name): None for category in CLASSES for name in ids(category)}
    for path in (music, solos, table):
        listed = read_lists(path, "videos.path")
        assert listed.videos == expected and listed.unusable == {} and listed.duets == 0
        assert list(listed.videos) == sorted(listed.videos)


def test_duets_are_counted_and_left_out(tmp_path: Path) -> None:
    plain = {category: ids(category) for category in CLASSES}
    write(tmp_path / "solo.json", {"videos": plain})
    duets = write(tmp_path / "duet.json", {"videos": {"flute tuba": ids("both", 5)}})
    listed = read_lists(tmp_path, "videos.path")
    assert listed.duets == 5 and {category for category, _ in listed.videos} == set(CLASSES)
    with pytest.raises(InputError, match="it lists duets alone"):
        read_lists(duets, "videos.path")


def test_a_blank_in_a_list_of_ones_own_is_none_of_a_duet(tmp_path: Path) -> None:
    own = {category: ids(category) for category in CLASSES} | {"acoustic guitar": ids("guit")}
    listed = read_lists(write(tmp_path / "own.json", own), "videos.path")
    assert ("acoustic_guitar", "guit_000000") in listed.videos and listed.duets == 0


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("DoubleBass", "double_bass"),
        ("Cello", "cello"),
        ("acoustic_guitar", "acoustic_guitar"),
        ("Tin  Can", "tin_can"),
    ],
)
def test_however_a_list_writes_a_class_it_is_one(name: str, class_name: str) -> None:
    assert snake(name) == class_name


def test_timestamps_are_frames_of_25_a_second(tmp_path: Path) -> None:
    parts = {category.title(): {name: [[0, 50]] for name in ids(category)} for category in CLASSES}
    parts["Tuba"]["tuba_000001"] = [[25, 100], [150, 6050]]
    parts["Tuba"]["tuba_000002"] = []
    listed = read_lists(write(tmp_path / "timestamps.json", parts), "videos.path")
    assert listed.videos["tuba", "tuba_000001"] == ((1.0, 4.0), (6.0, 242.0))
    assert listed.unusable == {("tuba", "tuba_000002"): "no part of it is a solo"}


def test_an_id_of_several_lists_is_used_in_the_parts_that_one_has(tmp_path: Path) -> None:
    write(tmp_path / "ids.json", {category: ids(category) for category in CLASSES})
    more = {"Cello": {"cell_000000": [[0, 25]]}, "DoubleBass": {name: [[0, 25]] for name in ids("bass")}}
    write(tmp_path / "timestamps.json", more)
    (tmp_path / "readme.md").write_text("no list")
    listed = read_lists(tmp_path, "videos.path")
    assert len(listed.videos) == 15 and listed.videos["cello", "cell_000000"] == ((0.0, 1.0),)
    assert listed.videos["cello", "cell_000001"] is None and ("double_bass", "bass_000000") in listed.videos
    write(tmp_path / "z.json", {"Cello": {"cell_000000": [[0, 50]]}})
    with pytest.raises(InputError, match=r"z\.json, class Cello, cell_000000: another list has other parts of it"):
        read_lists(tmp_path, "videos.path")


def test_an_id_of_two_classes_is_asked_for_in_neither(tmp_path: Path) -> None:
    own = {category: ids(category) for category in CLASSES}
    own["tuba"].append("cell_000000")
    listed = read_lists(write(tmp_path / "own.json", own), "videos.path")
    reason = "listed under several classes: cello, tuba"
    assert listed.unusable == {("cello", "cell_000000"): reason, ("tuba", "cell_000000"): reason}
    assert len(listed.videos) == 11


def test_a_table_may_have_a_first_line_and_parts(tmp_path: Path) -> None:
    rows = [f"{category}, {name}" for category in CLASSES for name in ids(category)]
    rows += ["tuba,tuba_000003,10.5,20", "tuba,tuba_000003,0,2", ""]
    for first in ("", "class,id,from,to\n"):
        listed = read_lists(write(tmp_path / "list.csv", first + "\n".join(rows)), "videos.path")
        assert len(listed.videos) == 13 and listed.videos["tuba", "tuba_000003"] == ((0.0, 2.0), (10.5, 20.0))


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("a.json", "{", r"a\.json is no list that can be read"),
        ("a.json", '{"cello": ["cell_000000"], "cello": []}', "'cello' stands there twice"),
        ("a.json", {"videos": {"cello tuba": 3}}, "class cello tuba: neither a list of ids nor"),
        ("a.json", "[1]", r"a\.json is no list: JSON of the form \{class: \[ids\]\}"),
        ("a.json", {"cello": "abc"}, r"class cello: neither a list of ids nor ids with their parts"),
        ("a.json", {"cello": ["../../../x"]}, r"class cello: '\.\./\.\./\.\./x' is no id: 11 letters"),
        ("a.json", {"cello": [5]}, r"class cello: 5 is no id"),
        ("a.json", {"cello": ["https://youtu.be/abc"]}, "is no id"),
        ("a.json", {"cello": {"cell_000000": 5}}, "5 is no list of parts"),
        ("a.json", {"cello": {"cell_000000": [[5]]}}, r"cell_000000: \[5\] is no part \[from, to\] in frames"),
        ("a.json", {"cello": {"cell_000000": [[5, 2]]}}, "is no part"),
        ("a.json", {"cello": {"cell_000000": [[5, 9], [7, 12]]}}, "its parts overlap, are out of order"),
        ("a.csv", "cello,cell_000000,1\n", r"a\.csv line 1: 3 fields, neither class,id nor"),
        ("a.csv", "cello,cell_000000,1,x\n", r"a\.csv line 1: 1, x are no seconds"),
        ("a.csv", "cello,cell_000000,1,nan\n", "its parts overlap, are out of order, or hold nothing"),
        ("a.csv", "cello,cell_000000,1,inf\n", "its parts overlap, are out of order, or hold nothing"),
        ("a.csv", ",cell_000000\n", "line 1"),
    ],
)
def test_what_is_no_list_is_told_by_its_place(tmp_path: Path, name: str, values: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        read_list(write(tmp_path / name, values))
    assert "\n" not in str(refused.value)


def test_too_few_classes_or_ids_are_told(tmp_path: Path) -> None:
    three = {category: ids(category) for category in CLASSES[:3]}
    with pytest.raises(InputError, match="it has 3 classes, cello, flute, trumpet; a mixture needs 4"):
        read_lists(write(tmp_path / "a.json", three), "videos.path is a.json")
    with pytest.raises(InputError, match="tuba has 2 videos; a class needs 3"):
        read_lists(write(tmp_path / "a.json", {**three, "tuba": ids("tuba", 2)}), "videos.path is a.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="it holds no list"):
        read_lists(tmp_path / "empty", "videos.path is empty")


def test_vggsounds_list_gives_ten_seconds_of_each_video(tmp_path: Path) -> None:
    labels = ["people marching", "playing cello", "cap gun shooting", '"playing drum, loud"']
    rows = [
        f"{label.strip(chr(34))[-4:].strip():_<10}{number},{30 * number},{label},{'train' if number else 'test'}"
        for label in labels
        for number in range(3)
    ]
    listed = read_lists(write(tmp_path / "vggsound.csv", "\n".join(rows)), "videos.path")
    assert len(listed.videos) == 12
    assert listed.videos["people_marching", "hing______2"] == ((60.0, 70.0),)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "Annotations.txt",
            "Category&VideoID&Quality&StartTime&EndTime\nChurch bell&RUhOCu3LNXM&good&0&10\n",
            "AVE's list",
        ),
        (
            "balanced.csv",
            "# Segments csv created Sun Mar  5\n# YTID, start_seconds, end_seconds, positive_labels\n"
            '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n',
            "AudioSet's list",
        ),
        ("no_head.csv", '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n', "AudioSet's list"),
        (
            "vgg.csv",
            "---g-f_I2yQ,1,people marching,test\n--0PQM4-hqg,x,waterfall,train\n",
            "line 2: no row .* VGGSound",
        ),
    ],
)
def test_lists_of_other_data_sets_are_refused_by_name(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        read_list(write(tmp_path / name, text))
    assert "\n" not in str(refused.value)
