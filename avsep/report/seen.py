"""In how many frames the detector found an object, where that is too few to be passed over."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avsep.errors import InputError
from avsep.report.tables import read_json

SEEN_AT_LEAST = 0.5  # share of frames with an object: below it stage detect warns, and the page does


@dataclass(frozen=True)
class Frames:
    """That were looked at."""

    total: int
    without: int  # an object

    @property
    def few(self) -> bool:
        """Whether an object was found in too few of them."""
        return self.total - self.without < SEEN_AT_LEAST * self.total


@dataclass(frozen=True)
class Unseen:
    """Where too little was found."""

    all: Frames
    folders: Mapping[str, Frames]  # those alone of which too little was found; most without an object first

    def __str__(self) -> str:
        share = 100 * self.all.without / max(1, self.all.total)
        frames = f"{self.all.without:,} of {self.all.total:,} frames ({share:.0f}\N{NO-BREAK SPACE}%)"
        return f"In {frames} the detector found no object"


def read_unseen(metrics: Path) -> Unseen | None:
    """None: an object was found in enough frames, of each folder. Raises InputError for what is missing."""
    path = metrics / "detect.json"
    told = read_json(path)
    try:
        every = _frames(told["frames"])
        folders = {str(name): _frames(one) for name, one in told["folders"].items()}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path} tells no frames of each folder: run `dvc repro detect`, which does") from None
    few = {name: one for name, one in folders.items() if one.few}
    by_share = sorted(few, key=lambda name: (-few[name].without / few[name].total, name))
    return Unseen(every, {name: few[name] for name in by_share}) if few or every.few else None


def _frames(told: Mapping[str, int]) -> Frames:
    return Frames(int(told["total"]), int(told["without"]))
