"""Stage index: what trains, validates and tests, from what extract and detect left, as the CSV files of data/index.

A video that cannot be used is set aside: data/index/rejected.csv and the metrics say which and why.  The rest is
split by video within each class, and the validation and test mixtures are fixed.  Videos that are one recording, copied
or encoded anew, are told by name, count once, and go into one split together (avsep/sources/alike.py); alike.csv lists
them.  What was written is read back and checked: no video, by its name or by its sound, is in two splits.

With `index.lists` published the lists that stage videos kept say what trains, validates and tests, and which test
mixtures there are; missing.csv and the metrics tell what of them cannot be had.  Validation's mixtures are made here in
either case.  Such lists may share videos, or recordings: the run stops, or, if `index.allow_leaks` is true, leaks.csv
names them, and this stage and those that give figures warn of them.

contents.csv tells what the usable videos' sound, frames and detections are, as hashes: later stages depend on
data/index alone, and change with whatever it points to.
"""

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsep.clips.index import Mixture, Video, read_index, read_mixtures, video, write_index, write_mixtures
from avsep.clips.leaks import LEAKS, TOGETHER, Leak, counts, sentences, tell_leaks, write_leaks
from avsep.clips.splits import Splits, check_disjoint, fixed_mixtures, refuse_few_classes, split
from avsep.errors import InputError
from avsep.files.finished import Finished
from avsep.files.ledgers import Item, digest, file_hash, recorded_outputs
from avsep.files.metrics import write_metrics
from avsep.files.names import few, is_number
from avsep.files.paths import inside
from avsep.files.reading import read_table
from avsep.files.whole import whole_folder, write_rows
from avsep.media.detections import read_detections
from avsep.media.ffmpeg import OUTLAST
from avsep.media.frames import count_frames
from avsep.media.wav import duration, loudest_db, read_whole
from avsep.parallel import spread
from avsep.params.stages import IndexParams
from avsep.run import run
from avsep.sources.alike import Landmarks, alike, grouped, landmarks, low
from avsep.sources.manifest import MANIFEST, VIDEOS, read_manifest
from avsep.sources.published import LISTS, MIXTURES, Key, Lists, read_lists, shown

ROOT = Path("data")
INDEX = ROOT / "index"
MISSING = INDEX / "missing.csv"
ALIKE = INDEX / "alike.csv"
NAMED = 5  # groups of one recording that are told

# What to do about a video that is in two splits: of ours, and of published lists.
ONE_VIDEO = "one video under two names; remove one of them"
SHARED = (
    "figures of such lists tell little of videos that are new; take each out of one of the lists, or set"
    " index.allow_leaks to true, and it is told wherever there are figures"
)


class Rejected(NamedTuple):
    """A video that is set aside, by which stage, and why: `<kind>` or `<kind>: <detail>`."""

    category: str
    id: str
    stage: str
    reason: str

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]


class Missing(NamedTuple):
    """What a row of a published list names and cannot be had: of a mixture's row, each of its videos."""

    list: str
    row: int  # line of the list
    video: str  # as the list has it
    why: str


class Published(NamedTuple):
    """What is left of the published lists."""

    splits: Splits
    mixtures: list[Mixture]  # of test
    missing: list[Missing]
    counts: dict[str, dict[str, int]]  # by list, for the metrics


def main(params: IndexParams) -> None:
    index, rate, fps = params.index, params.extract.rate, params.extract.fps
    Finished("detect").clear()
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
    published = by_lists(usable, rejected) if index.lists == "published" else None
    groups = recordings(usable, rate)
    with whole_folder(INDEX) as folder:  # at first alone: it explains why the run stops, if it does
        write_told(folder, rejected, published, groups)
    refuse_many(rejected, total, index.max_rejected)
    tell_recordings(groups)
    if published is None:
        splits = split_recordings(usable, groups, val=index.val, test=index.test, seed=params.seed)
        tested = fixed_mixtures(splits.test, index.test_mixtures, params.seed, "test")
    else:
        tell_missing(published.counts)
        splits, tested = published.splits, published.mixtures
        refuse_few_left(splits, tested)
    mixtures = {"val": fixed_mixtures(splits.val, index.val_mixtures, params.seed, "val"), "test": tested}
    used = sorted({one for members in splits for one in members})
    with whole_folder(INDEX) as folder:
        write_told(folder, rejected, published, groups)
        write_contents(folder / "contents.csv", used, recorded_outputs(ROOT / "extract.csv"), detected)
        for part, members in splits._asdict().items():
            write_index(folder / f"{part}.csv", members)
        for part, rows in mixtures.items():
            write_mixtures(folder / f"{part}_sep.csv", rows)
        # what later stages will read, not what was meant
        written = Splits(*(read_index(folder / f"{part}.csv", ROOT) for part in Splits._fields))
        for part in mixtures:
            read_mixtures(folder / f"{part}_sep.csv", getattr(written, part), ROOT)
        leaks = all_leaks(written, groups)
        if leaks and not index.allow_leaks:
            raise InputError(f"{'; '.join(sentences(leaks))}: {ONE_VIDEO if published is None else SHARED}")
        write_leaks(folder / LEAKS.name, leaks)
    tell_leaks(leaks)
    write_metrics(
        "index",
        {
            **summary(written, rejected),
            "mixtures": {part: len(rows) for part, rows in mixtures.items()},
            **({} if published is None else {"lists": published.counts, "leaks": counts(leaks)}),
            **({"alike": sum(len(group) - 1 for group in groups)} if groups else {}),
        },
    )


def read_extracted(path: Path) -> tuple[list[Video], list[Rejected]]:
    """The videos of data/extract.csv that extract could use, and the others. Raises InputError."""
    rows = read_table(path, "ledger", "run stage extract")
    videos, rejected = [], []
    for number, row in enumerate(rows, start=2):
        where = f"{path} line {number}"
        try:
            category, name, frames = row["class"], row["id"], row["frames"]
            status, reason = row["status"], row["reason"]
        except KeyError:
            raise InputError(f"{where}: no row of stage extract's; run it again") from None
        if not is_number(frames) or "/" in category or "/" in name:
            raise InputError(f"{where}: no row of stage extract's; run it again")
        inside(ROOT, f"{category}/{name}", where)
        if status == "ok":
            videos.append(video(ROOT, category, name, int(frames)))
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


def recordings(videos: Sequence[Video], rate: int) -> list[list[Video]]:
    """Videos that are one recording, two or more each, sorted; of those with the same bytes one is listened to."""
    videos = sorted(videos)
    of_sound: dict[str | None, list[int]] = {}
    for place, one in enumerate(videos):
        of_sound.setdefault(file_hash(one.audio), []).append(place)
    firsts = [places[0] for places in of_sound.values()]
    pairs = [(places[0], other) for places in of_sound.values() for other in places[1:]]
    files = [videos[place].audio.absolute() for place in firsts]
    marks = list(spread(partial(listen, rate=rate), files, desc="comparing", unit="video", threads=True))

    @functools.lru_cache(maxsize=8)
    def wave(place: int) -> np.ndarray:
        return low(read_whole(files[place], rate), rate)

    pairs += [(firsts[same.first], firsts[same.second]) for same in alike(marks, wave)]
    return [[videos[place] for place in group] for group in grouped(len(videos), pairs)]


def listen(file: Path, rate: int) -> Landmarks:
    """What a sound is known by."""
    return landmarks(low(read_whole(file, rate), rate))


def tell_recordings(groups: Sequence[Sequence[Video]]) -> None:
    for first, *others in groups[:NAMED]:
        names = ", ".join(one.name for one in others)
        logging.warning("index: %s: the same recording as %s: they count once, and stay together", names, first.name)
    if len(groups) > NAMED:
        logging.warning("index: and %d more recordings under several names: %s", len(groups) - NAMED, ALIKE)


def split_recordings(
    videos: Sequence[Video], groups: Sequence[Sequence[Video]], val: float, test: float, seed: int
) -> Splits:
    """As `split` has it, of the first video of each recording; the others go where that goes.

    Raises InputError that names all classes that have too few.
    """
    follows = {one: group[0] for group in groups for one in group[1:]}
    firsts = [one for one in videos if one not in follows]
    held = Counter(one.category for one in firsts)
    hint = "add videos, or leave the class out" + (f" (of one recording one video counts: {ALIKE})" if groups else "")
    if faults := few(held, {one.category for one in videos}, hint, what="usable video"):
        raise InputError(f"data: {'; '.join(faults)}")
    splits = split(firsts, val=val, test=test, seed=seed)
    for one, first in follows.items():
        next(part for part in splits if first in part).append(one)
    return Splits(*(sorted(part) for part in splits))


def all_leaks(splits: Splits, groups: Sequence[Sequence[Video]]) -> list[Leak]:
    """Each video of a later split that an earlier one has too: by its name, its sound's bytes, or its recording."""
    leaks = check_disjoint(splits, allow=True)
    known = {(leak.part, leak.video, leak.other_part) for leak in leaks}
    part_of = {one.name: part for part, members in splits._asdict().items() for one in members}
    for group in groups:
        for first, second in TOGETHER:
            earlier = [one.name for one in group if part_of.get(one.name) == first]
            later = [one.name for one in group if part_of.get(one.name) == second]
            leaks += [
                Leak(second, name, first, earlier[0])
                for name in later
                if earlier and (second, name, first) not in known
            ]
    return leaks


def by_lists(usable: Iterable[Video], rejected: Iterable[Rejected]) -> Published:
    """What the published lists name and is usable: the videos sorted, as of any split, the mixtures in their order.

    Raises InputError if stage videos kept no such lists.
    """
    if not LISTS.is_dir():
        raise InputError(f"{LISTS} is missing: run stage videos with index.lists published")
    lists = read_lists(LISTS)
    items = {(file.parent.name, file.stem): row.item for row, file in read_manifest(MANIFEST, VIDEOS)}
    of_item = {(one.category, one.id): one for one in usable}
    there = {key: of_item[item] for key, item in items.items() if item in of_item}
    reasons = {(one.category, one.id): f"set aside by stage {one.stage}: {one.reason}" for one in rejected}
    why = {
        key: reasons.get(items[key], "not extracted") if key in items else "not in the folder"
        for key in lists.keys() - there.keys()
    }
    return resolved(lists, there, why)


def resolved(lists: Lists, there: Mapping[Key, Video], why: Mapping[Key, str]) -> Published:
    """The lists' videos that are `there`, and `why` each other one is not."""
    missing: list[Missing] = []
    found: dict[str, dict[str, int]] = {}
    splits = {}
    for part, rows in lists.videos.items():
        missing += [Missing(part, row.line, shown(row.key), why[row.key]) for row in rows if row.key in why]
        members = [(row, there[row.key]) for row in rows if row.key in there]
        splits[part] = sorted(one for _, one in members)
        other = sum(int(row.frames) != one.frame_count for row, one in members)
        found[part] = {
            "rows": len(rows),
            "used": len(members),
            "missing": len(rows) - len(members),
            "other_frames": other,
        }
    mixtures = []
    for mixed in lists.mixtures:
        if lacking := [key for key in mixed.keys if key in why]:
            missing += [Missing(MIXTURES, mixed.line, shown(key), why[key]) for key in lacking]
        else:
            mixtures.append(Mixture(*(there[key] for key in mixed.keys)))
    total = len(lists.mixtures)
    found[MIXTURES] = {"rows": total, "used": len(mixtures), "missing": total - len(mixtures)}
    return Published(Splits(**splits), mixtures, missing, found)


def tell_missing(found: Mapping[str, Mapping[str, int]]) -> None:
    """A line on each list of which not all can be had, or of which the frames are other ones."""
    for name, told in found.items():
        if told["missing"]:
            what = "name a video that is not there" if name == MIXTURES else "have no video"
            logging.warning(
                "index: %d of %d rows of %s.csv %s, and are left out: %s",
                told["missing"],
                told["rows"],
                name,
                what,
                MISSING,
            )
        if told.get("other_frames"):
            logging.warning(
                "index: %d of %d videos of %s.csv have not the number of frames that it says: what is there counts",
                told["other_frames"],
                told["used"],
                name,
            )


def refuse_few_left(splits: Splits, mixtures: Sequence[Mixture]) -> None:
    """Raises InputError if what is left of the published lists can train, validate or test nothing."""
    for part, members in splits._asdict().items():
        if not members:
            raise InputError(f"no video of {part}.csv can be used: {MISSING} says why")
    if not mixtures:
        raise InputError(f"no mixture of {MIXTURES}.csv is left: {MISSING} says why")
    for part in ("train", "val"):
        refuse_few_classes((one.category for one in getattr(splits, part)), f" in {part}.csv")


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


def write_told(
    folder: Path, rejected: Iterable[Rejected], published: Published | None, groups: Sequence[Sequence[Video]]
) -> None:
    """What is not used, and why; and, if there are any, videos that are the recording of an earlier one."""
    write_rows(folder / "rejected.csv", [("class", "id", "stage", "reason"), *rejected])
    if published is not None:
        write_rows(folder / MISSING.name, [Missing._fields, *published.missing])
    if groups:
        rows = [(one.category, one.id, group[0].name) for group in groups for one in group[1:]]
        write_rows(folder / ALIKE.name, [("class", "id", "recording"), *rows])


def write_contents(
    path: Path, videos: Iterable[Video], extracted: Mapping[Item, str], detected: Mapping[Item, str]
) -> None:
    """The digests of what extract and detect recorded for each video."""
    keys = [(one.category, one.id) for one in videos]
    rows = [(*key, extracted[key], detected[key]) for key in keys]
    write_rows(path, [("class", "id", "extracted", "detected"), *rows])


if __name__ == "__main__":
    run(main, IndexParams)
