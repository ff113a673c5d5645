"""Seeing and hearing what a training has learned so far: metrics/<stage>/visualization, a page of plain files.

    index.html                     all shown epochs, of which one is chosen; written anew after each epoch
    mixture1/                      what stays: mixture, loss weight, and of each object its middle frame (A.jpg) and, as
                                   A_true.*, its sound, spectrogram and mask, and its frames with that sound
    epochs/0003/mixture1/          what the networks make of it after epoch 3: of each object and each way to ask for it
                                   mask, spectrogram, sound, and its frames with that sound; 0000 is before the first

The first process alone computes and writes this.  Nothing random is drawn and no state moved: a training ends in the
same bytes with it and without.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import matplotlib
import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import default_collate

from avsep.clips.datasets import ClipReader, FixedMixtures
from avsep.clips.index import OBJECTS, Video
from avsep.clips.mixtures import frame_at, frame_seconds, hear
from avsep.files.whole import whole_file, write_text
from avsep.media.detections import most_confident, read_detections, squared
from avsep.media.ffmpeg import write_video, write_with_sound
from avsep.media.frames import read_frame, read_jpeg
from avsep.media.wav import write_wav
from avsep.scoring.separation import snr
from avsep.training import page
from avsep.training.phase import Phase
from avsep.training.shown import PAIR_SOUND

CLIP_SIZE = (256, 192)  # pixels that the frames of a clip have at most, across and down
STRIP_HEIGHT = 128  # pixels of a mask in DVCLive's picture
GAP = 4  # pixels between two of them
OPACITY = 0.8  # of attention where it is highest
FAINTEST = 1e-10  # energy re the mixture's that counts as none: -100 dB

Plane = NDArray[np.floating]


@dataclass(frozen=True)
class Seen:
    """What is known of an object of a shown mixture."""

    name: str  # A, B, C or D
    video: Video
    sounds: bool
    frame: int  # its middle one, of those that are seen


@contextlib.contextmanager
def at_rest(networks: nn.Module) -> Iterator[None]:
    """In eval mode and without gradients; afterwards each module is in the mode that it was in."""
    modes = [(module, module.training) for module in networks.modules()]
    networks.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Visualize(Callback):
    """Writes a phase's page into `folder`, of mixtures of `data`, as the phase's `show` says."""

    def __init__(self, phase: Phase, data: FixedMixtures, folder: Path) -> None:
        assert phase.show is not None
        self.phase, self.data, self.folder, self.show = phase, data, folder, phase.show
        self.count = min(self.show.mixtures, len(data))
        self.curves: list[dict[str, float | None]] = []  # of each epoch
        self.shown: list[dict[str, Any]] = []  # what the page tells of each shown epoch
        self.about: list[list[dict[str, Any]]] = []  # of each mixture's objects, what stays

    def state_dict(self) -> dict[str, Any]:
        return {"curves": self.curves, "shown": self.shown}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves, self.shown = state_dict["curves"], state_dict["shown"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """What cannot be shown is told before hours are spent on training."""
        if trainer.is_global_zero:
            self.about = [self._write_mixture(number) for number in range(self.count)]
            if not self.shown:
                self._write_epoch(0, trainer, pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}  # by all processes
        if not trainer.is_global_zero:
            return
        told = {name: v for name, v in values.items() if name == "train/loss" or name.startswith("val/")}
        self.curves.append({name: value if math.isfinite(value) else None for name, value in told.items()})
        epoch = trainer.current_epoch + 1
        if epoch % self.show.every == 0 or epoch == self.phase.schedule.epochs:
            self._write_epoch(epoch, trainer, pl_module)
        else:
            self._write_page()

    def _write_page(self) -> None:
        text = page.render(self.phase.stage, self.phase.schedule.epochs, self.about, self.shown, self.curves)
        write_text(self.folder / "index.html", text)

    # --- What stays

    def _objects(self, number: int) -> list[Seen]:
        videos = zip(OBJECTS, self.data.mixtures[number], strict=True)
        middle = self.data.reader.middle
        return [Seen(n, v, n in self.data.heard, middle(v)) for n, v in videos if n in self.data.seen]

    def _write_mixture(self, number: int) -> list[dict[str, Any]]:
        """The mixture, its objects and the truth; returns what the page tells of the objects."""
        folder, reader = self.folder / f"mixture{number + 1}", self.data.reader
        waves = default_collate([self.data[number]])["waves"]
        heard = hear(waves, self.phase.spectrogram)
        loudest = float(heard.log_mixture.max())
        write_wav(folder / "mixture.wav", _mixed(waves)[0].numpy(), reader.rate)
        _write_png(folder / "mixture.png", coloured(_plane(heard.log_mixture), loudest, "magma"))
        _write_png(folder / "weight.png", coloured(_plane(heard.weight), float(heard.weight.max()), "cividis"))
        about = []
        for seen in self._objects(number):
            name, wave = seen.name, waves[seen.name][0].numpy() if seen.sounds else np.zeros(reader.samples, np.float32)
            if seen.sounds:
                write_wav(folder / f"{name}_true.wav", wave, reader.rate)
                _write_png(folder / f"{name}_true.png", coloured(_plane(heard.solo[name].log1p()), loudest, "magma"))
                _write_png(
                    folder / f"{name}_true_mask.png", coloured(_plane(self.show.target(heard, name)), 1.0, "viridis")
                )
            write_video(
                folder / f"{name}_true.mp4", clip_frames(seen, reader), reader.kept_fps, wave[:, None], reader.rate
            )
            about.append(self._about(seen, folder / f"{name}.jpg"))
        return about

    def _about(self, seen: Seen, path: Path) -> dict[str, Any]:
        """What the page tells of an object; writes its middle frame as `path`."""
        video, reader = seen.video, self.data.reader
        frame = reader.kept(video, seen.frame)
        with whole_file(path) as temporary:
            temporary.write_bytes(read_jpeg(video.frames, frame))
        width, height = read_frame(video.frames, frame).size
        found = None
        if reader.objects:
            found = most_confident(read_detections(video.detections, video.frame_count), frame, width, height)
        return {
            "name": seen.name,
            "category": video.category,
            "video": video.name,
            "frame": frame,
            "sounds": seen.sounds,
            "pair": PAIR_SOUND[seen.name],
            "width": width,
            "height": height,
            "whole": not reader.objects,
            "box": found and list(found.box),
            "confidence": found and found.confidence,
            "view": list(squared((0, 0, width, height), width, height)),
            "phrase": self.show.phrase(video.category) if self.show.phrase else None,
        }

    # --- What is learned

    def _write_epoch(self, epoch: int, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        """What the networks make of each mixture now, and the page; DVCLive gets a picture of the masks."""
        folder, told, strips, writes = self.folder / "epochs" / f"{epoch:04d}", [], [], list[Callable[[], None]]()
        with at_rest(self.phase.networks), trainer.precision_plugin.forward_context():
            for number in range(self.count):
                objects, strip = self._show(number, folder / f"mixture{number + 1}", learner.device, writes)
                told.append(objects)
                strips.append(strip)
        with ThreadPoolExecutor() as pool:  # most wait for ffmpeg, or compress
            list(pool.map(lambda write: write(), writes))
        self.shown.append({"epoch": epoch, "folder": folder.name, "mixtures": told})
        self._write_page()
        if any(strips):
            picture = _beside([_beside(strip, across=True) for strip in strips], across=False)
            live: Any = trainer.logger  # DVCLive's
            live.experiment.log_image(f"masks/{trainer.global_step}.png", picture)

    def _show(
        self, number: int, folder: Path, device: torch.device, writes: list[Callable[[], None]]
    ) -> tuple[dict[str, Any], list[Image.Image]]:
        """Of a mixture: what the page tells of its objects, and the masks of those that sound beside their targets.

        Adds to `writes` what writes its files.
        """
        batch = move_data_to_device(default_collate([self.data[number]]), device)
        waves, spectrogram, rate = batch["waves"], self.phase.spectrogram, self.data.reader.rate
        heard, mixture = hear(waves, spectrogram), _mixed(waves)
        shown = self.show.look(self.phase.networks, heard, self.phase.see(batch))
        loudest = float(heard.log_mixture.max())
        told, strip = {}, []
        for seen in self._objects(number):
            name, ways = seen.name, {}
            for way, masks in shown.masks.items():
                mask = masks[name].float().nan_to_num()
                estimate = spectrogram.let_through(mask.squeeze(1), mixture)
                ways[way] = _score(estimate, mixture, waves.get(name))
                path, wave = folder / f"{name}_{way}", estimate[0].cpu().numpy()
                picture = coloured(_plane(mask), 1.0, "viridis")
                let_through = coloured(_plane((mask * heard.mixture).log1p()), loudest, "magma")
                strip += [picture] if seen.sounds else []
                frames = self.folder / folder.name / f"{name}_true.mp4"
                writes += [
                    partial(write_with_sound, path.with_suffix(".mp4"), frames, wave[:, None], rate),
                    partial(write_wav, path.with_suffix(".wav"), wave, rate),
                    partial(_write_png, path.with_suffix(".png"), let_through),
                    partial(_write_png, folder / f"{path.name}_mask.png", picture),
                ]
            if shown.masks and seen.sounds:
                strip.append(coloured(_plane(self.show.target(heard, name)), 1.0, "viridis"))
            if name in shown.attention:
                heat = overlay(shown.attention[name][0].float().cpu().numpy())
                writes.append(partial(_write_png, folder / f"{name}_attention.png", heat))
            probability = {sound: round(float(of[name]), 4) for sound, of in shown.probabilities.items()}
            told[name] = {"probability": probability, "ways": ways, "looks": name in shown.attention}
        return told, strip


def _score(estimate: Tensor, mixture: Tensor, wave: Tensor | None) -> float:
    """Of an object that sounds the SNR improvement, of a silent one the energy that it is given re the mixture's, in
    dB; all are (1, L)."""
    if wave is not None:
        return round(float(snr(estimate, wave) - snr(mixture, wave)), 2)
    share = float(estimate.square().sum() / mixture.square().sum())
    return round(10 * math.log10(max(share, FAINTEST)), 2)


def clip_frames(seen: Seen, reader: ClipReader) -> Iterator[NDArray[np.uint8]]:
    """An object's frames, (height, width, 3) each, both even, over the window of sound around its middle frame."""
    length, fps = reader.samples / reader.rate, reader.kept_fps
    start = frame_seconds(seen.frame, reader.fps) - length / 2
    for number in range(math.ceil(length * fps)):
        frame = frame_at(max(start + (number + 0.5) / fps, 0.0), fps, seen.video.frame_count)
        picture = read_frame(seen.video.frames, frame)
        scale = min(1.0, *(most / side for most, side in zip(CLIP_SIZE, picture.size, strict=True)))
        width, height = (max(2, 2 * round(scale * side / 2)) for side in picture.size)
        yield np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


# --- Pictures


def coloured(values: Plane, highest: float, colours: str) -> Image.Image:
    """(F, T) values from 0 to `highest`, low frequencies at the bottom. `colours` names one of matplotlib's maps."""
    levels = np.round(np.clip(values / (highest or 1.0), 0, 1) * 255).astype(np.uint8)[::-1]
    image = Image.fromarray(levels, mode="P")
    image.putpalette(np.round(matplotlib.colormaps[colours](np.arange(256))[:, :3] * 255).astype(np.uint8).tobytes())
    return image


def overlay(shares: Plane) -> Image.Image:
    """(rows, columns) values >= 0 to lie over a picture: transparent where they are 0, nearly opaque at the highest."""
    levels = shares / (float(shares.max()) or 1.0)
    pixels = matplotlib.colormaps["inferno"](levels)
    pixels[..., 3] = OPACITY * levels
    return Image.fromarray(np.round(pixels * 255).astype(np.uint8))


def _plane(values: Tensor) -> Plane:
    """(1, 1, F, T) -> (F, T)"""
    return values[0, 0].float().cpu().numpy()


def _mixed(waves: Mapping[str, Tensor]) -> Tensor:
    """Waves (B, L) of the sources as they sound in their mixture -> the mixture's."""
    return torch.stack(list(waves.values())).sum(0)


def _write_png(path: Path, image: Image.Image) -> None:
    with whole_file(path) as temporary:
        image.save(temporary, format="PNG")


def _beside(images: list[Image.Image], across: bool) -> Image.Image:
    """Pictures of one size as one, `across` or one below the other; those of masks, which have a palette, smaller."""
    parts = [image.convert("RGB") for image in images]
    if across:
        parts = [p.resize((max(1, p.width * STRIP_HEIGHT // p.height), STRIP_HEIGHT)) for p in parts]
    width, height = parts[0].size
    step = ((width + GAP) * across, (height + GAP) * (not across))
    whole = Image.new("RGB", (width + step[0] * (len(parts) - 1), height + step[1] * (len(parts) - 1)), "grey")
    for number, part in enumerate(parts):
        whole.paste(part, (step[0] * number, step[1] * number))
    return whole
