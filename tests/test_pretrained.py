"""pretrained/demo, the copy in git of what stage package makes of the demo: it is that, byte for byte."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from avsep import Separator
from avsep.packaging.folder import contents, read_package

ROOT = Path(__file__).parents[1]
COPY, MADE = ROOT / "pretrained/demo", ROOT / "checkpoints/package"

with_copy = pytest.mark.skipif(not COPY.is_dir(), reason="git keeps no copy: `make pretrained-demo` makes it")


def dvc_hash(folder: Path) -> str:
    """A folder's hash as dvc.lock tells it: of the list of its files, each with its md5."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    listed = [{"md5": hashlib.md5((folder / name).read_bytes()).hexdigest(), "relpath": name} for name in files]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def locked(stage: str, path: str) -> str | None:
    """The hash of an output in dvc.lock."""
    lock: dict[str, Any] = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))
    outs = lock["stages"].get(stage, {}).get("outs", [])
    return next((out["md5"] for out in outs if out["path"] == path), None)


@with_copy
def test_the_copy_is_whole_and_small() -> None:
    package = read_package(COPY)
    assert {path.relative_to(COPY).as_posix() for path in COPY.rglob("*") if path.is_file()} == set(contents(package))
    assert package.dtype == "float16"


@with_copy
def test_the_copy_separates_with_this_version() -> None:
    """A param that came later does not shut it out."""
    assert Separator.from_pretrained(COPY).system_for(words=False) == "cyclic"


@with_copy
@pytest.mark.skipif(locked("package", "checkpoints/package") is None, reason="dvc.lock knows no stage package yet")
def test_the_copy_is_what_dvc_lock_tells() -> None:
    assert dvc_hash(COPY) == locked("package", "checkpoints/package"), "run `make pretrained-demo`"


@with_copy
@pytest.mark.skipif(not MADE.is_dir(), reason="nothing was made here")
def test_the_copy_is_what_the_stage_made_here() -> None:
    assert dvc_hash(COPY) == dvc_hash(MADE), "run `make pretrained-demo`"


def test_the_hash_is_dvcs(tmp_path: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    (tmp_path / "folder/b").mkdir(parents=True)
    (tmp_path / "folder/b/x.json").write_text("{}", encoding="utf-8")
    (tmp_path / "folder/a.md").write_text("a\n", encoding="utf-8")
    database = LocalHashFileDB(LocalFileSystem(), str(tmp_path / "cache"))
    _, _, built = build(database, str(tmp_path / "folder"), LocalFileSystem(), "md5")
    assert built.hash_info.value == dvc_hash(tmp_path / "folder")
