"""The package as DVC hands it on: `dvc artifacts get` brings it alone, of a repository that one has not cloned."""

from pathlib import Path

import pytest
import yaml

from tests.helpers.checkout import ROOT, call

pytestmark = pytest.mark.slow


def test_the_package_comes_alone(tmp_path: Path) -> None:
    """With dvc.yaml's entry, and a stage in the place of ours that makes two small files."""
    origin = tmp_path / "origin"
    origin.mkdir()
    ours = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    command = "mkdir -p checkpoints/package && echo {} > checkpoints/package/config.json && echo x > other"
    stage = {"cmd": command, "outs": ["checkpoints/package", "other"]}
    values = {"stages": {"package": stage}, "artifacts": ours["artifacts"]}
    (origin / "dvc.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (origin / ".gitignore").write_text("/checkpoints/\n/other\n", encoding="utf-8")
    for words in (
        ("git", "init", "-q"),
        ("git", "config", "user.name", "tester"),
        ("git", "config", "user.email", "tester@example.org"),
        ("dvc", "init", "-q"),
        ("dvc", "repro", "-q"),
        ("git", "add", "-A"),
        ("git", "commit", "-qm", "made"),
        ("git", "tag", "-a", "separator@v0.1.0", "-m", "first"),
    ):
        call(origin, *words)
    call(tmp_path, "dvc", "artifacts", "get", str(origin), "separator", "-o", "got")
    call(tmp_path, "dvc", "get", str(origin), "checkpoints/package", "-o", "any")
    assert (tmp_path / "any/config.json").is_file(), "without a tag"
    assert (tmp_path / "got/config.json").read_text(encoding="utf-8") == "{}\n"
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["config.json"] and not (tmp_path / "other").exists()
