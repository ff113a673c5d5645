"""A stage's metrics: metrics/<stage>.json, and what an incremental one had to make."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avsep.files.whole import write_json


def write_metrics(stage: str, values: Mapping[str, Any]) -> None:
    """Writes metrics/<stage>.json, whole or not at all. Raises ValueError for a number that JSON has no word for."""
    write_json(Path("metrics") / f"{stage}.json", values, indent=2)


def write_made(stage: str, *, made: int, kept: int, gone: int, seconds: float) -> None:
    """Writes metrics/made/<stage>.json: of an incremental stage's items, how many it had to make in this run, how many
    it found as an earlier run left them, and how many of an earlier run it removed; and the seconds it took.

    No output of the stage and no part of its metrics: those are functions of params, code and data, while this tells
    of the run before.
    """
    values = {"made": made, "kept": kept, "gone": gone, "seconds": round(seconds, 3)}
    write_json(Path("metrics") / "made" / f"{stage}.json", values, indent=2)
