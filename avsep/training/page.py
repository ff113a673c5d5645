"""The page that shows a training while it trains: one HTML file beside its pictures and sounds, for any browser.

It works from the disk: links are relative, nothing is fetched, and what it holds of other epochs stands in it.  The
newest epoch is there without the script, which puts another one's files and numbers in place of them.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).parent / "templates"
TITLES = {
    "train/loss": "Training loss",
    "val/snri": "SNRi, dB",
    "val/si_sdri": "SI-SDRi, dB",
    "val/visual_snri": "SNRi by picture, dB",
    "val/visual_si_sdri": "SI-SDRi by picture, dB",
    "val/text_snri": "SNRi by phrase, dB",
    "val/text_si_sdri": "SI-SDRi by phrase, dB",
    "val/balanced_accuracy": "Grounding, mixtures",
    "val/solo_balanced_accuracy": "Grounding, solo sounds",
}
WAYS = {"object": "Estimate", "visual": "By picture", "text": "By phrase"}


@dataclass(frozen=True)
class Curve:
    """A value over the epochs, within a box of 100 x 100 from the start of the training to its last epoch so far."""

    title: str
    path: str  # of SVG
    values: list[float | None]  # after epoch 1, 2, ...
    low: float
    high: float


def curve(title: str, values: Sequence[float | None]) -> Curve | None:
    """None where no value is a number."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    points = [
        f"{100 * epoch / len(values):.2f} {100 - 100 * (value - low) / (high - low or 1.0):.2f}"
        for epoch, value in enumerate(values, start=1)
        if value is not None
    ]
    return Curve(title, f"M {points[0]} L {' '.join(points)}", list(values), low, high)


def render(
    stage: str,
    epochs: int,
    mixtures: Sequence[Sequence[Mapping[str, Any]]],
    shown: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, float | None]],
) -> str:
    """The whole page, of what avsep/training/visualization.py tells of each mixture's objects, of each shown epoch and
    of all epochs so far; `epochs` are planned."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "visualization.js").read_text(encoding="utf-8")
    places = {name: place for place, name in enumerate(TITLES)}
    names = sorted({name for values in curves for name in values}, key=lambda n: (places.get(n, len(places)), n))
    drawn = [curve(TITLES.get(name, name), [values.get(name) for values in curves]) for name in names]
    return environment.get_template("visualization.html").render(
        stage=stage,
        epochs=epochs,
        done=len(curves),
        mixtures=mixtures,
        shown=shown,
        newest=shown[-1],
        curves=[one for one in drawn if one],
        ways=WAYS,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
