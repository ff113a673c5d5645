"""Stage extract: frames and mono sound of each video, from data/videos to data/frames, data/audio, data/extract.csv.

One ffmpeg process a video, as many at once as there are processors.  A video is taken apart again only if its
file, extract's params or code, or what was made of it changed.  A video that cannot be used leaves neither frames
nor sound; data/extract.csv says why, and the stages behind see only the others.
"""

import csv
import logging
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed

from avsep.errors import InputError
from avsep.media import ffmpeg, frames
from avsep.media.incremental import Item, Ledger, fingerprint, prune
from avsep.media.paths import inside
from avsep.params import ExtractParams
from avsep.run import progress, run, write_made, write_metrics

VIDEOS = Path("data/videos")
FRAMES = Path("data/frames")
AUDIO = Path("data/audio")
LEDGER = Path("data/extract.csv")
COLUMNS = ["frames", "samples", "status", "reason"]


class Source(NamedTuple):
    """One video, and where what is made of it lies."""

    item: Item
    file: Path
    frames: Path
    wav: Path

    @property
    def outputs(self) -> list[Path]:
        return [self.frames, self.wav]


class Result(NamedTuple):
    frames: int
    samples: int
    reason: str  # empty if the video can be used


def main(params: ExtractParams) -> None:
    sources = read_manifest(VIDEOS / "manifest.csv")
    fps, rate = params.extract.fps, params.extract.rate
    start = time.monotonic()
    code = [Path(module.__file__ or "") for module in (ffmpeg, frames)] + [Path(__file__)]
    shared = fingerprint([], code, {"fps": fps, "rate": rate, "ffmpeg": ffmpeg.version()})
    parallel = Parallel(n_jobs=-1, prefer="threads", return_as="generator")  # ffmpeg's processes do the work
    with Ledger(LEDGER, COLUMNS) as ledger:
        gone = ledger.keep({source.item for source in sources})

        def made_from(source: Source) -> tuple[str, bool]:
            """A source's fingerprint, and whether what lies there was made from just that."""
            found = fingerprint([source.file], [], {"shared": shared}, ledger.hashes)
            return found, ledger.is_current(source.item, found, source.outputs)

        checked = progress(parallel(delayed(made_from)(s) for s in sources), "checking", len(sources), "video")
        states = dict(zip(sources, checked, strict=True))
        todo = [source for source, (_, current) in states.items() if not current]
        logging.info("extract: %d of %d videos to take apart", len(todo), len(sources))
        results = parallel(delayed(take_apart)(source, fps, rate) for source in todo)
        for source, result in zip(todo, progress(results, "extract", len(todo), "video"), strict=True):
            if result.reason:
                logging.warning("set aside: %s/%s: %s", *source.item, result.reason)
            ledger.record(
                source.item,
                states[source][0],
                source.outputs,
                frames=str(result.frames),
                samples=str(result.samples),
                status="rejected" if result.reason else "ok",
                reason=result.reason,
            )
        usable = [source for source in sources if ledger.entries[source.item].values["status"] == "ok"]
        prune(FRAMES, {source.frames for source in usable})
        prune(AUDIO, {source.wav for source in usable})
        rows = [entry.values for entry in ledger.entries.values()]
    if not usable:
        raise InputError(f"none of the {len(sources)} videos can be used: {LEDGER} says why, for each")
    write_metrics("extract", summary(rows, fps=fps, rate=rate))
    made = len(todo)
    write_made("extract", made=made, kept=len(sources) - made, gone=gone, seconds=time.monotonic() - start)


def read_manifest(path: Path) -> list[Source]:
    """The videos of data/videos/manifest.csv, sorted by class and id. Raises InputError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): run stage videos") from None
    sources: dict[Item, Source] = {}
    for number, row in enumerate(rows, start=2):
        where = f"{path} line {number}"
        if any(not row.get(column) for column in ("class", "id", "file")):
            raise InputError(f"{where}: no class, id and file; run stage videos again")
        item = (row["class"], row["id"])
        if "/" in item[0] or "/" in item[1]:
            raise InputError(f"{where}: a class or an id is a plain name, without /")
        if item in sources:
            raise InputError(f"{where}: {item[0]}/{item[1]} is listed twice; run stage videos again")
        sources[item] = Source(
            item,
            inside(path.parent, row["file"], where),
            inside(FRAMES, f"{item[0]}/{item[1]}.mp4{frames.ARCHIVE}", where),
            inside(AUDIO, f"{item[0]}/{item[1]}.wav", where),
        )
    if not sources:
        raise InputError(f"{path} lists no videos: see param videos.source")
    return [sources[item] for item in sorted(sources)]


def take_apart(source: Source, fps: int, rate: int) -> Result:
    try:
        return Result(*ffmpeg.extract(source.file, source.frames, source.wav, fps, rate), reason="")
    except ffmpeg.Unusable as unusable:
        return Result(0, 0, str(unusable))


def summary(rows: list[dict[str, str]], fps: int, rate: int) -> dict[str, object]:
    """Counts and lengths for metrics/extract.json; reasons by their kind, the part before the colon."""
    reasons = Counter(row["reason"].partition(":")[0] for row in rows if row["status"] == "rejected")
    return {
        "videos": len(rows),
        "usable": len(rows) - reasons.total(),
        "rejected": {"total": reasons.total(), **dict(sorted(reasons.items()))},
        "seconds": {
            "frames": sum(int(row["frames"]) for row in rows) / fps,
            "sound": round(sum(int(row["samples"]) for row in rows) / rate, 3),
        },
    }


if __name__ == "__main__":
    run(main, ExtractParams)
