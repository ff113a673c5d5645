"""A training that was stopped goes on where it was, if nothing that it depends on has changed since."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CODE = ("stages", "avsep", "models")


def fingerprint(params: Mapping[str, Any], data: Iterable[Path]) -> str:
    """A hash of a stage's params, all code, and the data that it trains on.

    Files up to 64 MiB count by their bytes, larger ones and the files of folders by name, size and time of change.
    """
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for folder in CODE:
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(f"{path.as_posix()}\n".encode() + path.read_bytes())
    for root in data:
        for path in [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file()):
            stat = path.stat()
            digest.update(f"{path.as_posix()} {stat.st_size}\n".encode())
            if root.is_file() and stat.st_size <= 64 * 2**20:
                digest.update(path.read_bytes())
            else:
                digest.update(str(stat.st_mtime_ns).encode())
    return digest.hexdigest()


class ResumeFolder:
    """checkpoints/resume/<stage>: the state of an unfinished training. Neither DVC nor git keeps it."""

    def __init__(self, stage: str, fingerprint: str, root: Path = Path("checkpoints/resume")) -> None:
        self.path = root / stage
        self._stamp = self.path / "fingerprint"
        if not self._stamp.is_file() or self._stamp.read_text(encoding="utf-8") != fingerprint:
            self.clear()
            self.path.mkdir(parents=True)
            self._stamp.write_text(fingerprint, encoding="utf-8")

    @property
    def checkpoint(self) -> Path | None:
        """Where to go on from, if there is something."""
        path = self.path / "last.ckpt"
        return path if path.is_file() else None

    @property
    def best(self) -> Path:
        """The best weights so far."""
        return self.path / "best.safetensors"

    def clear(self) -> None:
        """When the training is done, or another one starts."""
        shutil.rmtree(self.path, ignore_errors=True)
