"""A training that was stopped goes on where it was, if nothing that it depends on has changed since."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from avsep.media import incremental

CODE = ("stages", "avsep", "models")


def fingerprint(params: Mapping[str, Any], data: Iterable[Path]) -> str:
    """A hash of a stage's params, all code, and what it reads: data/index, which holds the hashes of all that it
    points to, and the weights that it starts from."""
    code = [path for folder in CODE for path in sorted(Path(folder).rglob("*.py"))]
    return incremental.fingerprint(data, code, params)


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

    @property
    def curves(self) -> Path:
        """What DVCLive had written at the last checkpoint."""
        return self.path / "curves"

    def clear(self) -> None:
        """When the training is done, or another one starts."""
        shutil.rmtree(self.path, ignore_errors=True)
