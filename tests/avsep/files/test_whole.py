"""What is there is whole: the old or the new, and nothing else beside it."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

from avsep.files.whole import temporary_for, whole_file, whole_folder, write_json, write_rows, write_table, write_text

Writer = Callable[[Path], AbstractContextManager[Path]]
NAMES = ("plain.csv", "two words.csv", "Übung 🎷.csv", ".hidden", "no_suffix", "100% %d.tmp", "a.tar.gz")


class Killed(BaseException):
    """As KeyboardInterrupt and SystemExit are: no Exception."""


def fill(temporary: Path, text: str) -> None:
    """Writes the file, or a file in a folder of the folder."""
    file = temporary / "below" / "file" if temporary.is_dir() else temporary
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def held(path: Path) -> dict[str, str]:
    """The files at and below a path."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_text() for file in files}


each = pytest.mark.parametrize("whole", [whole_file, whole_folder])


@each
@pytest.mark.parametrize("name", NAMES)
def test_a_new_one_takes_the_place_of_the_old_one_under_any_name(whole: Writer, name: str, tmp_path: Path) -> None:
    path = tmp_path / "not" / "there yet" / name
    for text in ("old", "new"):
        with whole(path) as temporary:
            assert temporary.parent == path.parent and temporary.name == f".{name}.tmp"
            fill(temporary, text)
        assert list(held(path).values()) == [text]
        assert list(path.parent.iterdir()) == [path]


@each
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, Killed])
@pytest.mark.parametrize("before", [True, False])
def test_a_failure_leaves_what_was_there_and_nothing_else(
    whole: Writer, error: type[BaseException], before: bool, tmp_path: Path
) -> None:
    path = tmp_path / "name"
    if before:
        with whole(path) as temporary:
            fill(temporary, "old")
    was = held(path)
    with pytest.raises(error, match="why"), whole(path) as temporary:
        fill(temporary, "half")
        raise error("why")
    assert held(path) == was
    assert list(tmp_path.iterdir()) == ([path] if before else [])


@each
def test_what_a_killed_run_left_is_written_anew(whole: Writer, tmp_path: Path) -> None:
    path = tmp_path / "name"
    if whole is whole_folder:
        temporary_for(path).mkdir()
        temporary_for(temporary_for(path)).mkdir()
        (temporary_for(temporary_for(path)) / "older").touch()
        (temporary_for(path) / "stray").touch()
    else:
        temporary_for(path).write_text("of which more than is written now")
    with whole(path) as temporary:
        fill(temporary, "new")
    assert list(held(path).values()) == ["new"] and list(tmp_path.iterdir()) == [path]


@each
def test_one_that_nothing_was_written_to(whole: Writer, tmp_path: Path) -> None:
    """An empty folder is one; a file that was never begun is a mistake, and leaves the old one."""
    path = tmp_path / "name"
    with whole(path) as temporary:
        fill(temporary, "old")
    if whole is whole_folder:
        with whole(path):
            pass
        assert path.is_dir() and held(path) == {}
    else:
        with pytest.raises(FileNotFoundError), whole(path):
            pass
        assert held(path) == {".": "old"}


def test_the_first_error_is_told_where_the_temporary_cannot_be_removed(tmp_path: Path) -> None:
    temporary_for(tmp_path / "name").mkdir()
    with pytest.raises(IsADirectoryError), whole_file(tmp_path / "name") as temporary:
        temporary.write_text("new")
    assert not (tmp_path / "name").exists()


def test_a_folder_that_cannot_take_its_place_gives_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, move = tmp_path / "name", os.replace
    with whole_folder(path) as temporary:
        fill(temporary, "old")

    def refuse(source: Path, target: Path) -> None:
        if source == temporary_for(path):
            raise PermissionError("no")
        move(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError), whole_folder(path) as temporary:
        fill(temporary, "new")
    assert list(held(path).values()) == ["old"] and list(tmp_path.iterdir()) == [path]


def test_a_folder_in_place_of_a_link_leaves_what_the_link_led_to(tmp_path: Path) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "name"
    elsewhere.mkdir()
    fill(elsewhere, "theirs")
    path.symlink_to(elsewhere)
    with whole_folder(path) as temporary:
        fill(temporary, "new")
    assert not path.is_symlink() and list(held(path).values()) == ["new"]
    assert list(held(elsewhere).values()) == ["theirs"]


def test_what_the_writers_write(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file"
    write_text(path, "é\r\n\n")
    assert path.read_bytes() == b"\xc3\xa9\r\n\n"
    write_json(path, {"b": 1.5, "a": [None, "é"]})
    assert path.read_bytes() == b'{"b": 1.5, "a": [null, "\\u00e9"]}\n'
    write_json(path, {"a": 1}, indent=2)
    assert path.read_bytes() == b'{\n  "a": 1\n}\n'
    write_rows(path, [["class", "id"], ("é", 'a,"b"'), ("", 3)])
    assert path.read_bytes() == 'class,id\né,"a,""b"""\n,3\n'.encode()
    write_table(pd.DataFrame({"a": [0.1, None], "b": ["é", "x,y"]}), path)
    assert path.read_bytes() == 'a,b\n0.1,é\n,"x,y"\n'.encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_value_that_cannot_be_written_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(ZeroDivisionError):
        write_rows(path, ([1 // number] for number in (1, 0)))
    assert json.loads(path.read_text()) == {"a": 1} and list(tmp_path.iterdir()) == [path]
