"""params.yaml, read and checked whole, and the part of it that a stage reads.

Any stage refuses a file of which any part is wrong: a mistake in `evaluate` is told before the first video is rendered.
Only how many tokens a phrase has is told by the stages that import CLIP, from pretrained on.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import pydantic

from avsep.errors import InputError
from avsep.files.reading import read_yaml, refusing
from avsep.params.contradictions import (
    devices,
    evaluation,
    phrases,
    pictures,
    pretrained,
    sound,
    splits,
    training,
    videos,
)
from avsep.params.sections import Params

CONTRADICTIONS = (
    *videos.CHECKS,
    *pretrained.CHECKS,
    *splits.CHECKS,
    *sound.CHECKS,
    *pictures.CHECKS,
    *phrases.CHECKS,
    *training.CHECKS,
    *evaluation.CHECKS,
    *devices.CHECKS,
)

StageParams = TypeVar("StageParams")


def load(stage_params: type[StageParams], path: Path | str = "params.yaml") -> StageParams:
    """Reads and checks the whole of `path`, and gives the part that a stage reads: a class of avsep/params/stages.py.

    Raises InputError, naming the param, if anything in the file is wrong.
    """
    params = read(path)
    names = [f.name for f in dataclasses.fields(stage_params)]  # type: ignore[arg-type]
    if "clip" in names:  # of the stages that import CLIP anyway, the first is pretrained
        _refuse(list(phrases.tokens(params)))
    return stage_params(**{name: getattr(params, name) for name in names})


def read(path: Path | str = "params.yaml") -> Params:
    """Reads and checks the whole of `path`. Raises InputError."""
    if not Path(path).exists():
        raise InputError(f"{path} is missing: run from the repository's root")
    values = read_yaml(Path(path))
    if not isinstance(values, dict):
        raise InputError(f"{path} is empty: compose it with `dvc exp run`, or check it out again")
    return check(values)


def check(values: dict[str, Any]) -> Params:
    """Checks plain values, as read from params.yaml. Raises InputError, naming the param."""
    with refusing("params hold what JSON has no words for"):
        text = json.dumps(values)
    try:
        # by way of JSON: strict about types, yet a mapping may become a section
        params = pydantic.TypeAdapter(Params).validate_json(text)
    except pydantic.ValidationError as error:
        raise InputError("params: " + "; ".join(_sentence(e) for e in error.errors())) from None
    _refuse([problem for contradiction in CONTRADICTIONS for problem in contradiction(params)])
    return params


def load_part(stage_params: type[StageParams], values: dict[str, Any], where: str) -> StageParams:
    """What a stage reads, of plain values that another version may have written: sections and params that are there,
    and no others, each of its type. A param that may be null is null where it lacks: an older version did without it.

    Raises InputError, beginning with `where`, that names the first one.
    """
    known = {f.name for f in dataclasses.fields(stage_params)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise InputError(f"{where}: {unknown[0]} is no param of this version")
    kinds = get_type_hints(stage_params)
    values = {
        name: {**_without(kinds[name]), **value} if isinstance(value, dict) else value for name, value in values.items()
    }
    try:
        return pydantic.TypeAdapter(stage_params).validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        told = _sentence(error.errors()[0]).partition(": see conf")[0]
        raise InputError(f"{where}: {told}") from None


def _without(section: type) -> dict[str, None]:
    """The params of a section that may be null, each null."""
    return {name: None for name, kind in get_type_hints(section).items() if type(None) in get_args(kind)}


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise InputError("params: " + "; ".join(problems))


def _sentence(error: Any) -> str:
    """One error of pydantic's in a user's words: `train.lr: '1e-5' ..., write 1.0e-5`."""
    name = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name} is no param: see conf/config.yaml"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{name} is missing: see conf/config.yaml"
    hint = ""
    if kind == "float_type" and isinstance(error["input"], str):
        hint = " (YAML takes 1e-5 for text: write 1.0e-5)"
    return f"{name} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}{hint}"
