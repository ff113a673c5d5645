"""What each system makes of the test mixtures A + C, in sight of the silent B and D: masks, waves, probabilities.

Beside the trained systems stand what frames them, the mixture itself and two oracle masks (same STFT, the mixture's
phase), and controls that are asked for what is not there: by the picture, or by the phrase, of the silent object beside
the sounding one that they are scored with.

Any of the trained systems may be absent: what is a function of the others is the same without it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avsep.clips.datasets import FixedMixtures
from avsep.clips.index import OBJECTS, PAIRS, SILENT, SOUNDING, Video
from avsep.clips.mixtures import Heard, hear
from avsep.media.spectrogram import Spectrogram
from avsep.scoring import asking
from avsep.scoring.asking import Told
from avsep.systems.confidence import Confidence, evidence

GROUNDED = ("colearning", "cyclic")
SHOWN = ("baseline", *GROUNDED)  # asked by frames
ASKED = ("trimodal", "finetune")  # by a picture or a phrase
BY_PICTURE = (*SHOWN, "trimodal_visual", "finetune_visual")
BY_PHRASE = ("trimodal_text", "finetune_text")
TRAINED = (*SHOWN, "trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text")
FRAME = ("mixture", "oracle", "oracle_binary")  # what nothing gives, and what a mask can
# Control -> the system that is asked for the wrong object.
WRONG = {
    "baseline_wrong_picture": "baseline",
    "cyclic_wrong_picture": "cyclic",
    "trimodal_wrong_picture": "trimodal_visual",
    "trimodal_wrong_text": "trimodal_text",
}
CONTROLS = ("trimodal_synonym", *WRONG)  # scored; nothing to listen to
SYSTEMS = (*FRAME, *TRAINED, *CONTROLS)

Masks = dict[str, dict[str, Tensor]]  # system -> object -> (B, 1, F, T)
Probabilities = dict[str, dict[str, Tensor]]  # grounded system -> object -> (B,)


@dataclass(frozen=True)
class Outcome:
    """What the systems made of one mixture. Waves (L,); masks (F, T) after the log-frequency warp."""

    number: int
    videos: Mapping[str, Video]
    references: Mapping[str, np.ndarray]  # of the sounding objects, as they sound in the mixture
    estimates: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> wave
    masks: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> mask
    probabilities: Mapping[str, Mapping[str, float]]  # grounded system -> object -> that it sounds in the mixture
    solo: Mapping[str, Mapping[str, float]]  # the same with the solo sound of the object's pair
    confidences: Mapping[str, float]  # phrase -> how sure trimodal is of it; none without it, as of the next
    # way to ask trimodal -> sounding object -> logits of where it looks for its sound, in the middle frame of the
    # object and of the silent one beside it, (2, rows, columns)
    attention: Mapping[str, Mapping[str, np.ndarray]]
    heard: np.ndarray  # log1p magnitude of the mixture, (F, T)

    @property
    def mixture(self) -> np.ndarray:
        return sum(self.references.values())  # type: ignore[return-value]


@torch.no_grad()
def separate_all(
    networks: Mapping[str, Any],
    mixtures: FixedMixtures,
    seen: Mapping[str, FixedMixtures],
    told: Told,
    confidence: Confidence | None,
    *,
    masked: str,
    spectrogram: Spectrogram,
    max_target: float,
    device: str,
    batch: int,
) -> Iterator[Outcome]:
    """Each system's masks, estimates and probabilities, mixture by mixture.

    `mixtures` are what is heard, `seen` the same as each of SHOWN that there is sees them.  VAST is asked by what CLIP
    has `told`, and trimodal's `confidence` is calibrated.
    """
    number = 0
    for sounds, pictures in together(mixtures, seen, batch, device):
        waves = {name: wave.to(device) for name, wave in sounds["waves"].items()}
        heard = hear(waves, spectrogram)
        rows = mixtures.mixtures[number : number + len(heard.mixture)]
        videos = dict(zip(OBJECTS, zip(*rows, strict=True), strict=True))
        masks = oracles(heard, max_target)
        shown, probabilities, solo = ask_by_frames(networks, heard, pictures)
        masks.update(shown)
        masks.update(ask_vast(networks, heard, videos, told, synonyms=SOUNDING))
        masks.update(controls(masks))
        sure: list[dict[str, float]] = [{} for _ in rows]
        attention: dict[str, dict[str, np.ndarray]] = {}
        if confidence is not None:
            sure = be_sure(networks["trimodal"], heard, told, confidence, masked)
            attention = look(networks["trimodal"], heard, masks, videos, told, masked)
        estimates = listen(masks, waves, spectrogram)
        for b in range(len(heard.mixture)):
            yield Outcome(
                number,
                {name: own[b] for name, own in videos.items()},
                {name: wave[b].cpu().numpy() for name, wave in waves.items()},
                {s: {n: e[b] for n, e in objects.items()} for s, objects in estimates.items()},
                {s: {n: m[b, 0].cpu().numpy() for n, m in objects.items()} for s, objects in masks.items()},
                {s: {n: float(p[b]) for n, p in objects.items()} for s, objects in probabilities.items()},
                {s: {n: float(p[b]) for n, p in objects.items()} for s, objects in solo.items()},
                sure[b],
                {w: {n: where[b] for n, where in objects.items()} for w, objects in attention.items()},
                heard.log_mixture[b, 0].cpu().numpy(),
            )
            number += 1


def together(
    mixtures: Dataset[dict[str, Any]], seen: Mapping[str, Dataset[dict[str, Any]]], batch: int, device: str
) -> Iterator[tuple[dict[str, Any], dict[str, dict[str, Tensor]]]]:
    """Batch by batch the samples of `mixtures`, and system -> the pictures of the objects that it sees in the same."""
    loaders = [DataLoader(data, batch) for data in seen.values()]
    for sample, *shown in zip(DataLoader(mixtures, batch), *loaders, strict=True):
        pictures = [{name: picture.to(device) for name, picture in own["pictures"].items()} for own in shown]
        yield sample, dict(zip(seen, pictures, strict=True))


def be_sure(network: Any, heard: Heard, told: Told, confidence: Confidence, masked: str) -> list[dict[str, float]]:
    """How sure trimodal is of each of the phrases that every mixture is asked for, of each of B mixtures."""
    phrases = torch.stack([told.phrases[phrase] for phrase in told.probes])
    found = evidence(network, heard, phrases, masked)  # of (B, probes) each
    sure = confidence(torch.stack(found, dim=-1).cpu().double().numpy())
    return [dict(zip(told.probes, row, strict=True)) for row in sure.tolist()]


def oracles(heard: Heard, max_target: float) -> Masks:
    """The ideal ratio mask, and the ideal binary mask: each bin to the loudest source (Wang, Springer 2005)."""
    loudest = torch.stack(list(heard.solo.values())).argmax(0)
    return {
        "oracle": {name: heard.target(name, max_target) for name in heard.solo},
        "oracle_binary": {name: (loudest == index).float() for index, name in enumerate(heard.solo)},
    }


def ask_by_frames(
    networks: Mapping[str, Any], heard: Heard, pictures: Mapping[str, Mapping[str, Tensor]]
) -> tuple[Masks, Probabilities, Probabilities]:
    """Masks of those systems of SHOWN that see `pictures` (B, N, 3, H, W), for all that each sees; what the grounded
    ones take to sound in the mixture, and, of objects A to D, with the solo sound of their pair."""
    masks: Masks = {}
    probabilities: Probabilities = {}
    solo: Probabilities = {}
    for system, own in pictures.items():
        network = networks[system]
        seen = {name: network.frames(picture) for name, picture in own.items()}
        masks[system] = network.separate(heard.log_mixture, seen)
        if system in GROUNDED:
            g = network.ground(heard.log_sounds, seen)
            probabilities[system] = {name: g.probability("mixture", name).cpu() for name in seen}
            pairs = [(sound, name) for sound, silent in PAIRS for name in (sound, silent) if silent in seen]
            solo[system] = {name: g.probability(sound, name).cpu() for sound, name in pairs}
    return masks, probabilities, solo


def ask_vast(
    networks: Mapping[str, Any], heard: Heard, videos: asking.Videos, told: Told, synonyms: tuple[str, ...] = ()
) -> Masks:
    """Masks of those systems of ASKED that there are by each way, and trimodal's by synonyms."""
    masks: Masks = {}
    for system in (system for system in ASKED if system in networks):
        asked = asking.ask(networks[system], heard, videos, told, synonyms if system == "trimodal" else ())
        masks.update({f"{system}_{kind}": objects for kind, objects in asked.items()})
    return masks


def controls(masks: Masks) -> Masks:
    """Each wrong query: what a system gives to the silent object beside, in the place of the sounding one."""
    return {
        control: {name: masks[system][silent] for name, silent in zip(SOUNDING, SILENT, strict=True)}
        for control, system in WRONG.items()
        if system in masks
    }


def look(
    network: Any, heard: Heard, masks: Masks, videos: asking.Videos, told: Told, masked: str
) -> dict[str, dict[str, np.ndarray]]:
    """Where trimodal looks for what it separated for each sounding object: `Outcome.attention`, (B, 2, rows, columns)
    each."""
    return {
        way: {
            name: asking.attend(
                network,
                heard,
                masks[f"trimodal_{way}"][name],
                list(zip(videos[name], videos[silent], strict=True)),
                told,
                masked,
            )
            .cpu()
            .numpy()
            for name, silent in PAIRS
        }
        for way in ("visual", "text")
    }


def listen(masks: Masks, waves: Mapping[str, Tensor], spectrogram: Spectrogram) -> dict[str, dict[str, np.ndarray]]:
    """What each mask lets through of the mixture of `waves` (B, L): system -> object -> (B, L); and the mixture."""
    mixture = torch.stack(list(waves.values())).sum(0)
    estimates = {
        system: {name: spectrogram.let_through(mask.squeeze(1), mixture).cpu().numpy() for name, mask in own.items()}
        for system, own in masks.items()
    }
    return {"mixture": {name: mixture.cpu().numpy() for name in waves}, **estimates}


@torch.no_grad()
def sounding_probabilities(
    networks: Mapping[str, Any], mixtures: FixedMixtures, *, spectrogram: Spectrogram, device: str, batch: int
) -> dict[str, list[float]]:
    """What each grounded system gives to the objects that sound in the mixtures, by which a gate is calibrated."""
    found: dict[str, list[float]] = {system: [] for system in GROUNDED if system in networks}
    for samples in DataLoader(mixtures, batch):
        heard = hear({name: wave.to(device) for name, wave in samples["waves"].items()}, spectrogram)
        for system, probabilities in found.items():
            network = networks[system]
            seen = {name: network.frames(pictures.to(device)) for name, pictures in samples["pictures"].items()}
            g = network.ground({"mixture": heard.log_mixture}, seen)
            for name in SOUNDING:
                probabilities += g.probability("mixture", name).tolist()
    return found
