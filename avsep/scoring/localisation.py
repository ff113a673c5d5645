"""Where in the picture a sound is: CCoL's grounded boxes and VAST's attention against the true boxes of the demo.

A region is a plane of booleans over a picture (H, W).  The true box is that of the instrument, which a rendered video's
<id>.truth.json holds for each of its frames; your own videos have none, and are not scored.

- IoU of the region with the true box in the sounding object's own picture.  With one true box it is the consensus IoU,
  cIoU (Senocak et al.: Learning to localize sound source in visual scenes, CVPR 2018); an empty region has 0.  Told are
  the share of objects with a cIoU of at least 0.5 and the AUC of that share over all thresholds from 0 to 1.  That the
  sounding object is in that picture is given: attention is scaled to its highest value there.
- Silent area: one picture shows one object, so the picture of the silent object is put beside that of the sounding one,
  and told is the share of the region in both that lies in the silent object's true box.  An empty region has none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from avsep.clips.index import PAIRS, Video
from avsep.clips.mixtures import frame_seconds
from avsep.files.reading import read_json, refusing
from avsep.media.detections import squared, whole_pixels
from avsep.media.frames import Box
from avsep.scoring.asking import MiddleFrame, Outcome

COLUMNS = ["mixture", "method", "object", "class", "video", "iou", "area", "silent_share"]
HALF = 0.5  # of the highest attention, from which a position counts as where the sound is
THRESHOLDS = np.linspace(0, 1, 21)  # of the IoU, for the AUC

Region = NDArray[np.bool_]  # (H, W)


def true_box(path: Path, seconds: float, duration: float) -> Box | None:
    """The instrument's box in whole pixels at a time of a video of `duration` seconds; None if its truth is not known.

    Raises InputError if the file holds no such boxes.
    """
    if not path.exists():
        return None
    told = read_json(path, "run stage videos again")
    with refusing(f"{path} holds no boxes", "run stage videos again"):
        boxes = told["instrument"]
        x1, y1, x2, y2 = boxes[min(int(seconds / duration * len(boxes)), len(boxes) - 1)]
        return round(x1), round(y1), round(x2), round(y2)


def region_of(box: Box | None, width: int, height: int) -> Region:
    """All of a box; nothing without one."""
    region = np.zeros((height, width), bool)
    if box is not None:
        x1, y1, x2, y2 = box
        region[max(y1, 0) : y2, max(x1, 0) : x2] = True
    return region


def attended(shares: NDArray[np.floating], highest: float, view: Box, width: int, height: int) -> Region:
    """Where attention (rows, columns) over the part `view` of a picture, brought to its pixels (bilinear), is at least
    half of `highest`."""
    x1, y1, x2, y2 = view
    plane = torch.from_numpy(np.ascontiguousarray(shares, np.float32))[None, None]
    pixels = interpolate(plane, size=(y2 - y1, x2 - x1), mode="bilinear", align_corners=False)[0, 0].numpy()
    region = np.zeros((height, width), bool)
    region[y1:y2, x1:x2] = pixels >= HALF * highest
    return region


def iou(region: Region, box: Region) -> float:
    """Intersection over union; 0 for two empty regions."""
    union = np.count_nonzero(region | box)
    return float(np.count_nonzero(region & box) / union) if union else 0.0


def silent_share(regions: Sequence[Region], silent_box: Region) -> float | None:
    """Of the area of regions in the sounding and in the silent object's picture, the share that lies in the silent
    one's true box; None if the regions are empty."""
    area = sum(np.count_nonzero(region) for region in regions)
    return float(np.count_nonzero(regions[1] & silent_box) / area) if area else None


def auc(ious: Sequence[float]) -> float:
    """Area under the share of objects with an IoU of at least t, over t from 0 to 1."""
    shares = (np.asarray(ious, np.float64)[:, None] >= THRESHOLDS).mean(0)
    return float(np.trapezoid(shares, THRESHOLDS))


def locate(outcome: Outcome, fps: int, videos: Path, threshold: float, seed: int) -> list[dict[str, Any]]:
    """The rows of metrics/places.csv for one mixture: for each sounding object what each method takes for its place.

    Grounded is the box of the most confident detection (the whole frame without one) of each object whose probability
    reaches `threshold`.  `fps`: frames a second of its archives.  Nothing for objects whose true boxes are not known.
    """
    random = np.random.default_rng([seed, outcome.number])
    rows = []
    for name, silent in PAIRS:
        pictures = [_Picture(outcome.videos[x], outcome.middles[x], fps, videos) for x in (name, silent)]
        if any(picture.truth is None for picture in pictures):
            continue
        truths = [region_of(picture.truth, *picture.size) for picture in pictures]
        sounding = {s: [said[x] >= threshold for x in (name, silent)] for s, said in outcome.probabilities.items()}
        shared: dict[str, list[Region]] = {
            **{s: [p.grounded(yes) for p, yes in zip(pictures, own, strict=True)] for s, own in sounding.items()},
            "detected_box": [p.grounded(True) for p in pictures],
            **{system: _attended(pictures, objects[name]) for system, objects in outcome.attention.items()},
            "whole_image": [~p.nothing() for p in pictures],
            "centre_box": [p.centre() for p in pictures],
            "random_box": [p.random(random) for p in pictures],
        }
        own = {method: regions[0] for method, regions in shared.items()}
        own.update({s: _attended(pictures[:1], o[name][:1])[0] for s, o in outcome.attention.items()})
        for method, regions in shared.items():
            rows.append(
                {
                    "mixture": outcome.number,
                    "method": method,
                    "object": name,
                    "class": outcome.videos[name].category,
                    "video": outcome.videos[name].name,
                    "iou": iou(own[method], truths[0]),
                    "area": float(own[method].mean()),
                    "silent_share": silent_share(regions, truths[1]),
                }
            )
    return rows


class _Picture:
    """A video's middle frame, what is known of it, and simple regions in it."""

    def __init__(self, video: Video, middle: MiddleFrame, fps: int, videos: Path) -> None:
        self.size = middle.width, middle.height
        truth = videos / video.category / f"{video.id}.truth.json"
        self.truth = true_box(truth, frame_seconds(middle.number, fps), video.frame_count / fps)
        self.box: Box = (0, 0, *self.size) if middle.detection is None else middle.detection.box

    @property
    def view(self) -> Box:
        """The square that CLIP sees."""
        return squared((0, 0, *self.size), *self.size)

    def nothing(self) -> Region:
        return region_of(None, *self.size)

    def grounded(self, sounding: bool) -> Region:
        """The detected box, if its object is taken to sound."""
        return region_of(self.box if sounding else None, *self.size)

    def centre(self) -> Region:
        """Half of the width and of the height, in the middle."""
        width, height = self.size
        return region_of((width // 4, height // 4, width - width // 4, height - height // 4), width, height)

    def random(self, random: np.random.Generator) -> Region:
        """Between two points anywhere."""
        width, height = self.size
        (x1, x2), (y1, y2) = np.sort(random.uniform(0, width, 2)), np.sort(random.uniform(0, height, 2))
        return region_of(whole_pixels((x1, y1, x2, y2), width, height), width, height)


def _attended(pictures: Sequence[_Picture], logits: NDArray[np.floating]) -> list[Region]:
    """Where the attention that M pictures (M, rows, columns) share is at least half of its highest value."""
    shares = torch.from_numpy(logits).double().flatten().softmax(0).reshape(logits.shape).numpy()
    highest = float(shares.max())
    return [attended(own, highest, p.view, *p.size) for own, p in zip(shares, pictures, strict=True)]
