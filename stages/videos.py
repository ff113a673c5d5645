"""Stage videos: data/videos/manifest.csv, which videos there are and what each is made from; and the videos it made.

Param `videos.source` says where they come from:

- demo: clips of soloists are rendered, with their ground truth beside them (avsep/demo);
- ids: a published list's videos are downloaded (avsep/sources/lists.py, download.py).  data/downloads, which DVC does
  not keep, holds what is not whole yet, and says in unavailable.csv which could not be had, and why;
- folder: <class>/<anything>.<container> of the user's (avsep/sources/folder.py).  The files stay where they are;
- imported: what others have extracted, in the published layout (avsep/sources/imported.py).  With `index.lists`
  published the folder's own lists go to data/videos/lists, for stage index (avsep/sources/published.py).

DVC watches what is read here of `videos.path`: the code that renders the demo, or what stage survey has listed
(avsep/sources/watched.py).  Whether a video can be used is for stage extract to find out; a folder's classes of which
too few can be opened are told here, all of them.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from avsep.demo.sound import PARTS
from avsep.demo.video import render_video
from avsep.errors import InputError
from avsep.files.hashes import Hashes
from avsep.files.ledgers import Item, Ledger, file_hash, prune
from avsep.files.metrics import write_made, write_metrics
from avsep.files.names import count, printable, refuse_few
from avsep.files.whole import write_rows
from avsep.media.ffmpeg import Unusable, probe
from avsep.parallel import spread
from avsep.params.stages import VideosParams
from avsep.progress import progress
from avsep.run import run
from avsep.sources import folder, imported, published
from avsep.sources.download import ARRIVED, ARRIVING, COLUMNS, LEDGER, Settings, adopt, deliver, download
from avsep.sources.lists import Listed, read_lists
from avsep.sources.manifest import MANIFEST, VIDEOS, Row, read_manifest, write_manifest, write_parts
from avsep.sources.watched import DOWNLOADS, refuse_no_place, refuse_own

HASHES = Path("data/.hashes")  # of files, as later stages know them too
UNAVAILABLE = DOWNLOADS / "unavailable.csv"


class Found(NamedTuple):
    """What a source has; `made` of its videos were rendered or downloaded in this run."""

    rows: list[Row]
    ignored: int  # files and folders that are no videos
    counts: Mapping[str, object]  # of this source alone, for the metrics
    made: int | None = None  # None: the stage makes none, it lists them


def main(params: VideosParams) -> None:
    started = time.monotonic()
    v, settings = params.videos, params.download
    before = earlier_rows()
    hashes = Hashes(HASHES)
    if v.source == "demo":
        found = render(
            v.classes,
            v.per_class,
            seed=params.seed,
            seconds=v.seconds,
            timbre=v.timbre,
            fps=v.fps,
            width=v.width,
            height=v.height,
        )
    elif v.source == "ids":
        asked = Settings(settings.url, settings.height, settings.rate, settings.sleep, settings.retries, settings.pause)
        found = fetch(Path(v.path), asked, settings.retry_unavailable, hashes, before)
    elif v.source == "folder":
        found = list_folder(Path(v.path), hashes)
    else:
        found = list_imported(Path(v.path), hashes, params.index.lists == "published")
    hashes.close()
    rows = sorted(found.rows)
    if v.source == "folder":
        refuse_few(
            Counter(row.category for row in rows if row.seconds),
            {row.category for row in rows},
            f"videos.path is {v.path}, of what can be opened",
            "add some, or move the class elsewhere; why others cannot stands above",
        )
    write_manifest(MANIFEST, rows)
    kept = {row.item for row in rows if before.get(row.item) == row}
    made = len(rows) - len(kept) if found.made is None else found.made
    gone = len(before.keys() - {row.item for row in rows})
    write_made("videos", made=made, kept=len(rows) - made, gone=gone, seconds=time.monotonic() - started)
    write_metrics(
        "videos",
        {
            "videos": len(rows),
            "seconds": round(sum(float(row.seconds or 0) for row in rows), 3),
            "unreadable": sum(not row.seconds for row in rows),
            "ignored": found.ignored,
            **found.counts,
            "classes": dict(sorted(Counter(row.category for row in rows).items())),
        },
    )


def earlier_rows() -> dict[Item, Row]:
    """What an earlier run listed; nothing if there is no manifest of this version."""
    try:
        return {row.item: row for row, _ in read_manifest(MANIFEST, VIDEOS)}
    except InputError:
        return {}


# --- demo


def render(classes: Sequence[str], per_class: int, **settings: float) -> Found:
    """Renders the demo's videos into data/videos, in parallel; `settings` are render_video's.

    Raises InputError for a class that has no shape.
    """
    if unknown := sorted(set(classes) - set(PARTS)):
        raise InputError(f"videos.classes names {', '.join(unknown)}: the demo has {', '.join(PARTS)}")
    prune(VIDEOS, [])
    for name in classes:
        (VIDEOS / name).mkdir()
    work = partial(_render_one, VIDEOS.absolute(), settings)
    calls = [(name, index) for name in classes for index in range(per_class)]
    listed = list(spread(work, calls, desc="rendering", unit="video"))
    return Found(listed, 0, {}, made=len(listed))


def _render_one(root: Path, settings: Mapping[str, Any], call: tuple[str, int]) -> Row:
    name, index = call
    path = render_video(root / name, name, index, **settings)
    return _row(path, name, path.stem, f"{name}/{path.name}", None)


# --- ids


def fetch(path: Path, settings: Settings, retry_unavailable: bool, hashes: Hashes, before: Mapping[Item, Row]) -> Found:
    """Downloads a list's videos, those that are not there yet; `before` is what the manifest lists."""
    where = refuse_no_place("ids", path)
    listed = read_lists(path, where)
    with Ledger(LEDGER, COLUMNS) as ledger:
        ledger.hashes = hashes  # as later stages know the files too
        unknown = [before[item] for item in listed.videos if item in before and item not in ledger.entries]
        adopt({row.item: row.file for row in unknown if is_there(row, hashes)}, ledger, settings)
        asked = download(listed.videos, ledger, settings, retry_unavailable=retry_unavailable)
        answers = {item: ledger.entries[item].values for item in listed.videos}
        there = [item for item in listed.videos if answers[item]["status"] == "available"]
        report_answers(listed, answers)
        counts = Counter(category for category, _ in there)
        classes = {category for category, _ in listed.videos}
        refuse_few(counts, classes, where, f"{UNAVAILABLE} says which cannot be had")
        files = {item: deliver(answers[item]["file"]) for item in there}
        prune(VIDEOS, list(files.values()))
        ledger.keep(listed.videos)  # last: what another list's run has learnt is not lost to a mistaken path
        prune(ARRIVED, [])
        prune(ARRIVING, [ARRIVING.joinpath(*item) for item in listed.videos if answers[item]["status"] == "failed"])
    rows = [
        _row(file, *item, file.relative_to(VIDEOS).as_posix(), hashes)._replace(
            parts=write_parts(listed.videos[item] or ())
        )
        for item, file in progress(files.items(), "reading", len(files), "video")
    ]
    states = Counter(answers[item]["status"] for item in listed.videos)
    share = {
        "listed": listed.total,
        "available": len(there),
        "share": round(len(there) / listed.total, 4),
        "unavailable": states["unavailable"] + len(listed.unusable),
        "failed": states["failed"],
        "duets": listed.duets,
    }
    return Found(rows, 0, {"ids": share}, made=len(set(asked) & set(there)))


def is_there(row: Row, hashes: Hashes) -> bool:
    """Whether data/videos holds the file of a line of the manifest."""
    return bool(row.sha256) and file_hash(VIDEOS / row.file, hashes) == row.sha256


def report_answers(listed: Listed, answers: Mapping[Item, Mapping[str, str]]) -> None:
    """Tells how many ids could be had, and writes which could not."""
    lacking = {item: answers[item] for item in listed.videos if answers[item]["status"] != "available"}
    available = len(listed.videos) - len(lacking)
    logging.info("videos: %d of %d ids are available, %.0f %%", available, listed.total, 100 * available / listed.total)
    failed = sum(answer["status"] == "failed" for answer in lacking.values())
    if failed:  # the stage as such succeeds: DVC will not run it again by itself
        logging.warning("videos: %d ids got no answer: `dvc repro --force videos` asks for them again", failed)
    reasons = listed.unusable | {item: answer["reason"] for item, answer in lacking.items()}
    write_unavailable(UNAVAILABLE, reasons, answers)


def write_unavailable(path: Path, reasons: Mapping[Item, str], answers: Mapping[Item, Mapping[str, str]]) -> None:
    """The ids that could not be had; `failed` ones are asked for again by the stage's next run."""
    rows = [["class", "id", "status", "reason"]]
    for item, reason in sorted(reasons.items()):
        status = answers[item]["status"] if item in answers else "unavailable"
        rows.append([*item, status, printable(reason)])
    write_rows(path, rows)


# --- folder, imported


def list_folder(path: Path, hashes: Hashes) -> Found:
    """The user's own videos, where they are."""
    where = refuse_no_place("folder", path)
    sources, ignored, _ = folder.survey(path, where)
    refuse_own((one.path.parent for one in sources), where)

    def row_of(one: folder.UserVideo) -> Row:
        return _row(one.path, one.category, one.id, one.file, hashes)

    listed = list(spread(row_of, sources, desc="reading", unit="video", threads=True, local=True))
    prune(VIDEOS, [MANIFEST])
    if ignored:
        logging.info("videos: ignored, as no videos: %s", folder.told(ignored))
    return Found(listed, ignored.total(), {})


def list_imported(path: Path, hashes: Hashes, by_lists: bool) -> Found:
    """What others have extracted, where it is. `by_lists`: the folder's lists are the splits, and are kept."""
    where = refuse_no_place("imported", path)
    place = published.find_lists(path, where) if by_lists else None
    named = None if place is None else published.read_lists(place).keys()
    found = imported.survey(path, where, named)
    refuse_own((part for one in found.sources for part in (one.sound.parent, one.frames.parent)), where)
    if named is not None and found.missing:
        logging.warning("videos: %s of %d that the lists name not there", count(found.missing, "video"), len(named))
    if found.unlisted:
        logging.warning("videos: %s in no list, and so not used", count(found.unlisted, "video"))
    row_of = partial(imported.row_of, hashes=hashes)
    listed = list(spread(row_of, found.sources, desc="reading", unit="video", threads=True, local=True))
    prune(VIDEOS, [MANIFEST])
    if place is not None:
        published.keep_lists(place, published.LISTS)
    counts = {
        "missing": found.missing,
        "unlisted": found.unlisted,
        "with_detections": sum(bool(row.detections) for row in listed),
    }
    return Found(listed, found.ignored, {"imported": counts})


def _row(path: Path, category: str, name: str, file: str, hashes: Hashes | None) -> Row:
    """The manifest's line of a video file."""
    try:
        ends = probe(path)
        seconds = f"{min(ends.pictures, ends.sound):.3f}"
    except Unusable as unusable:
        logging.warning("%s/%s: %s (stage extract will set it aside)", category, printable(path.name), unusable)
        seconds = ""
    try:
        content = file_hash(path, hashes)
    except OSError as error:
        raise InputError(f"{printable(str(path))} cannot be read: {error.strerror}") from None
    return Row(category, name, file, seconds, content or "")


if __name__ == "__main__":
    run(main, VideosParams)
