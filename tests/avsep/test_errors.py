import pickle

import pytest

from avsep.errors import LONGEST, InputError


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("a.csv is missing: run stage index", "a.csv is missing: run stage index"),
        ("Übung 🎷 ist leer", "Übung 🎷 ist leer"),
        ("a\nb\r\tc", "a b  c"),
        ("a\x1b[2Jb\x00", "a\\x1b[2Jb\\x00"),
        ("half of a pair \ud800", "half of a pair \\ud800"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "\\u202egpj.exe"),
    ],
)
def test_a_message_is_one_line_that_prints(message: str, told: str) -> None:
    assert str(InputError(message)) == told


def test_a_long_message_keeps_its_start_and_its_remedy() -> None:
    told = str(InputError(f"a.json: {'x' * 1_000_000}: run stage index again"))
    assert len(told) == LONGEST
    assert told.startswith("a.json: xxx") and told.endswith("xxx: run stage index again")


def test_it_is_the_same_from_another_process() -> None:
    error = InputError("a\nb" + "x" * 5000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  its own
