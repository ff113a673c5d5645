import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from avsep.errors import InputError
from avsep.report.provenance import read_provenance

GIVEN: dict[str, Any] = {"profile": "demo", "trial": False, "source": "demo", "seed": 3, "device": "cpu"}
GIVEN |= {"rate": 11025, "systems": 11}
INDEX = {
    "videos": {"train": 1308, "val": 44, "test": 88},
    "classes": {"cello": {"train": 1}, "erhu": {"train": 2}},
    "mixtures": {"val": 64, "test": 96},
}


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    (tmp_path / "index.json").write_text(json.dumps(INDEX))
    for name in ("pairs.csv", "scenes.csv"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_what_the_figures_come_from(metrics: Path) -> None:
    told = read_provenance(metrics, **GIVEN)
    facts = dict(told.facts)
    assert facts["Profile"] == "demo" and facts["Seed"] == "3" and facts["Sound"] == "11,025 Hz, mono"
    assert facts["Videos"] == "1,440 of 2 classes, rendered by this project"
    assert facts["Split"] == "1,308 to train, 44 to choose, 88 to test"
    assert facts["Mixtures"] == "96 to test, 64 to choose"


def test_the_hashes_are_those_of_the_lock(metrics: Path) -> None:
    """DVC's of a file: MD5 of its bytes."""
    hashes = read_provenance(metrics, **GIVEN).hashes
    assert hashes["metrics/pairs.csv"] == hashlib.md5(b"pairs.csv").hexdigest()
    assert list(hashes) == ["metrics/pairs.csv", "metrics/scenes.csv"]


def test_what_is_missing_is_named(metrics: Path) -> None:
    (metrics / "scenes.csv").unlink()
    with pytest.raises(InputError, match=r"scenes\.csv is missing"):
        read_provenance(metrics, **GIVEN)
    (metrics / "index.json").write_text('{"videos": {"train": 1}}')
    with pytest.raises(InputError, match=r"tells no videos\.val"):
        read_provenance(metrics, **GIVEN)
