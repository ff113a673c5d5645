"""A small folder of Open Images, as its version 7 publishes its tables."""

from pathlib import Path

import numpy as np
from PIL import Image

from avsep.media import annotations

LABELS = {"cello": "/m/01xqw", "acoustic_guitar": "/m/0342h"}


def write_open_images(folder: Path, train: int = 6, validation: int = 2) -> Path:
    """Pictures with a bright box on dark ground, of one class or both, and the CSVs that tell of them."""
    (folder / "images").mkdir(parents=True)
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"
    rng = np.random.default_rng(0)
    for name, count in ((annotations.TRAIN, train), (annotations.VALIDATION, validation)):
        lines = [header]
        for number in range(count):
            image = f"{len(name):02x}{number:04x}"
            width, height = int(rng.integers(80, 110)), int(rng.integers(60, 90))
            pixels = np.zeros((height, width, 3), np.uint8)
            for place in range(1 + number % 2):
                left, right = (0.1, 0.4) if place == 0 else (0.5, 0.9)
                pixels[int(0.2 * height) : int(0.8 * height), int(left * width) : int(right * width)] = 200
                label = list(LABELS.values())[place]
                lines.append(f"{image},xclick,{label},1,{left},{right},0.2,0.8,0,0,0")
            Image.fromarray(pixels).save(folder / f"images/{image}.jpg")
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / annotations.DESCRIPTIONS).write_text(
        f"LabelName,DisplayName\n{LABELS['cello']},Cello\n{LABELS['acoustic_guitar']},Guitar\n/m/0bt9lr,Dog\n"
    )
    return folder
