"""What VAST's two training stages share: masks by both kinds of query, what is seen of a batch, what is asked for.

The objectives themselves stand in stages/trimodal.py and stages/finetune.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avsep.clips.index import read_index
from avsep.clips.mixtures import Heard
from avsep.media.spectrogram import Spectrogram
from avsep.models.clip import ClipFeatures, FrozenCLIP
from avsep.models.vast import VAST, Seen, attention_logits, visual_query
from avsep.scoring import validation
from avsep.training import data
from avsep.training.masks import weighted_l1
from avsep.training.shown import Shown
from avsep.weights.captions import captions_of
from avsep.weights.clip import class_queries, clip_hash

# The two ways to ask for a source: by what is seen of it, and by its sentence.
VISUAL, TEXT = "visual", "text"
Masks = dict[tuple[str, str], Tensor]  # (way, source) -> (B, 1, F, T)
Ways = Mapping[str, Sequence[str]]  # of each source


def separate(networks: VAST, heard: Heard, seen: Mapping[str, Seen], ways: Ways | None = None) -> Masks:
    """Each source's masks, by its visual query and by its sentence, or by those of the `ways` that are given for it."""
    queries = {}
    for way in (VISUAL, TEXT):
        for name, clip in seen.items():
            if ways is None or way in ways[name]:
                queries[way, name] = visual_query(clip.tokens) if way == VISUAL else clip.sentence
    return networks.separate(heard.mixture, queries)


def shared_ways(names: Sequence[str]) -> dict[str, Sequence[str]]:
    """One way for each source, by turns: torch's generator draws whether the first is asked for by its picture."""
    first = int(torch.randint(2, ()))
    return {name: ((VISUAL,), (TEXT,))[(first + number) % 2] for number, name in enumerate(names)}


def mask_losses(masks: Masks, heard: Heard, max_target: float) -> dict[str, Tensor]:
    """L1w of each way's masks, the mean over sources and batch: `visual_masks` and, if asked for, `text_masks`."""
    losses: dict[str, list[Tensor]] = {}
    for (way, name), mask in masks.items():
        losses.setdefault(way, []).append(weighted_l1(mask, heard.target(name, max_target), heard.weight))
    return {f"{way}_masks": torch.stack(values).mean() for way, values in losses.items()}


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The loss beside its terms."""
    return {"loss": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}


def validate(
    networks: VAST,
    heard: Heard,
    seen: Mapping[str, Seen],
    waves: Mapping[str, Tensor],
    *,
    spectrogram: Spectrogram,
) -> dict[str, Tensor]:
    """What validation.improvements tells, by picture and by the class's phrase, and the mean of both ways."""
    masks = separate(networks, heard, seen)
    ways = {
        way: validation.improvements({name: masks[way, name] for name in waves}, waves, spectrogram)
        for way in (VISUAL, TEXT)
    }
    means = {name: torch.stack([found[name] for found in ways.values()]).mean(0) for name in ways[VISUAL]}
    return {**means, **{f"{way}_{name}": value for way, found in ways.items() for name, value in found.items()}}


def show(networks: VAST, heard: Heard, seen: Mapping[str, Seen], *, masked: str, grid: tuple[int, int]) -> Shown:
    """Masks by picture and by the class's phrase, and where in its middle frame each source's sound is found, as its
    mask by picture separates it: `grid` are the rows and columns of CLIP's positions."""
    masks, looks = separate(networks, heard, seen), {}
    for name, clip in seen.items():
        sound = networks.embed(heard.mixture, masks[VISUAL, name], masked)
        attention = attention_logits(sound, clip.tokens).float()  # (B, N, P)
        middle = attention[:, attention.shape[1] // 2].softmax(-1)  # (B, P)
        looks[name] = middle.unflatten(-1, grid)
    return Shown(
        masks={way: {name: masks[way, name] for name in seen} for way in (VISUAL, TEXT)},
        attention=looks,
    )


def see(
    batch: Mapping[str, Any], clip: FrozenCLIP | None, rows: Mapping[str, int], sentences: Tensor
) -> dict[str, Seen]:
    """What CLIP makes of each source's frames, beside its video's row of `sentences` (rows, Q).

    `clip` is needed where the tokens were not computed beforehand.  It is no part of the networks, so it goes here to
    where the loop has put the batch: each process has a device of its own.
    """
    if clip is not None:
        clip.to(next(iter(batch["pictures"].values())).device)
    seen = {}
    for name, (tokens,) in data.see(clip, ClipFeatures, batch).items():
        numbers = torch.tensor([rows[video] for video in batch["videos"][name]])
        seen[name] = Seen(tokens, sentences[numbers].to(tokens), numbers.to(tokens.device))
    return seen


class Sentences(NamedTuple):
    """What each video is asked for by."""

    captions: Tensor  # (V, Q), of the training videos
    phrases: Tensor  # (C, Q), of validation's classes: its videos have no caption, as those of a user have none
    rows: Mapping[str, int]  # a video's name -> its row in captions and phrases, one below the other


def sentences_of(teacher: FrozenCLIP, phrase: str) -> Sentences:
    """Of the videos of data/index. `phrase` asks for a class. Raises InputError."""
    videos, unseen = (read_index(data.INDEX / f"{split}.csv") for split in ("train", "val"))
    captions = captions_of([video.name for video in videos], clip_hash())
    classes = sorted({video.category for video in unseen})
    phrases = class_queries(teacher, classes, phrase)
    rows = {video.name: row for row, video in enumerate(videos)}
    for video in unseen:  # one that trains too, of lists that leak, keeps its caption
        rows.setdefault(video.name, len(videos) + classes.index(video.category))
    return Sentences(captions, phrases, rows)
