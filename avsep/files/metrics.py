"""A stage's metrics: metrics/<stage>.json; how long it took, and what an incremental one had to make."""

import json
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


def write_time(stage: str, seconds: float) -> None:
    """Puts how long the stage took into metrics/times.json, beside the last runs of the others.

    No output of any stage, for the same reason.  A file that cannot be read is begun anew: it holds nothing else.
    """
    path = Path("metrics/times.json")
    try:
        times = {**json.loads(path.read_text(encoding="utf-8"))["seconds"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        times = {}
    write_json(path, {"seconds": dict(sorted({**times, stage: round(seconds, 1)}.items()))}, indent=2)
