"""Stage detect: objects in each frame that CCoL sees, from data/frames to data/detection_results/<class>/<id>.mp4.npy.

Of the frames that were kept (extract.fps) those are looked at that CCoL sees (frames.fps).  The rows are those of
avsep/media/detections.py, sorted by frame, then by falling confidence.  As many videos are looked through at once as
there are processors for `threads` threads each, here or on a cluster (docs/lab.md); on a GPU one.
A video is looked through again only if its frames, the detector, the params, the code, or what was found changed;
data/detect.csv keeps what each result was made from.  metrics/detect.json counts what was found, and the frames without
an object.  Detections that came with imported frames are taken over, as the detector's own.

A label counts the detector's classes from 1, or, of a detector that is asked in words, the classes of data/frames: one
more class asks for one thing more in every video.  Classes that the detector has not learned are told at the start.
"""

import functools
import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torchvision
from torch import nn

import avsep.models.detector
import avsep.models.resnet
import avsep.weights.detectors
from avsep.errors import InputError
from avsep.files.finished import Finished
from avsep.files.hashes import Hashes
from avsep.files.ledgers import Item, Ledger, digest, fingerprint, prune
from avsep.files.metrics import write_made, write_metrics
from avsep.media import detections, frames
from avsep.media.detections import Rows, read_detections, write_detections
from avsep.media.frames import ARCHIVE, count_frames, kept_frame, read_frame
from avsep.parallel import spread
from avsep.params.stages import DetectParams
from avsep.progress import progress
from avsep.run import run
from avsep.sources.manifest import given_detections
from avsep.weights.detectors import DETECTOR, ZERO_SHOT, learned_classes, load_detector, look
from avsep.weights.phrases import phrase_of

FRAMES = Path("data/frames")
RESULTS = Path("data/detection_results")
LEDGER = Path("data/detect.csv")
SEEN_AT_LEAST = 0.5  # share of frames with an object; with less, most of what is trained on is whole frames


class Video(NamedTuple):
    """One video's archive of frames, and where what is found in them lies."""

    item: Item
    archive: Path
    frames: int
    result: Path


class Loading(NamedTuple):
    """What makes the detector, as plain values: keywords of load_detector, and the `digest` of its weights."""

    path: Path
    folder: Path
    digest: str
    classes: tuple[str, ...]
    phrase: str
    threshold: float
    nms: float
    device: str
    backbone: Literal["resnet18", "resnet50"]
    width: int
    channels: int
    min_size: int
    max_size: int


def main(params: DetectParams) -> None:
    start = time.monotonic()
    Finished("extract").clear()
    videos = list_videos(FRAMES)
    present, learned = sorted({video.item[0] for video in videos}), learned_classes()
    classes = present if learned is None else learned
    unknown = sorted(set(present) - set(classes)) if classes else []
    if unknown:
        logging.warning(
            "detect: the detector has not learned %s: boxes of other classes, or the whole frame, stand for these",
            ", ".join(unknown),
        )
    with Ledger(LEDGER, ["frames"]) as ledger:
        gone = ledger.keep({video.item for video in videos})
        given = given_detections(params.videos.source, params.videos.path, ledger.hashes)
        code, settings = made_with(params, classes if learned is None else None)
        made_from = fingerprints(videos, given, code, settings, ledger.hashes)
        known = {
            video.item: ledger.entries[video.item].values["frames"]
            for video in videos
            if ledger.is_current(video.item, made_from[video.item], [video.result])
        }
        finished = Finished("detect", ledger.hashes)
        finished.keep_only(made_from)
        for video in videos:
            if video.item in known:
                continue
            values = finished.take(video.item, made_from[video.item], [video.result])
            if values is not None:
                ledger.record(video.item, made_from[video.item], [video.result], **values)
                known[video.item] = values["frames"]
        videos = [counted(video, known.get(video.item)) for video in videos]
        others = [video for video in videos if video.item in given and video.item not in known]
        own = [video for video in videos if video.item not in given and video.item not in known]
        if own and not classes:
            raise InputError(
                f"{len(own)} of {len(videos)} videos came without detections, the first is {'/'.join(own[0].item)}, and"
                " pretrained.detector is none: add theirs, or choose a detector (docs/detectors.md)"
            )
        logging.info("detect: %d of %d videos to look through", len(own), len(videos))
        taken = ((video, read_given(given[video.item], video.frames)) for video in others)
        for video, rows in chain(taken, look_through_all(own, params, classes)):
            write_detections(video.result, rows)
            finished.keep(video.item, made_from[video.item], [video.result], frames=str(video.frames))
            ledger.record(video.item, made_from[video.item], [video.result], frames=str(video.frames))
        prune(RESULTS, {video.result for video in videos})
    found = summary(videos, given, classes, step_of(params))
    write_metrics("detect", {**found, "unknown_classes": unknown})
    made, seconds = len(others) + len(own), time.monotonic() - start
    write_made("detect", made=made, kept=len(videos) - made, gone=gone, seconds=seconds)
    tell_found(found)


def tell_found(found: Mapping[str, Mapping[str, Any]]) -> None:
    """In how many frames there is an object, in the stage's last line: a warning below the share SEEN_AT_LEAST, of all
    of them or of a folder's."""
    total, without = found["frames"]["total"], found["frames"]["without"]
    for name, (own, lacking) in ((name, (one["total"], one["without"])) for name, one in found["folders"].items()):
        if own - lacking < SEEN_AT_LEAST * own and total - without >= SEEN_AT_LEAST * total:
            logging.warning("detect: WARNING: an object was found in %d of %d frames of %s", own - lacking, own, name)
    if total - without < SEEN_AT_LEAST * total:
        logging.warning(
            "detect: WARNING: an object was found in %d of %d frames: in the others the whole frame stands for it, in"
            " training and in every score; lower detect.threshold, or choose a detector that knows your objects"
            " (docs/detectors.md)",
            total - without,
            total,
        )
    else:
        logging.info("detect: an object in %d of %d frames", total - without, total)


def read_given(path: Path, frames: int) -> Rows:
    """Imported detections of a video. Raises InputError."""
    try:
        return read_detections(path, frames)
    except InputError as error:
        said = str(error).removesuffix(": run stage detect again")
        raise InputError(f"{said}; mend or remove it: without one, the video is looked through here") from None


def fingerprints(
    videos: Sequence[Video],
    given: Mapping[Item, Path],
    code: Sequence[Path],
    settings: Mapping[str, Any],
    hashes: Hashes,
) -> dict[Item, str]:
    """Of each video: a hash of all that its detections are made from; of those that are `given`, these."""
    looked, taken = {"shared": fingerprint([], code, settings)}, {"taken over": fingerprint([], code, {})}
    found = {}
    for video in progress(videos, "checking", len(videos), "video"):
        if video.item in given:
            found[video.item] = fingerprint([given[video.item], video.archive], [], taken, hashes)
        else:
            found[video.item] = fingerprint([video.archive], [], looked, hashes)
    return found


def made_with(params: DetectParams, asked: Sequence[str] | None) -> tuple[list[Path], dict[str, Any]]:
    """What decides the results beside the frames: source files, and plain values; `asked` are the classes that a
    detector is asked for in words."""
    modules = (avsep.weights.detectors, avsep.models.detector, avsep.models.resnet, detections, frames)
    code = [Path(module.__file__ or "") for module in modules] + [Path(__file__)]
    settings: dict[str, Any] = {
        "weights": digest([DETECTOR]),  # of a zero-shot detector it tells the hash of all its files
        "threads": params.threads,  # another count, device or version gives other bits
        "device": params.device,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pillow": version("pillow"),  # it decodes the frames
        "step": step_of(params),
        "detect": [params.detect.threshold, params.detect.nms, params.detect.batch],
    }
    if asked is None:
        return code, settings | {
            "options": [params.resnet.width, params.detector.backbone, params.detector.channels],
            "sizes": [params.detector.min_size, params.detector.max_size],
        }
    code.append(Path(avsep.models.detector.__file__).with_name("zero_shot.py"))
    return code, settings | {
        "asked": [phrase_of(name, params.detect.phrase) for name in asked],
        "transformers": version("transformers"),
    }


def list_videos(root: Path) -> list[Video]:
    """The videos of data/frames, sorted by class and id, their frames not counted yet. Raises InputError for none."""
    videos = []
    for archive in sorted(root.glob(f"*/*.mp4{ARCHIVE}")):
        category, name = archive.parent.name, archive.name.removesuffix(ARCHIVE)
        result = RESULTS / category / f"{name}.npy"
        videos.append(Video((category, name.removesuffix(".mp4")), archive, 0, result))
    if not videos:
        raise InputError(f"{root} holds no video's frames: run stage extract")
    return videos


def counted(video: Video, known: str | None) -> Video:
    """The video with the number of its frames: what is `known` if it did not change, since counting takes long."""
    return video._replace(frames=count_frames(video.archive) if known is None else int(known))


def loading_of(params: DetectParams, classes: Sequence[str]) -> Loading:
    """Paths are absolute: a worker elsewhere has another working folder."""
    return Loading(
        path=DETECTOR.absolute(),
        folder=ZERO_SHOT.absolute(),
        digest=digest([DETECTOR]),
        classes=tuple(classes),
        phrase=params.detect.phrase,
        threshold=params.detect.threshold,
        nms=params.detect.nms,
        device=params.device,
        width=params.resnet.width,
        **asdict(params.detector),
    )


@functools.lru_cache(maxsize=1)
def loaded(loading: Loading) -> nn.Module:
    """The detector, in eval mode: loaded once by each process that looks through videos. Raises InputError."""
    keywords = loading._asdict()
    del keywords["digest"]  # it tells detectors apart whose files have the same place
    return load_detector(**keywords)


def look_through_all(
    videos: Sequence[Video], params: DetectParams, classes: Sequence[str]
) -> Iterator[tuple[Video, Rows]]:
    """Each video with its rows, as it is done."""
    work = partial(look_through, loading=loading_of(params, classes), size=params.detect.batch, step=step_of(params))
    there = [video._replace(archive=video.archive.absolute()) for video in videos]
    jobs = None if params.device == "cpu" else 1
    found = spread(work, there, desc="detect", unit="video", inner_threads=params.threads, jobs=jobs)
    yield from zip(videos, found, strict=True)


def step_of(params: DetectParams) -> int:
    return params.extract.fps // params.frames.fps


def look_through(video: Video, loading: Loading, size: int, step: int) -> Rows:
    """The rows (N, 7) of a video, `size` of its frames seen at once. Raises InputError.

    All of them are of the one video: a result must not depend on which others are redone.  Of `step` frames one is
    looked at, which CCoL sees.
    """
    numbers = seen_frames(video.frames, step)
    rows = look(loaded(loading), (read_frame(video.archive, number) for number in numbers), size)
    rows[:, 0] = np.array([0, *numbers], rows.dtype)[rows[:, 0].astype(int)]
    return rows


def seen_frames(frames: int, step: int) -> list[int]:
    """The numbers of those that are looked at."""
    return [min(kept_frame(frame, step), frames) for frame in range(1, max(1, frames // step) + 1)]


def summary(videos: Sequence[Video], given: Collection[Item], classes: Sequence[str], step: int) -> dict[str, Any]:
    """Counts for metrics/detect.json; `detections` by class, the most confident of each frame in `first` alone.

    Those that were `given` count classes of their own, of which nothing is known: they stand in `frames` and `folders`
    alone.
    """
    folders = {video.item[0]: {"total": 0, "without": 0} for video in videos}
    every: Counter[str] = Counter()
    first: Counter[str] = Counter()
    for video in videos:
        rows = read_detections(video.result, video.frames)
        _, firsts = np.unique(rows[:, 0], return_index=True)
        frames = video.frames if video.item in given else len(seen_frames(video.frames, step))
        folders[video.item[0]]["total"] += frames
        folders[video.item[0]]["without"] += frames - len(firsts)
        if video.item in given:
            continue
        every.update(classes[int(label) - 1] for label in rows[:, 1])
        first.update(classes[int(label) - 1] for label in rows[firsts, 1])
    total, without = (sum(folder[key] for folder in folders.values()) for key in ("total", "without"))
    return {
        "videos": len(videos),
        **({"taken_over": sum(video.item in given for video in videos)} if given else {}),
        "frames": {"total": total, "with_object": total - without, "without": without},
        "folders": folders,
        "detections": {"total": every.total(), **{name: every[name] for name in classes}},
        "first": {name: first[name] for name in classes},
    }


if __name__ == "__main__":
    # by its name, as a worker's process finds it: what is pickled from __main__ would load the detector for each video
    import stages.detect

    run(stages.detect.main, DetectParams)
