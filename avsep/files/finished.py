"""What a stage has finished, kept from the moment it is made until the stage behind it begins.

A stage's outputs are DVC's: before `dvc exp run` runs anything it puts them back, by force, to what dvc.lock says, and
the ledger among them.  What a run that was stopped had made would be gone.  So each item's outputs get a second name
where DVC does not look, as the state of an unfinished training does (avsep/training/resume.py).  A second name takes no
room, nor time; where files have one name alone, or the folders lie on two disks, the outputs are copied.

An item is taken back if it is asked for with the fingerprint (avsep/files/ledgers.py) that it was made with, and its
outputs are still the bytes that were kept.  What the stage at work does not ask for goes, so that no more than its
items are kept.  The stage behind it clears the rest: when that runs, DVC has the outputs.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from avsep.files.hashes import Hashes
from avsep.files.ledgers import Item, digest
from avsep.files.whole import whole_file, whole_folder, write_json

ABOUT = "about.json"


class Finished:
    """data/unfinished/<stage>: a folder for each item, of its outputs by their numbers and of what the ledger has."""

    def __init__(self, stage: str, hashes: Hashes | None = None, root: Path = Path("data/unfinished")) -> None:
        self.path = root / stage
        self.hashes = hashes

    def keep(self, item: Item, fingerprint: str, outputs: Sequence[Path], **values: str) -> None:
        """Keeps an item's outputs, those that are there, and the ledger's `values`, whole or not at all."""
        with whole_folder(self._folder(item, fingerprint)) as folder:
            for number, output in enumerate(outputs):
                if output.exists():
                    second_name(output, folder / str(number))
            # the outputs' hashes are not remembered here: a second name changes the file's ctime
            write_json(folder / ABOUT, {"outputs": digest(outputs), "values": values})

    def take(self, item: Item, fingerprint: str, outputs: Sequence[Path]) -> dict[str, str] | None:
        """Puts an item's outputs where they belong, and gives the ledger's values; None if it is not kept, or not
        whole. Outputs of a rejected video, which are none, are removed."""
        folder = self._folder(item, fingerprint)
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            kept, values = about["outputs"], {str(name): str(value) for name, value in about["values"].items()}
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
            return None
        for number, output in enumerate(outputs):
            output.unlink(missing_ok=True)
            if (folder / str(number)).is_file():
                with whole_file(output) as temporary:
                    temporary.unlink(missing_ok=True)
                    second_name(folder / str(number), temporary)
        return values if digest(outputs, self.hashes) == kept else None

    def keep_only(self, asked: Mapping[Item, str]) -> None:
        """Removes all but what these items, with these fingerprints, can take back."""
        names = {self._folder(item, fingerprint).name for item, fingerprint in asked.items()}
        if self.path.is_dir():
            for folder in [path for path in self.path.iterdir() if path.name not in names]:
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """When DVC has the outputs."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # another stage's are there
            self.path.parent.rmdir()

    def _folder(self, item: Item, fingerprint: str) -> Path:
        return self.path / hashlib.sha256(json.dumps([*item, fingerprint]).encode()).hexdigest()


def second_name(source: Path, target: Path) -> None:
    """A hard link, or a copy where there is none."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, another disk, too many of one file
        shutil.copy2(source, target)
