"""What the pipeline made, in files for code that is none of ours.

    python -m avsep.export FOLDER

writes all videos that data/index lists in the published layout (docs/ccol.md: Files), audio/<class>/<id>.wav,
frames/<class>/<id>.mp4/000001.jpg, ..., and detection_results/<class>/<id>.mp4.npy below FOLDER, and the lists as
FOLDER/index.

    python -m avsep.export mixtures FOLDER

writes the test mixtures, for another model to be scored on (docs/external.md).
"""

import argparse
import logging
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from avsep.clips.index import Video, read_index
from avsep.errors import InputError
from avsep.files.whole import whole_folder
from avsep.media.frames import ARCHIVE, unpack
from avsep.progress import progress

SPLITS = ("train", "val", "test")
LISTS = [f"{name}.csv" for name in (*SPLITS, "val_sep", "test_sep")]


def export(root: Path, folder: Path) -> int:
    """Writes what the folder `root` (data) holds as `folder`, whole or not at all. Returns the number of videos.

    Raises InputError if `folder` is there already, or anything that the index lists is missing or damaged.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already: name a new folder")
    # once, if it is in two of them
    videos = list(dict.fromkeys(video for split in SPLITS for video in read_index(root / f"index/{split}.csv", root)))
    with whole_folder(folder) as temporary:
        _write(root, videos, temporary)
    return len(videos)


def _write(root: Path, videos: Iterable[Video], folder: Path) -> None:
    videos = list(videos)
    for video in progress(videos, "export", len(videos), "video"):
        unpack(video.frames, folder / video.frames.relative_to(root).with_name(video.frames.name.removesuffix(ARCHIVE)))
        for file in (video.audio, video.detections):
            _copy(file, folder / file.relative_to(root))
    for name in LISTS:
        _copy(root / "index" / name, folder / "index" / name)


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(file, to)
    except FileNotFoundError:
        raise InputError(f"{file} is missing: run `dvc repro index`") from None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m avsep.export", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["mixtures"], help="the test mixtures in place of the videos")
    parser.add_argument("folder", type=Path, help="a new folder")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if arguments.what == "mixtures":
            from avsep.export_mixtures import export_mixtures  # here, since the videos need no networks

            logging.info("%s: %d mixtures", folder, export_mixtures(folder))
        else:
            logging.info("%s: %d videos", folder, export(Path("data"), folder))
    except (InputError, OSError) as error:  # a full disk, say
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
