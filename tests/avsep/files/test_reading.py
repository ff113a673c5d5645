"""What anyone may have written is read, or refused in one line: whatever lies there, and whatever a library raises."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from avsep.errors import InputError
from avsep.files import reading
from avsep.files.reading import read_json, read_rows, read_table, read_text, read_yaml


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("put", "told"),
    [
        (lambda path: None, "is missing: run it again"),
        (Path.mkdir, "is a folder, and no list: run it again"),
        (pipe, "is a pipe, and no list: run it again"),  # opening it would wait for a writer
        (lambda path: path.symlink_to("/dev/zero"), "is a device, and no list: run it again"),  # endless
        (lambda path: path.symlink_to(path.name), r"is no list that can be read \(Too many levels"),
        (lambda path: path.symlink_to("nowhere"), "is missing: run it again"),
    ],
)
def test_what_is_no_plain_file_is_refused_before_it_is_opened(
    put: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    put(tmp_path / "a.csv")
    with pytest.raises(InputError, match=rf"^\S*a\.csv {told}"):
        read_text(tmp_path / "a.csv", "list", "run it again")


def test_a_link_to_a_plain_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("\N{BYTE ORDER MARK}text", encoding="utf-8")
    (tmp_path / "a.csv").symlink_to("there")
    assert read_text(tmp_path / "a.csv", "list") == "text"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no list that can be read"):
        read_text(tmp_path / name, "list")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("two\nlines " + "x" * 500), r"two lines x+\.\.\."),
        (KeyError(), "KeyError"),
        (MemoryError(), "it asks for more memory than there is"),
        (RecursionError("maximum"), "it is nested too deep"),
        (Exception("as the tokenisers' library raises"), "as the tokenisers' library raises"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_whatever_a_library_raises_is_one_line(error: Exception, told: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with (
        pytest.raises(InputError, match=rf"^\S*a is no list that can be read \({told}\): again$"),
        reading.reading(tmp_path / "a", "list", "again"),
    ):
        raise error


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ESTALE, errno.EIO, errno.ENOSPC])
def test_a_fault_of_the_machine_is_none_of_the_file(number: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError) as raised, reading.reading(tmp_path / "a", "list"):
        raise OSError(number, "of the machine")
    assert raised.value.errno == number


def test_what_is_not_installed_is_no_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ImportError), reading.reading(tmp_path / "a", "list"):
        raise ImportError("No module named 'other'")


@pytest.mark.parametrize("text", ['{"a": NaN}', "[-Infinity]", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", "", "\xff"])
def test_json_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"a\.json is no JSON that can be read"):
        read_json(tmp_path / "a.json")


def test_a_text_that_does_not_fit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(40 << 30)
    with pytest.raises(InputError, match="it has 42,949,672,960 bytes"):
        read_json(tmp_path / "a.json")


def test_aliases_that_stand_for_more_values_than_there_are_atoms(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="it stands for more than 1,000,000 values"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("a: &a [*a]")
    with pytest.raises(InputError, match="it stands for more than 1,000,000 values"):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['true']", "a: 2024-99-99", "[" * 10_000, "\t", "a: \0"]
)
def test_yaml_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml is no YAML \("):
        read_yaml(tmp_path / "a.yaml")


def test_csv_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,"b' + "x" * 200_000)
    with pytest.raises(InputError, match=r"a\.csv is no CSV file \(field larger than field limit"):
        read_rows(tmp_path / "a.csv", "list")
    with pytest.raises(InputError, match=r"a\.csv is no list that can be read \(field larger"):
        read_table(tmp_path / "a.csv", "list")


def test_a_table_with_rows_of_other_lengths(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1\n1,2,3\n")
    assert read_table(tmp_path / "a.csv", "list") == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]
