"""Stage extract: frames and mono sound of each video, from data/videos to data/frames, data/audio, data/extract.csv.

One ffmpeg process a video, as many at once as there are processors.  With `videos.source` imported the frames are taken
over as they are, and the sound comes to mono and the rate.  A video is taken apart again only if its file, extract's
params or code, or what was made of it changed.  Of a video whose pictures and sound do not begin and end together, or
that is damaged, what has both is used; data/extract.csv says what is left out.  A video of which nothing is left leaves
neither frames nor sound; data/extract.csv says why, and the stages behind see only the others.  What the machine lacks
is put down to no video: it ends the stage.
"""

import logging
import socket
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.finished import Finished
from avsep.files.hashes import Hashes
from avsep.files.ledgers import Item, Ledger, digest, fingerprint, prune
from avsep.files.metrics import write_made, write_metrics
from avsep.media import containers, damage, ffmpeg, frames, machine
from avsep.parallel import spread
from avsep.params.stages import ExtractParams
from avsep.run import run
from avsep.sources.manifest import MANIFEST, Row, Span, frames_of, read_manifest, read_parts, refuse_changed, root_of

FRAMES = Path("data/frames")
AUDIO = Path("data/audio")
LEDGER = Path("data/extract.csv")
COLUMNS = ["frames", "samples", "status", "reason", "trimmed"]


class Extraction(NamedTuple):
    """One video, and where what is made of it lies."""

    row: Row
    file: Path  # of the video; of an imported one the sound's
    pictures: Path | None  # the folder of an imported video's frames
    parts: tuple[Span, ...]  # what of the video is used; (): all
    frames: Path  # the archive
    wav: Path

    @property
    def item(self) -> Item:
        return self.row.item

    @property
    def outputs(self) -> list[Path]:
        return [self.frames, self.wav]

    def absolute(self) -> "Extraction":
        """For processes in other folders."""
        return self._replace(
            file=self.file.absolute(),
            pictures=None if self.pictures is None else self.pictures.absolute(),
            frames=self.frames.absolute(),
            wav=self.wav.absolute(),
        )


class Result(NamedTuple):
    frames: int
    samples: int
    reason: str  # empty if the video can be used
    trimmed: str = ""  # what of it is left out, if anything


def main(params: ExtractParams) -> None:
    videos = list_videos(params.videos.source, params.videos.path)
    fps, rate = params.extract.fps, params.extract.rate
    start = time.monotonic()
    modules = (containers, damage, ffmpeg, frames, machine)
    code = [Path(module.__file__ or "") for module in modules] + [Path(__file__)]
    shared = fingerprint([], code, {"fps": fps, "rate": rate, "ffmpeg": ffmpeg.version()})
    with Ledger(LEDGER, COLUMNS) as ledger:
        gone = ledger.keep({video.item for video in videos})

        def made_from(video: Extraction) -> tuple[str, bool]:
            """Its fingerprint, and whether what lies there was made from just that."""
            made_of = {"shared": shared, "video": content(video, ledger.hashes), "parts": video.parts}
            found = fingerprint([], [], made_of)
            return found, ledger.is_current(video.item, found, video.outputs)

        checked = spread(made_from, videos, desc="checking", unit="video", threads=True, local=True)
        states = dict(zip(videos, checked, strict=True))
        finished = Finished("extract", ledger.hashes)
        finished.keep_only({video.item: made for video, (made, _) in states.items()})
        todo = []
        for video, (made, current) in states.items():
            if current:
                continue
            values = finished.take(video.item, made, video.outputs)
            if values is None:
                todo.append(video)
            else:
                ledger.record(video.item, made, video.outputs, **values)
        logging.info("extract: %d of %d videos to take apart", len(todo), len(videos))
        work = partial(take_apart, fps=fps, rate=rate, version=ffmpeg.version())
        there = [video.absolute() for video in todo]
        root = root_of(params.videos.source, params.videos.path).absolute()
        results = spread(
            work,
            there,
            desc="extract",
            unit="video",
            threads=True,  # ffmpeg's processes do the work
            needs=[root],
        )
        for video, result in zip(todo, results, strict=True):
            if result.reason:
                logging.warning("set aside: %s/%s: %s", *video.item, result.reason)
            if result.trimmed:
                logging.warning("trimmed: %s/%s: %s", *video.item, result.trimmed)
            values = {
                "frames": str(result.frames),
                "samples": str(result.samples),
                "status": "rejected" if result.reason else "ok",
                "reason": result.reason,
                "trimmed": result.trimmed,
            }
            finished.keep(video.item, states[video][0], video.outputs, **values)
            ledger.record(video.item, states[video][0], video.outputs, **values)
        usable = [video for video in videos if ledger.entries[video.item].values["status"] == "ok"]
        prune(FRAMES, {video.frames for video in usable})
        prune(AUDIO, {video.wav for video in usable})
        rows = [entry.values for entry in ledger.entries.values()]
    if not usable:
        raise InputError(f"none of the {len(videos)} videos can be used: {LEDGER} says why, for each")
    write_metrics("extract", summary(rows, fps=fps, rate=rate))
    anew = len(todo)
    write_made("extract", made=anew, kept=len(videos) - anew, gone=gone, seconds=time.monotonic() - start)


def list_videos(source: str, path: str) -> list[Extraction]:
    """The videos of data/videos/manifest.csv, sorted by class and id; `source` and `path` are params of videos."""
    videos = []
    for row, file in read_manifest(MANIFEST, root_of(source, path)):
        archive, wav = FRAMES / row.category / f"{row.id}.mp4{frames.ARCHIVE}", AUDIO / row.category / f"{row.id}.wav"
        pictures = frames_of(file) if source == "imported" else None
        parts = read_parts(row.parts, f"{MANIFEST}, {row.category}/{row.id}")
        videos.append(Extraction(row, file, pictures, parts, archive, wav))
    return videos


def content(video: Extraction, hashes: Hashes) -> str:
    """The hash of what a video is made from. Raises InputError if that is not what stage videos listed."""
    file, pictures = video.file, video.pictures
    found = hashes.sha256(file) if pictures is None else digest([file, pictures], hashes)
    refuse_changed(file, found, video.row.sha256)
    return found or ""


def take_apart(video: Extraction, fps: int, rate: int, version: str) -> Result:
    """What became of a video. Raises InputError, naming the machine, for what is no fault of the video's.

    On a cluster each machine may have an ffmpeg of its own, or not see the videos.
    """
    host = socket.gethostname()
    if ffmpeg.version() != version:
        raise InputError(f"{host} has {ffmpeg.version()!r}, not {version!r}: all need the same")
    if not video.file.is_file() or not (video.pictures is None or video.pictures.is_dir()):  # both were listed
        raise InputError(f"{host} does not see {video.file}: mount it there, or run stage videos again if it is gone")
    archive, wav = video.frames, video.wav
    try:
        if video.pictures is not None:
            return Result(*ffmpeg.take_over(video.file, video.pictures, archive, wav, fps, rate), reason="")
        trimmed: list[str] = []
        extracted = ffmpeg.extract(video.file, archive, wav, fps, rate, video.parts, trimmed.append)
        return Result(*extracted, reason="", trimmed="; ".join(trimmed))
    except ffmpeg.Unusable as unusable:
        return Result(0, 0, str(unusable))
    except OSError as error:  # of files that are written here, a full disk say
        raise InputError(f"{host}: {video.file} could not be taken apart ({error})") from None


def summary(rows: list[dict[str, str]], fps: int, rate: int) -> dict[str, object]:
    """Counts and lengths for metrics/extract.json; reasons by their kind, the part before the colon."""
    reasons = Counter(row["reason"].partition(":")[0] for row in rows if row["status"] == "rejected")
    trimmed = Counter(one.partition(":")[0] for row in rows if row["trimmed"] for one in row["trimmed"].split("; "))
    return {
        "videos": len(rows),
        "usable": len(rows) - reasons.total(),
        "rejected": {"total": reasons.total(), **dict(sorted(reasons.items()))},
        "trimmed": {"total": sum(bool(row["trimmed"]) for row in rows), **dict(sorted(trimmed.items()))},
        "seconds": {
            "frames": sum(int(row["frames"]) for row in rows) / fps,
            "sound": round(sum(int(row["samples"]) for row in rows) / rate, 3),
        },
    }


if __name__ == "__main__":
    run(main, ExtractParams)
