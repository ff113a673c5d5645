"""What README and docs call by the word avsep is what it understands: commands, options, what they need."""

import re
import shlex
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from avsep.cli import app
from tests.test_docs import COMMANDS, PAGES, ROOT

WRITTEN = sorted({line for page in PAGES for line in re.findall(r"`(avsep [^`]+)`", (ROOT / page).read_text("utf-8"))})
CALLED = sorted({command for _, command in COMMANDS if command.startswith("avsep ")})


def command_of(line: str) -> tuple[Any, list[str]]:
    """The command that a line names, and the words that it is given."""
    command: Any = get_command(app)
    words = shlex.split(line)[1:]
    while isinstance(command, TyperGroup):
        assert words and words[0] in command.commands, f"{line}: no command"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def understand(line: str) -> None:
    """Reads a line without doing what it says. Fails as the word itself would."""
    command, words = command_of(line)
    command.make_context("avsep", words)


@pytest.mark.parametrize("line", CALLED)
def test_a_command_of_a_page_is_understood(line: str) -> None:
    understand(line)


@pytest.mark.parametrize("line", WRITTEN)
def test_a_command_within_a_sentence_is_one(line: str) -> None:
    """It may lack what it needs, as `avsep separate --help` does."""
    command, words = command_of(line)
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= options | {"--help"}


def test_readme_separates_a_video_in_one_command() -> None:
    assert any(page == "README.md" and command.startswith("avsep separate ") for page, command in COMMANDS)


@pytest.mark.parametrize("line", ["avsep divide a.mp4 -o b", "avsep", "avsep separate a.mp4", "avsep info --words c"])
def test_what_is_no_command_is_found(line: str) -> None:
    with pytest.raises((AssertionError, TyperException)):
        understand(line)
