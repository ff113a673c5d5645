"""What a weights file tells of itself: all that is needed to use it, so that the file alone is enough.

A file has one metadata entry, `avsep`: JSON with sorted keys, and so the same bytes each time.

    format     version of this description
    system     whose weights: ccol, sound_of_pixels, vast, resnet18, clip, detector
    stage      that made them; `published`: the authors did
    sizes      the keywords that their network is built with
    params     what else decides what goes in and what comes out, by its name in params.yaml
    classes    of the training videos; of a detector, those of its labels 1, 2, ... in this order
    clip       of VAST: the hash of the CLIP that taught it
    zero_shot  of a detector that is asked in words: its kind, and the hash of its files
    versions   of this package and of torch

Sizes, params and clip must be those at hand: weights fit every other hop or rate as well, and would give other sounds
without a word.  Classes and versions are told, and refuse nothing.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from avsep.errors import InputError
from avsep.weights.checkpoints import find_metadata

KEY = "avsep"
FORMAT = 1
PRETRAINED = "pretrained"  # the stage that makes what nobody trains for a paper
PUBLISHED = "published"  # stands for the stage where the authors trained

Value = bool | int | float | str | list[int] | None

# What each system that separates hears: part of its `params`.
HEARD = (
    *("extract.rate", "audio.samples"),
    *("spectrogram.n_fft", "spectrogram.hop", "spectrogram.log_bins", "spectrogram.align_corners"),
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What there is to say of one system's weights."""

    system: str
    sizes: Mapping[str, str]  # keyword of the network -> the param that gives it
    own: Mapping[str, bool | int] = field(default_factory=dict)  # keywords that no param gives, as they mostly are
    params: Sequence[str] = ()  # that must be as they were
    told: Sequence[str] = ()  # params that are told, and may be others now


@cache
def own_version() -> str:
    """This package's: that of the checkout, or of what is installed."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return version("avsep")
    except PackageNotFoundError:  # the bare folder
        return "unknown"


def _versions() -> dict[str, str]:
    return {"avsep": own_version(), "torch": str(torch.__version__)}


@dataclass(frozen=True, kw_only=True)
class About:
    """A description. `entry` goes into a file, `read_about` takes it out."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    system: str
    stage: str
    sizes: dict[str, Value]
    params: dict[str, Value]
    classes: tuple[str, ...] = ()
    clip: str | None = None
    zero_shot: dict[str, str] | None = None
    versions: dict[str, str] = field(default_factory=_versions)

    @property
    def entry(self) -> tuple[str, str]:
        """As avsep.weights.checkpoints.save_weights takes it."""
        return KEY, self.to_text()

    @property
    def keywords(self) -> dict[str, Any]:
        """`sizes`, as the network takes them."""
        return dict(self.sizes)

    def to_text(self) -> str:
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps({"format": FORMAT, **told}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> "About":
        """Raises ValueError that says in a few words what is wrong."""
        try:
            told = json.loads(text)
        except (ValueError, RecursionError, MemoryError):
            raise ValueError("is damaged") from None
        if not isinstance(told, dict) or "format" not in told:
            raise ValueError("is none")
        if (found := told.pop("format")) != FORMAT:
            raise ValueError(f"has format {found!r}, and this version reads {FORMAT}")
        try:
            return TypeAdapter(cls).validate_json(json.dumps(told))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ValueError(f"is damaged at {where}") from None


def describe(
    kind: Kind,
    stage: str,
    params: Mapping[str, Any],
    *,
    classes: Sequence[str] = (),
    clip: str | None = None,
    sizes: Mapping[str, bool | int] | None = None,
) -> About:
    """What `stage` says of weights that it makes.

    `params`: sections of params.yaml as plain values.  `sizes`: those of the kind's own that are others here.
    """
    given = {keyword: _value(params, name) for keyword, name in kind.sizes.items()}
    return About(
        system=kind.system,
        stage=stage,
        sizes={**given, **kind.own, **(sizes or {})},
        params={name: _value(params, name) for name in (*kind.params, *kind.told)},
        classes=tuple(classes),
        clip=clip,
    )


def read_about(path: Path | str) -> About:
    """What a weights file tells of itself. Raises InputError if it is missing, or tells nothing that can be read."""
    text = find_metadata(path, KEY)
    if text is None:
        raise InputError(
            f"{path} does not say what it was trained with, it is older than this version, or none of its files: make"
            " it again (`dvc repro`), or import it with python -m avsep.published import"
        )
    try:
        return About.from_text(text)
    except ValueError as error:
        raise InputError(f"{path}: what it says of itself {error}: make it again (`dvc repro`)") from None


def refuse_other(
    path: Path | str,
    kind: Kind,
    params: Mapping[str, Any],
    stage: str = PRETRAINED,
    *,
    clip: str | None = None,
) -> About:
    """What a weights file tells, if it is of this kind, this stage, these params and, if given, this CLIP's hash.

    `params`: sections of params.yaml as plain values.  Raises InputError that names the first difference by its param.
    What the authors do not say of their own weights is not asked.
    """
    about = read_about(path)
    if about.system != kind.system:
        raise InputError(f"{path} holds weights of {about.system}, where those of {kind.system} should be")
    if about.stage not in (stage, PUBLISHED):
        raise InputError(f"{path} was made by stage {about.stage}, where stage {stage}'s weights should be")
    for keyword, usual in kind.own.items():
        if type(about.sizes.get(keyword)) is not type(usual):
            raise InputError(f"{path} does not say of what {keyword} it is: {_again(about, stage)}restore it")
    if unknown := sorted(set(about.sizes) - set(kind.own) - set(kind.sizes)):
        raise InputError(f"{path} tells of {unknown[0]}, which {kind.system} has not: {_again(about, stage)}restore it")
    pairs = [
        *((name, about.sizes, keyword) for keyword, name in kind.sizes.items()),
        *((name, about.params, name) for name in kind.params),
    ]
    for name, told, key in pairs:
        if key not in told and about.stage != PUBLISHED:
            raise InputError(f"{path} does not say with what {name} it was trained: {_again(about, stage)}restore it")
        if key in told and told[key] != (wanted := _value(params, name)):
            raise InputError(
                f"{path} was trained with {name} {json.dumps(told[key])}, params.yaml says {json.dumps(wanted)}:"
                f" {_again(about, stage)}restore the params"
            )
    if clip is not None and about.clip != clip:
        raise InputError(
            f"{path} was taught by another CLIP than checkpoints/pretrained/clip.safetensors: {_again(about, stage)}"
            "restore that CLIP"
        )
    return about


def _again(about: About, stage: str) -> str:
    """What to do about weights that do not fit, where something can be done."""
    if about.stage == PUBLISHED:
        return ""
    return "run stage pretrained again, or " if stage == PRETRAINED else "train it again, or "


def _value(params: Mapping[str, Any], name: str) -> Value:
    """A param as JSON has it."""
    section, _, leaf = name.partition(".")
    value = params[section][leaf]
    return list(value) if isinstance(value, tuple) else value
