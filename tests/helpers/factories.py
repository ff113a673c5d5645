"""Tiny networks, samples and data: everything is real, and a training step takes milliseconds."""

import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from avsep.clips.datasets import ClipReader
from avsep.clips.index import OBJECTS, SOUNDING, Video, video, write_index, write_mixtures
from avsep.clips.mixtures import Heard, hear, mixed
from avsep.clips.splits import fixed_mixtures
from avsep.media.detections import write_detections
from avsep.media.frames import frame_name, pack
from avsep.media.spectrogram import Spectrogram
from avsep.media.wav import write_wav
from avsep.models.ccol import CCoL
from avsep.models.clip import FrozenCLIP, build_clip
from avsep.models.resnet import FrameFeatures

CLASSES = ("cello", "flute", "trumpet", "tuba", "violin")
RATE = 1000  # Hz
FPS = 4
FRAMES = 12  # of each video: 3 s
SPECTROGRAM = Spectrogram(n_fft=62, hop=16, log_bins=16, align_corners=True)
SAMPLES = 255  # of a window: 16 frames of the spectrogram
SIZE = 16  # pixels
WIDTH = 8  # of the ResNet
UNET: dict[str, Any] = {"unet_levels": 3, "unet_channels": 2, "unet_max_channels": 4, "embedding": 4}
CLIP: dict[str, Any] = {
    **{"image_size": 64, "width": 2, "layers": [1, 1, 1, 1], "embedding": 8, "context": 12},
    **{"text_width": 8, "text_heads": 2, "text_layers": 1},
}
VAST: dict[str, Any] = {"levels": 3, "channels": 2, "embedding": CLIP["embedding"]}
MODEL: dict[str, Any] = {**UNET, "sound_channels": 2, "head_std": None}


def hear_tiny(waves: Mapping[str, Tensor]) -> Heard:
    return hear(waves, SPECTROGRAM)


def tiny_ccol(seed: int = 0, **options: Any) -> CCoL:
    torch.manual_seed(seed)
    return CCoL(WIDTH, **{**MODEL, **options})


def tiny_clip(seed: int = 0) -> FrozenCLIP:
    torch.manual_seed(seed)
    return FrozenCLIP(build_clip(**CLIP))


def tiny_reader(**options: Any) -> ClipReader:
    sizes = dict(rate=RATE, samples=SAMPLES, fps=FPS, kept_fps=FPS, count=1, stride=1, resize=20, size=SIZE)
    return ClipReader(**{**sizes, **options})


def noise(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def tiny_waves(batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Of the sounding objects, as they sound in their mixture: (B, L)."""
    return mixed({n: 0.1 * noise(batch, SAMPLES, seed=seed + i).clamp(-3, 3) for i, n in enumerate(SOUNDING)})


def tiny_heard(batch: int, seed: int = 0) -> Heard:
    return hear_tiny(tiny_waves(batch, seed))


def tiny_seen(networks: CCoL, batch: int, frames: int = 2, seed: int = 100) -> dict[str, FrameFeatures]:
    pictures = {n: noise(batch, frames, 3, SIZE, SIZE, seed=seed + i) for i, n in enumerate(OBJECTS)}
    return {name: networks.frames(picture) for name, picture in pictures.items()}


def part_of_batch(
    heard: Heard, seen: Mapping[str, FrameFeatures], which: Sequence[int]
) -> tuple[Heard, dict[str, FrameFeatures]]:
    """The samples `which` of a batch, in that order."""
    w = list(which)
    part = Heard(heard.mixture[w], {name: solo[w] for name, solo in heard.solo.items()})
    return part, {name: FrameFeatures(f.vector[w], f.map[w]) for name, f in seen.items()}


def write_frames(path: Path, pictures: Iterable[np.ndarray]) -> None:
    """Writes pictures, uint8 (H, W, 3) each, as a video's archive of frames."""
    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures, start=1):
            Image.fromarray(picture).save(Path(folder) / frame_name(number))
        pack(Path(folder), path)


def read_archive(path: Path) -> dict[str, bytes]:
    """An archive's members by their names."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """An archive of any members, also of such as no video has."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # of 1980: the same bytes each time


def write_video(root: Path, category: str, name: str, *, seed: int, silent_until: float = 0.0) -> Video:
    """The extracted files of a video: noise with a tone of its own, from second `silent_until` on; noisy pictures."""
    made = video(root, category, name, FRAMES)
    random = np.random.default_rng(seed)
    seconds = np.arange(RATE * FRAMES // FPS) / RATE
    frequency = 50 + 80 * (seed % 10) + 3 * (seed // 10)
    wave = 0.3 * np.sin(2 * np.pi * frequency * seconds) + 0.03 * random.standard_normal(len(seconds))
    write_wav(made.audio, np.where(seconds < silent_until, 0.0, wave), RATE)
    write_frames(made.frames, [random.integers(0, 256, (18, 24, 3), dtype=np.uint8) for _ in range(FRAMES)])
    rows = [[number, 1, 0.9, 2, 1, 20, 16] for number in range(1, FRAMES, 2)]  # nothing is seen in every other frame
    write_detections(made.detections, np.asarray(rows, np.float32))
    return made


def write_data(root: Path, mixtures: int = 4) -> dict[str, list[Video]]:
    """A data folder with one video of each class in each split, and the index over it."""
    splits: dict[str, list[Video]] = {}
    (root / "index").mkdir(parents=True)
    for number, part in enumerate(("train", "val", "test")):
        splits[part] = [
            write_video(root, category, f"{category}_{part}", seed=10 * number + i)
            for i, category in enumerate(CLASSES)
        ]
        write_index(root / f"index/{part}.csv", splits[part])
        if part != "train":
            write_mixtures(root / f"index/{part}_sep.csv", fixed_mixtures(splits[part], mixtures, seed=0, part=part))
    return splits
