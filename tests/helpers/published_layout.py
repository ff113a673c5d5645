"""What others have extracted, in the published layout, tiny: sound, frames, detections and lists."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from avsep.media.detections import write_detections
from avsep.media.wav import write_wav

SECONDS = 7


def write_layout(root: Path, videos: Iterable[str], *, rate: int = 11025) -> None:
    """Sound, frames of one a second, and a detection in each, of each `<class>/<id>`."""
    for number, name in enumerate(videos):
        random = np.random.default_rng([number])
        write_wav(root / f"audio/{name}.wav", random.normal(0, 0.1, SECONDS * rate), rate)
        pictures = root / f"frames/{name}.mp4"
        pictures.mkdir(parents=True)
        for frame in range(1, SECONDS + 1):
            picture = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(picture).save(pictures / f"{frame:06d}.jpg")
        rows = [[frame, 1, 0.9, 2, 2, 20, 20] for frame in range(1, SECONDS + 1)]
        write_detections(root / f"detection_results/{name}.mp4.npy", np.array(rows, np.float32))


def write_lists(root: Path, splits: Mapping[str, Iterable[str]], mixtures: Iterable[Iterable[str]]) -> None:
    """The four lists as CCoL's are: blanks behind commas in one, and no end of the last line in another."""
    root.mkdir(parents=True, exist_ok=True)
    for split, names in splits.items():
        text = "\n".join(f"/{name}.wav,/{name}.mp4,{SECONDS}" for name in names)
        (root / f"{split}.csv").write_text(text if split == "test" else text + "\n")
    rows = (", ".join(f"/{name}.wav" for name in row) + "\n" for row in mixtures)
    (root / "test_sep.csv").write_text("".join(rows))
