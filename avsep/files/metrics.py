"""A stage's metrics: metrics/<stage>.json, and what an incremental one had to make."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_metrics(stage: str, values: Mapping[str, Any]) -> None:
    """Writes metrics/<stage>.json, whole or not at all. Raises ValueError for a number that JSON has no word for."""
    _write(Path("metrics") / f"{stage}.json", values)


def write_made(stage: str, *, made: int, kept: int, gone: int, seconds: float) -> None:
    """Writes metrics/made/<stage>.json: of an incremental stage's items, how many it had to make in this run, how many
    it found as an earlier run left them, and how many of an earlier run it removed; and the seconds it took.

    No output of the stage and no part of its metrics: those are functions of params, code and data, while this tells
    of the run before.
    """
    _write(
        Path("metrics") / "made" / f"{stage}.json",
        {"made": made, "kept": kept, "gone": gone, "seconds": round(seconds, 3)},
    )


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
