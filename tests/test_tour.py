"""docs/tour.md word for word: each of its commands, in its order, in a fresh checkout."""

import re
from pathlib import Path

import pytest

from tests.helpers.checkout import ROOT, call, fresh_checkout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

TOUR = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TOUR, re.DOTALL) for line in block.splitlines()]
# What a checkout and this environment stand for.
GIVEN = ["git clone <the address of this repository> avsep", "cd avsep", "make install", "source .venv/bin/activate"]


def said_by(folder: Path, command: str) -> str:
    """The output of a line of the shell. `avsep` is what is installed, and here the checkout's own."""
    return call(folder, "bash", "-c", re.sub(r"^avsep ", "python -m avsep ", command))


def test_every_command_does_what_the_tour_says(tmp_path: Path) -> None:
    assert COMMANDS[: len(GIVEN)] == GIVEN
    project = fresh_checkout(tmp_path)
    said = {command: said_by(project, command) for command in COMMANDS[len(GIVEN) :]}

    assert "Data and pipelines are up to date" in said["dvc repro"]
    for page in re.findall(r"`((?:metrics|sounds)/[\w/]+\.html)`", TOUR):
        assert (project / page).is_file(), page
    assert all((project / f"asked/flute_00/{name}").is_file() for name in ("objects.json", "residual.wav"))
    (further,) = [output for command, output in said.items() if command.endswith("--name further")]
    ran = set(re.findall(r"Running stage '(\w+)'", further))
    assert "cyclic" in ran and not ran & {"videos", "grounding", "colearning", "trimodal"}
    assert re.findall(r"distance_threshold.*", said["dvc params diff first further"])
    assert "distance_threshold: 0.05" in (project / "params.yaml").read_text(), "the first experiment's again"
