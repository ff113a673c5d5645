"""A stage does not wait for what it does not use: importing some packages takes seconds."""

import subprocess
import sys

import pytest

LEARNING = ("torch", "lightning", "open_clip", "transformers", "dask", "matplotlib")


@pytest.mark.parametrize(
    ("stages", "unused"),
    [
        (("videos", "extract", "index"), LEARNING),
        (("detect", "scenes", "evaluate", "evaluate_scenes"), LEARNING[1:]),
        (("report",), LEARNING[:-1]),
    ],
    ids=["files", "networks", "report"],
)
def test_no_stage_imports_what_it_does_not_use(stages: tuple[str, ...], unused: tuple[str, ...]) -> None:
    names = ", ".join(f"stages.{stage}" for stage in stages)
    check = f"import sys, {names}; print(*({set(unused)!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []
