"""Names from data never lead out of their folder, however they are written."""

import os
from pathlib import Path

import pytest

from avsep.errors import InputError
from avsep.files.paths import inside, quoted, quoted_inside


@pytest.mark.parametrize(
    "name", ["a.mp4", "100 %.mp4", "a\\b", "new\nline", "二胡", os.fsdecode(b"caf\xe9"), "%2E%2E", 'a,"b']
)
def test_any_name_comes_back_from_text_on_one_line(name: str) -> None:
    text = quoted(f"cello/{name}")
    assert text.isprintable() and "\\" not in text and text.encode("utf-8")
    assert quoted_inside(Path("/videos"), text, "here") == Path("/videos/cello") / name


def test_a_plain_name_is_written_as_it_is() -> None:
    assert quoted("cello/Für Elise 2.mov") == "cello/Für Elise 2.mov"


@pytest.mark.parametrize("text", ["", "..", "../a", "/etc/passwd", "a//b", "a/%2E%2E/b", "a/b%2Fc", "a/b%00", "a/%2E"])
def test_what_would_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: .* is no path inside /videos"):
        quoted_inside(Path("/videos"), text, "here")
    if "%" not in text:
        with pytest.raises(InputError, match=r"^here: "):
            inside(Path("/videos"), text, "here")
