"""Stage index: what trains, validates and tests, from what extract and detect left, as the CSV files of data/index.

A video that cannot be used is set aside: data/index/rejected.csv and the metrics say which and why.  The rest is
split by video within each class, and the validation and test mixtures are fixed.  What was written is read back
and checked: no video, by its name or by its sound, is in two splits.

contents.csv tells what the usable videos' sound, frames and detections are, as hashes: later stages depend on
data/index alone, and change with whatever it points to.
"""

import contextlib
import csv
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from avsep.clips.index import Video, read_index, read_mixtures, video, write_index, write_mixtures
from avsep.clips.splits import Splits, check_disjoint, fixed_mixtures, split
from avsep.errors import InputError
from avsep.files.ledgers import Item, digest, recorded_outputs
from avsep.files.metrics import write_metrics
from avsep.files.paths import inside
from avsep.files.whole import whole_folder, write_rows
from avsep.media.detections import read_detections
from avsep.media.frames import count_frames
from avsep.media.wav import duration, loudest_db
from avsep.parallel import spread
from avsep.params.stages import IndexParams
from avsep.run import run

ROOT = Path("data")
INDEX = ROOT / "index"
OUTLAST = 0.5  # seconds that frames may go on after the sound's end, beside half a frame of rounding


class Rejected(NamedTuple):
    """A video that is set aside, by which stage, and why: `<kind>` or `<kind>: <detail>`."""

    category: str
    id: str
    stage: str
    reason: str

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]


def main(params: IndexParams) -> None:
    index, rate, fps = params.index, params.extract.rate, params.extract.fps
    videos, rejected = read_extracted(ROOT / "extract.csv")
    total = len(videos) + len(rejected)
    detected = recorded_outputs(ROOT / "detect.csv")
    refuse_long_window(videos, params.audio.samples, rate)

    check = partial(problem, fps=fps, rate=rate, min_seconds=index.min_seconds, silence_db=index.silence_db)
    here = f"{Path.cwd()}/"
    known = [(absolute(one), detected.get((one.category, one.id))) for one in videos]
    usable = []
    for one, reason in zip(videos, spread(check, known, desc="index", unit="video", threads=True), strict=True):
        if reason is None:
            usable.append(one)
        else:
            reason = reason.replace(here, "")  # the same in every folder
            logging.warning("set aside: %s: %s", one.name, reason)
            rejected.append(Rejected(one.category, one.id, "index", reason))
    rejected.sort()
    with whole_folder(INDEX) as folder:  # at first alone: it explains why the run stops, if it does
        write_rejected(folder / "rejected.csv", rejected)
    refuse_many(rejected, total, index.max_rejected)

    splits = split(usable, val=index.val, test=index.test, seed=params.seed)
    with whole_folder(INDEX) as folder:
        write_rejected(folder / "rejected.csv", rejected)
        write_contents(folder / "contents.csv", sorted(usable), recorded_outputs(ROOT / "extract.csv"), detected)
        for part, members in splits._asdict().items():
            write_index(folder / f"{part}.csv", members)
        mixtures = {
            "val": fixed_mixtures(splits.val, index.val_mixtures, params.seed, "val"),
            "test": fixed_mixtures(splits.test, index.test_mixtures, params.seed, "test"),
        }
        for part, rows in mixtures.items():
            write_mixtures(folder / f"{part}_sep.csv", rows)
        # what later stages will read, not what was meant
        written = Splits(*(read_index(folder / f"{part}.csv", ROOT) for part in Splits._fields))
        check_disjoint(*written)
        for part in mixtures:
            read_mixtures(folder / f"{part}_sep.csv", getattr(written, part), ROOT)
    counts = {part: len(rows) for part, rows in mixtures.items()}
    write_metrics("index", {**summary(written, rejected), "mixtures": counts})


def read_extracted(path: Path) -> tuple[list[Video], list[Rejected]]:
    """The videos of data/extract.csv that extract could use, and the others. Raises InputError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): run stage extract") from None
    videos, rejected = [], []
    for number, row in enumerate(rows, start=2):
        where = f"{path} line {number}"
        try:
            category, name, frames = row["class"], row["id"], int(row["frames"])
            status, reason = row["status"], row["reason"]
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{where}: no row of stage extract's; run it again") from None
        inside(ROOT, f"{category}/{name}", where)
        if status == "ok":
            videos.append(video(ROOT, category, name, frames))
        else:
            rejected.append(Rejected(category, name, "extract", reason))
    if not rows:
        raise InputError(f"{path} lists no videos: run stage extract")
    return videos, rejected


def refuse_long_window(videos: Iterable[Video], samples: int, rate: int) -> None:
    """Raises InputError if a window of `samples` is longer than the sound of every video."""
    seconds: list[float] = []
    for one in videos:
        with contextlib.suppress(InputError):  # `problem` sets it aside
            seconds.append(duration(one.audio, rate))
    if seconds and samples > max(seconds) * rate:
        raise InputError(
            f"params: audio.samples is {samples}, {samples / rate:.2f} s: longer than every clip"
            f" (the longest has {max(seconds):.2f} s)"
        )


def absolute(one: Video) -> Video:
    """For processes in other folders."""
    return replace(one, audio=one.audio.absolute(), frames=one.frames.absolute(), detections=one.detections.absolute())


def problem(known: tuple[Video, str | None], fps: int, rate: int, min_seconds: float, silence_db: float) -> str | None:
    """Why a video cannot be used, or None; beside it the digest of what stage detect wrote for it, if anything."""
    one, detected = known
    frames = one.frame_count / fps
    try:
        count = count_frames(one.frames)
    except InputError as error:
        return f"frames: {error}"
    if count < one.frame_count:
        return f"frames: {one.frames} holds {count}, extract wrote {one.frame_count}"
    try:
        sound = duration(one.audio, rate)
        level = loudest_db(one.audio, rate)
    except InputError as error:
        return f"sound: {error}"
    if frames <= min_seconds or sound <= min_seconds:
        return f"too short: {frames:.1f} s of frames, {sound:.1f} s of sound; more than {min_seconds:g} s are needed"
    if frames - sound > OUTLAST + 0.5 / fps:
        return f"sound ends early: at {sound:.1f} s of {frames:.1f} s of frames"
    if level < silence_db:
        return f"silent: the loudest second has {level:.1f} dB"
    try:
        read_detections(one.detections, one.frame_count)
    except InputError as error:
        return f"detections: {error}"
    if detected != digest([one.detections]):
        return f"detections: {one.detections} is not what stage detect wrote for this video: run it again"
    return None


def refuse_many(rejected: list[Rejected], total: int, share: float) -> None:
    """Raises InputError if more than this share of all videos is set aside."""
    if len(rejected) > share * total:
        kind, count = Counter(one.kind for one in rejected).most_common(1)[0]
        raise InputError(
            f"{len(rejected)} of {total} videos are set aside, index.max_rejected allows a share of {share:g};"
            f" most often ({count}): {kind}; {INDEX / 'rejected.csv'} lists them all"
        )


def summary(splits: Splits, rejected: list[Rejected]) -> dict[str, object]:
    """Counts for metrics/index.json."""
    counts = {part: Counter(one.category for one in members) for part, members in splits._asdict().items()}
    classes = sorted({category for count in counts.values() for category in count})
    return {
        "videos": {part: len(members) for part, members in splits._asdict().items()},
        "classes": {category: {part: counts[part][category] for part in counts} for category in classes},
        "rejected": {"total": len(rejected), **dict(sorted(Counter(one.kind for one in rejected).items()))},
    }


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    write_rows(path, [("class", "id", "stage", "reason"), *rejected])


def write_contents(
    path: Path, videos: Iterable[Video], extracted: Mapping[Item, str], detected: Mapping[Item, str]
) -> None:
    """The digests of what extract and detect recorded for each video."""
    keys = [(one.category, one.id) for one in videos]
    rows = [(*key, extracted[key], detected[key]) for key in keys]
    write_rows(path, [("class", "id", "extracted", "detected"), *rows])


if __name__ == "__main__":
    run(main, IndexParams)
