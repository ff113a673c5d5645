"""What was made from what, so that outputs which stay between runs are redone exactly where something changed.

DVC leaves the outputs of a stage alone where it declares `persist`; what is still good among them is for the
stage to know.  A stage keeps one `Ledger` beside its outputs.  An item, (class, id), is *current* if the ledger
holds the same fingerprint (the input's bytes, the settings, the code) and its outputs are still the bytes that
were recorded.  All else is redone, and `prune` removes what no item owns: outputs of items that are gone and
the temporary files of a killed run.  A file is read only if it may have changed since it was last hashed
(avsep/files/hashes.py): a run that finds nothing to do looks at names, sizes and times alone.

The ledger lies beside the outputs, never in a folder that later stages depend on: an edit of the code that leaves
the outputs as they were changes its fingerprints, and nothing else.

    with Ledger(Path("data/extract.csv"), ["frames", "status"]) as ledger:
        ledger.keep(items)
        for item in items:
            made_from = fingerprint([video[item]], code=[Path(__file__)], settings={"fps": 1}, hashes=ledger.hashes)
            if not ledger.is_current(item, made_from, outputs[item]):
                ...  # make the outputs, each whole or not at all
                ledger.record(item, made_from, outputs[item], frames="24", status="ok")
        prune(Path("data/frames"), kept)
"""

import csv
import hashlib
import json
import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from avsep.errors import InputError
from avsep.files.hashes import Hashes
from avsep.files.reading import MOST_TEXT, read_table, reading, refuse_other_kinds, refusing
from avsep.files.whole import write_rows

Item = tuple[str, str]
"""(class, id) of a video."""


class Entry(NamedTuple):
    """What the ledger knows of one item: the stage's own columns, and two hashes."""

    values: dict[str, str]
    fingerprint: str
    outputs: str


class Ledger:
    """A CSV file, sorted by class and id: class, id, the stage's `columns`, fingerprint, outputs.

    It depends on the items alone, not on which of them were redone, or when: a stage may have it among its
    outputs.  As a context manager it is written, whole or not at all, at the end, also if that end is an exception.
    Until then each record is a line of `journal`, beside it, which a run that was killed leaves to the next one: all
    that a kill can lose is what was being made.  A file with other columns, or none, starts an empty ledger.
    `hashes`, in .hashes beside it, are those of the inputs and outputs.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(columns)
        self.entries: dict[Item, Entry] = {}
        self.hashes = Hashes(path.with_name(".hashes"))
        self.journal = path.with_name(f".{path.name}.journal")

    def __enter__(self) -> Self:
        header = ["class", "id", *self.columns, "fingerprint", "outputs"]
        if self.path.exists():
            refuse_other_kinds(self.path, "ledger", "move it away")
            try:
                with reading(self.path, "ledger", most=MOST_TEXT), self.path.open(newline="", encoding="utf-8") as file:
                    first, *rows = [*csv.reader(file)] or [[]]
            except InputError:  # damaged
                first, rows = [], []
            if first != header or any(len(row) != len(header) for row in rows):
                logging.info("%s is no ledger of this version: everything is made anew", self.path)
                rows = []
            self._take(rows)
        if self.journal.exists():
            self._take(self._recorded(len(header)))
            self.write()  # a line that is not whole would spoil the one that comes behind it
        return self

    def _take(self, rows: Iterable[Sequence[str]]) -> None:
        for category, name, *values, made_from, outputs in rows:
            self.entries[category, name] = Entry(dict(zip(self.columns, values, strict=True)), made_from, outputs)

    def _recorded(self, fields: int) -> Iterator[list[str]]:
        """The rows of a run that was killed; the last one may not be whole."""
        refuse_other_kinds(self.journal, "journal", "move it away")
        for line in self.journal.read_bytes().splitlines():
            try:
                with refusing("no row"):
                    row = json.loads(line)
            except InputError:
                continue
            if isinstance(row, list) and len(row) == fields and all(isinstance(value, str) for value in row):
                yield row

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()
        self.hashes.close()

    def keep(self, items: Collection[Item]) -> int:
        """Forgets all items but these. Returns how many."""
        before = len(self.entries)
        self.entries = {item: entry for item, entry in self.entries.items() if item in items}
        return before - len(self.entries)

    def is_current(self, item: Item, fingerprint: str, outputs: Iterable[Path]) -> bool:
        """Whether `outputs`, files or folders, are what was recorded for `item`, made with this fingerprint.

        Outputs that are recorded as absent, those of a rejected video, must still be absent.
        """
        entry = self.entries.get(item)
        if entry is None or entry.fingerprint != fingerprint:
            return False
        return entry.outputs == digest(outputs, self.hashes)

    def record(self, item: Item, fingerprint: str, outputs: Iterable[Path], **values: str) -> None:
        """Notes that `outputs`, as they lie on the disk now, were made with this fingerprint."""
        if list(values) != self.columns:
            raise ValueError(f"columns {list(values)}: this ledger has {self.columns}")
        self.entries[item] = Entry(values, fingerprint, digest(outputs, self.hashes))
        line = json.dumps(_row(item, self.entries[item])) + "\n"
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("ab", buffering=0) as file:  # in one write, through to the system: a kill takes none
            file.write(line.encode())

    def write(self) -> None:
        """Writes the ledger, whole or not at all."""
        header = ["class", "id", *self.columns, "fingerprint", "outputs"]
        entries = sorted(self.entries.items())
        write_rows(self.path, [header, *(_row(item, entry) for item, entry in entries)])
        self.journal.unlink(missing_ok=True)


def _row(item: Item, entry: Entry) -> list[str]:
    return [*item, *entry.values.values(), entry.fingerprint, entry.outputs]


def recorded_outputs(path: Path) -> dict[Item, str]:
    """The digest of each item's outputs, as another stage's ledger tells. Raises InputError if it is none."""
    again = f"run stage {path.stem} again"
    with refusing(f"{path} is no ledger", again):
        return {(row["class"], row["id"]): row["outputs"] for row in read_table(path, "ledger", again)}


def fingerprint(
    inputs: Iterable[Path], code: Iterable[Path], settings: Mapping[str, Any], hashes: Hashes | None = None
) -> str:
    """A hash of all that decides an item's outputs: bytes of `inputs` and of `code`, plain values in `settings`.

    `code` are the source files whose change must not leave old outputs in place.  `hashes` are those of `inputs`; what
    all items of a stage share is best hashed once, and given as a setting.
    """
    plain = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256("\n".join([digest(inputs, hashes), digest(code), plain]).encode()).hexdigest()


def digest(paths: Iterable[Path], hashes: Hashes | None = None) -> str:
    """A hash of files, of folders with all that lies below them, and of what is missing: names and bytes.

    With `hashes`, files that did not change since they were hashed are not read.
    """
    whole = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(path.parent).as_posix()
            whole.update(json.dumps([name, file_hash(file, hashes)]).encode())
    return whole.hexdigest()


def file_hash(path: Path, hashes: Hashes | None = None) -> str | None:
    """sha256 of a file's bytes, which are read unless `hashes` know them; None if there is no file."""
    if hashes is not None:
        return hashes.sha256(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def prune(folder: Path, keep: Collection[Path]) -> int:
    """Removes all below `folder` but the files and folders in `keep`, and what they lie in.

    Returns the number of files and folders that went; `folder` itself is made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _prune(folder, set(keep), _parents(keep))


def _parents(paths: Iterable[Path]) -> set[Path]:
    """All folders that the paths lie in."""
    parents: set[Path] = set()
    for path in paths:
        for parent in path.parents:
            if parent in parents:
                break  # and so are those above it
            parents.add(parent)
    return parents


def _prune(folder: Path, keep: Set[Path], parents: Set[Path]) -> int:
    gone = 0
    for path in sorted(folder.iterdir()):
        if path in keep:
            continue
        if path in parents and path.is_dir():
            gone += _prune(path, keep, parents)
        else:
            gone += 1
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return gone
