"""Coverage-guided fuzzing of the readers, by atheris, which is not among the requirements (`pip install atheris`).

    python -m tests.bad_inputs.fuzz ENTRY [--seconds 600] [--corpus FOLDER]

ENTRY is a name of entries.py, or a part of one.  The corpus begins with the good file and all that `spoiling` makes of
it; what reaches new code is kept in FOLDER.  It ends at the first input that a reader answers with another exception
than InputError, or Unusable, or with a line that does not print, and writes that to FOLDER/found-*.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["avsep", "zipfile", "tarfile", "json", "yaml"]):
    from avsep.errors import LONGEST, InputError
    from avsep.media.ffmpeg import Unusable
    from tests.bad_inputs.entries import ENTRIES, Entry
    from tests.bad_inputs.trying import cases, limit_memory

SMALL = 1 << 16  # bytes of a seed


class Fuzzed:
    """One entry, in a folder that is used again: the spoilt file alone is written anew."""

    def __init__(self, entry: Entry, folder: Path, corpus: Path) -> None:
        self.entry, self.folder, self.corpus = entry, folder / "in", corpus
        self.folder.mkdir()
        self.file = entry.write(self.folder)
        self.there = {path for path in self.folder.rglob("*")}
        self.became: Counter[str] = Counter()
        self.last = 0

    def seed(self) -> None:
        good = self.file.read_bytes()
        (self.corpus / "good").write_bytes(good)
        for number, bad in enumerate(cases(self.entry, self.file, 0)):
            place = self.corpus / f"seed{number:04d}"
            with contextlib.suppress(OSError, ValueError):
                bad.put(place)
            if place.is_symlink() or not place.is_file() or place.stat().st_size > SMALL:
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                else:
                    place.unlink(missing_ok=True)

    def one(self, content: bytes) -> None:
        self.last += 1
        self.file.write_bytes(content)
        os.utime(self.file, ns=(self.last, self.last))  # what is remembered of a file ends with its time
        try:
            self.entry.read(self.folder)
            self.became["used"] += 1
        except (InputError, Unusable) as error:
            self.became["refused"] += 1
            if isinstance(error, InputError) and (not str(error).isprintable() or len(str(error)) > LONGEST):
                raise AssertionError(f"no line: {str(error)[:200]!a}") from None
        except BaseException:
            (self.corpus / f"found-{hashlib.sha256(content).hexdigest()[:8]}").write_bytes(content)
            raise
        finally:
            for path in self.folder.rglob("*"):
                if path not in self.there:
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bad_inputs.fuzz")
    parser.add_argument("entry")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    given = parser.parse_args()
    [name] = [name for name in ENTRIES if given.entry in name][:1]
    given.corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        fuzzed = Fuzzed(ENTRIES[name], Path(folder), given.corpus.absolute())
        fuzzed.seed()
        limit_memory()
        begun = time.monotonic()

        def one(content: bytes) -> None:
            fuzzed.one(content)
            if fuzzed.last % 500 == 0 or time.monotonic() - begun > given.seconds - 5:
                told = f"{name}: {fuzzed.last} inputs in {time.monotonic() - begun:.0f} s, {dict(fuzzed.became)}"
                print(told, flush=True)

        limits = [f"-max_total_time={given.seconds}", "-timeout=20", "-rss_limit_mb=0", f"-max_len={SMALL}"]
        atheris.Setup([sys.argv[0], *limits, str(given.corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
