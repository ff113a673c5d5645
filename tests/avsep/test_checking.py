"""What `avsep check` tells to run is what the shell, DVC and Hydra read as the folder."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from avsep.checking import command

PLAIN = ["/home/lab/videos", "/home/lab/My recordings", "/a-b_c.d/2024 %+@x"]
ODD = [
    "/Übung (2)",
    "/a, b",
    "/x=y",
    "/it's",
    '/a "cool" one',
    "/#1 ~ {x}",
    "/[a]",
    "/c&d;e",
    "/back\\",
    '/b\\"c',
    "/🎷",
]


@pytest.mark.parametrize("path", PLAIN + ODD)
def test_the_command_names_the_folder(path: str) -> None:
    words = shlex.split(command(Path(path)))
    assert words[:6] == ["dvc", "exp", "run", "-S", "videos.source=folder", "-S"]
    assert OverridesParser.create().parse_override(words[6]).value() == path
    assert ('"' in words[6]) == (path in ODD), "no more quotes than are needed"
