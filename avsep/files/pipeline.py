"""What dvc.yaml says of a stage: what it depends on, which params it reads, what it makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avsep.errors import InputError
from avsep.files.reading import read_yaml

PIPELINE = Path("dvc.yaml")
CODE = ("stages", "avsep", "models")


def stages_of() -> Mapping[str, Mapping[str, Any]]:
    """All stages, by their names; none if there is no dvc.yaml. Raises InputError if it cannot be read.

    Of one that is made for each of a param's values: what all these have, with `${item}` for the value.
    """
    if not PIPELINE.exists():
        return {}
    try:
        stages = read_yaml(PIPELINE)["stages"]
        if not all(isinstance(stage, dict) for stage in stages.values()):
            raise TypeError("a stage is no mapping")
        return {name: stage.get("do", stage) for name, stage in stages.items()}
    except (InputError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{PIPELINE} cannot be read ({' '.join(str(error).split())}): check it out again") from None


def deps_of(stage: str) -> list[Path]:
    """What dvc.yaml names as a stage's `deps`, in its order; nothing if there is no dvc.yaml, or none with this stage.

    Raises InputError if it cannot be read.
    """
    return [Path(dep) for dep in stages_of().get(stage, {}).get("deps", [])]


def code_of(stage: str) -> list[Path]:
    """The source files that a stage's `deps` name, sorted within each. Raises InputError as `deps_of`."""
    code = [path for path in deps_of(stage) if path.parts[0] in CODE]
    return [file for path in code for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


def params_of(stage: str) -> list[str]:
    """The params that a stage declares, sections or leaves (`seed`, `train`, `frames.fps`). Raises as `deps_of`."""
    return [str(name) for name in stages_of().get(stage, {}).get("params", [])]


def outputs_of(stage: str) -> list[Path]:
    """All that a stage makes. Raises InputError as `deps_of`."""
    entry = stages_of().get(stage, {})
    told = (one for kind in ("outs", "metrics", "plots") for one in entry.get(kind, []))
    return [Path(path) for one in told for path in (one if isinstance(one, dict) else [one])]
