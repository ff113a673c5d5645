"""The demo's params with some changed, and whether they are refused."""

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from avsep.errors import InputError
from avsep.params.loading import check
from avsep.params.sections import Params

ROOT = Path(__file__).parents[2]
DEMO: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
REMOVED = object()


def changed(**values: Any) -> dict[str, Any]:
    """The demo's params with some changed: `changed(train__batch=0)`; REMOVED takes one away."""
    result = copy.deepcopy(DEMO)
    for name, value in values.items():
        *sections, leaf = name.split("__")
        there = result
        for section in sections:
            there = there[section]
        if value is REMOVED:
            del there[leaf]
        else:
            there[leaf] = value
    if values.get("videos__source", "demo") != "demo" and not any(name.startswith("survey__") for name in values):
        result["survey"] |= result["survey"]["brought"]  # as conf/ composes it
    return result


def assert_refused(words: str, values: dict[str, Any]) -> None:
    """In one line, of which `words` are a part."""
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        check(values)
    assert "\n" not in str(caught.value)


def never_refusing(
    checks: Sequence[Callable[[Params], Iterator[str]]], cases: Iterable[dict[str, Any]]
) -> set[Callable[[Params], Iterator[str]]]:
    """The `checks` that find nothing wrong in any of the cases."""
    sections = [pydantic.TypeAdapter(Params).validate_json(json.dumps(values)) for values in cases]
    return {check for check in checks if not any(list(check(params)) for params in sections)}
