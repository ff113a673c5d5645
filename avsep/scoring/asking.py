"""Asks VAST: by what CLIP sees of an object, by a phrase, by a synonym; for what is there and what is not; and where it
looks. How sure it is: avsep/systems/confidence.py."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from avsep.clips.datasets import ClipReader, FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Video
from avsep.clips.mixtures import Heard, hear
from avsep.media.spectrogram import Spectrogram
from avsep.progress import progress
from avsep.scoring.grounding import grounding_scores
from avsep.systems.confidence import evidence
from avsep.weights.phrases import phrase_of, tokenise
from models.clip import FrozenCLIP
from models.vast import VAST, attention_logits, visual_query

Masks = dict[str, dict[str, Tensor]]  # kind of query -> object -> (B, 1, F, T)
Videos = Mapping[str, Sequence[Video]]  # object -> its video in each mixture of a batch


@dataclass(frozen=True)
class Told:
    """What CLIP says of the videos' pictures, and of phrases."""

    tokens: Mapping[str, Tensor]  # video's name -> (N, P, Q), of the frames around its middle
    grid: tuple[int, int]  # rows and columns of the P positions
    classes: Mapping[str, str]  # class -> the phrase that asks for it
    synonyms: Mapping[str, str]  # class -> the same in other words, where params have them
    unmatched: Sequence[str]  # phrases that no class matches
    phrases: Mapping[str, Tensor]  # each of these phrases -> (Q,)

    @property
    def probes(self) -> list[str]:
        """The phrases that every mixture is asked for."""
        return list(dict.fromkeys([*self.classes.values(), *self.unmatched]))

    def seen(self, videos: Sequence[Video]) -> Tensor:
        """Visual queries (B, Q)."""
        return visual_query(torch.stack([self.tokens[video.name] for video in videos]))

    def said(self, videos: Sequence[Video], words: Mapping[str, str] | None = None) -> Tensor:
        """Each video's class as a query, (B, Q), in other `words` where they have the class."""
        phrases = {**self.classes, **(words or {})}
        return torch.stack([self.phrases[phrases[video.category]] for video in videos])


NOTHING = Told(tokens={}, grid=(0, 0), classes={}, synonyms={}, unmatched=(), phrases={})  # where nobody asks VAST


@torch.no_grad()
def tell(
    clip: FrozenCLIP,
    mixtures: Iterable[Sequence[Video]],
    reader: ClipReader,
    template: str,
    synonyms: Mapping[str, str],
    unmatched: Sequence[str],
) -> Told:
    """Asks CLIP, once for each video and each phrase. Raises InputError for a phrase that it cannot read."""
    device = next(clip.parameters()).device
    videos = sorted({video for mixture in mixtures for video in mixture})
    tokens = {}
    for video in progress(videos, "CLIP's tokens", len(videos), "video"):
        middle = FixedMixtures([], reader, heard=(), seen=()).centre(video)
        pictures = reader.pictures(video, reader.frames_around(video, middle))
        tokens[video.name] = clip.tokens(pictures.to(device))
    classes = {name: phrase_of(name, template) for name in sorted({video.category for video in videos})}
    said = {name: phrase for name, phrase in synonyms.items() if name in classes}
    if strangers := sorted(set(synonyms) - set(classes)):
        logging.warning("evaluate.synonyms names %s, of which validation and test have no video", ", ".join(strangers))
    wanted = list(dict.fromkeys([*classes.values(), *said.values(), *unmatched]))
    embeddings = clip.text(tokenise(wanted, clip.context).to(device))
    return Told(tokens, clip.grid, classes, said, unmatched, dict(zip(wanted, embeddings, strict=True)))


def ask(network: VAST, heard: Heard, videos: Videos, told: Told, synonyms: Sequence[str] = ()) -> Masks:
    """VAST's masks for each object: `visual`, by its picture, and `text`, by its class's phrase; for the objects in
    `synonyms` also `synonym`, by the phrase in other words."""
    queries: dict[tuple[str, str], Tensor] = {}
    for name, own in videos.items():
        queries["visual", name], queries["text", name] = told.seen(own), told.said(own)
        if name in synonyms:
            queries["synonym", name] = told.said(own, told.synonyms)
    masks: Masks = {}
    for (kind, name), mask in network.separate(heard.mixture, queries).items():
        masks.setdefault(kind, {})[name] = mask
    return masks


def attend(
    network: VAST, heard: Heard, mask: Tensor, videos: Sequence[Sequence[Video]], told: Told, masked: str
) -> Tensor:
    """How much each position in the middle frames of videos, M beside each mixture, has to do with what `mask`
    separates: logits (B, M, rows, columns)."""
    tokens = torch.stack([torch.stack([_middle(told.tokens[v.name]) for v in row]) for row in videos])  # (B, M, P, Q)
    return attention_logits(network.embed(heard.mixture, mask, masked), tokens).unflatten(-1, told.grid)


def _middle(tokens: Tensor) -> Tensor:
    """(N, P, Q) -> the middle frame's, (P, Q)."""
    return tokens[len(tokens) // 2]


@torch.no_grad()
def evidence_by_class(
    network: VAST,
    mixtures: FixedMixtures,
    told: Told,
    *,
    masked: str,
    spectrogram: Spectrogram,
    device: str,
    batch: int,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What confidence is calibrated by: the evidence (N, 3) for each class's phrase in each mixture, and whether the
    class sounds in it, (N,). Phrases that match no class stay unknown to it."""
    phrases = torch.stack([told.phrases[phrase] for phrase in told.classes.values()])
    found: list[Tensor] = []
    sounding: list[bool] = []
    for at, samples in zip(range(0, len(mixtures), batch), DataLoader(mixtures, batch), strict=True):
        heard = hear({name: wave.to(device) for name, wave in samples["waves"].items()}, spectrogram)
        found.append(torch.stack(evidence(network, heard, phrases, masked), dim=-1).flatten(0, 1))  # (B * classes, 3)
        for mixture in mixtures.mixtures[at : at + batch]:
            there = {mixture[OBJECTS.index(name)].category for name in SOUNDING}
            sounding += [name in there for name in told.classes]
    return torch.cat(found).cpu().double().numpy(), np.array(sounding)


def phrase_rows(
    number: int, videos: Mapping[str, Video], sure: Mapping[str, float], told: Told, threshold: float
) -> list[dict[str, Any]]:
    """The rows of metrics/phrases.csv for mixture `number` of `videos`, where VAST is so `sure` of each phrase."""
    sounding = {told.classes[videos[name].category] for name in SOUNDING}
    rows = []
    for phrase, confidence in sure.items():
        kind = "present" if phrase in sounding else "unmatched" if phrase in told.unmatched else "absent"
        accepted = int(confidence >= threshold)
        rows.append({"mixture": number, "phrase": phrase, "kind": kind, "confidence": confidence, "accepted": accepted})
    return rows


def phrase_scores(phrases: pd.DataFrame) -> dict[str, float]:
    """Of the rows of metrics/phrases.csv: how often a phrase is taken to be heard, and how well the confidence tells
    those that are from those that are not, and from those that match nothing."""
    accepted = phrases.groupby("kind")["accepted"].mean()
    scores = {f"accepted_{kind}": float(accepted[kind]) for kind in accepted.index}
    for kind, name in (("absent", "roc_auc"), ("unmatched", "roc_auc_unmatched")):
        if kind in accepted:
            rows = phrases[phrases["kind"].isin(["present", kind])]
            present = (rows["kind"] == "present").tolist()
            scores[name] = grounding_scores(rows["confidence"].tolist(), present, 0.0)["roc_auc"]
    return scores
