"""VAST (Tan et al.; CVPR 2023): one network that gives what it is asked for, by a picture or by a phrase.

CLIP sees the picture, whole, and reads the phrase: both become queries of one space.  Where in a picture the network
finds what it separated is the attention of the separated sound over CLIP's tokens.  How sure it is that a phrase's
sound is there: avsep/systems/confidence.py.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from avsep.models.clip import FrozenCLIP
from avsep.models.vast import VAST, attention_logits, visual_query
from avsep.systems.catalogue import Entry
from avsep.systems.confidence import evidence
from avsep.systems.system import Answer, HeardMixtures, Setup, Sight, System
from avsep.weights.about import refuse_other
from avsep.weights.checkpoints import load_into, load_weights
from avsep.weights.clip import CLIP, clip_hash, load_teacher, phrase_queries
from avsep.weights.vast import VAST as KIND


class Words:
    """CLIP's embeddings of phrases, each made once."""

    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip = clip
        self._known: dict[str, Tensor] = {}

    def embed(self, phrases: Sequence[str]) -> None:
        """Reads those that it does not know, in one batch. Raises InputError for one that CLIP cannot read."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        if new:
            self._known.update(zip(new, phrase_queries(self.clip, new), strict=True))

    def __call__(self, phrase: str) -> Tensor:
        """(Q,)"""
        self.embed([phrase])
        return self._known[phrase]


class _VAST:
    """What both ways to ask have in common."""

    def __init__(self, name: str, network: VAST, clip: FrozenCLIP, words: Words, view: Sight, masked: str) -> None:
        self.name, self.network, self.clip, self.words = name, network, clip, words
        self.view, self.masked = view, masked

    def see(self, pictures: Tensor) -> Tensor:
        return self.clip.tokens(pictures)  # (N, P, Q)

    def look(self, heard: HeardMixtures, mask: Tensor, seen: Tensor) -> Tensor:
        found = self.network.embed(heard.mixture, mask, self.masked)
        return attention_logits(found, seen).unflatten(-1, self.clip.grid)


class ByPicture(_VAST):
    @property
    def sight(self) -> Sight | None:
        return self.view

    def prepare(self, pictures: Tensor, phrase: str) -> Tensor:
        return self.see(pictures)

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Tensor]) -> Answer:
        queries = {name: visual_query(tokens) for name, tokens in asked.items()}
        return Answer(masks=self.network.separate(heard.mixture, queries))


class ByPhrase(_VAST):
    @property
    def sight(self) -> Sight | None:
        return None

    def embed(self, phrases: Sequence[str]) -> None:
        self.words.embed(phrases)

    def prepare(self, pictures: Tensor, phrase: str) -> Tensor:
        return self.words(phrase)  # (Q,)

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Tensor]) -> Answer:
        return Answer(masks=self.network.separate(heard.mixture, asked))

    def evidence(self, heard: HeardMixtures, phrases: Sequence[str]) -> Tensor:
        queries = torch.stack([self.words(phrase) for phrase in phrases])
        return torch.stack(evidence(self.network, heard, queries, self.masked), dim=-1)


_KINDS: dict[str, type[ByPicture] | type[ByPhrase]] = {"picture": ByPicture, "phrase": ByPhrase}


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    """With the best weights of their stages, and the CLIP of stage pretrained that taught them. Raises InputError."""
    clip = load_teacher(setup.root / CLIP, **setup.clip).to(setup.device)
    taught_by = clip_hash(setup.root / CLIP)
    words, networks = Words(clip), dict[str, VAST]()
    side: int = setup.clip["image_size"]
    view = Sight("pretrained/clip", setup.vast_fps, setup.vast_frames, setup.vast_stride, side, square=True, whole=True)
    for entry in entries:
        path = setup.root / f"checkpoints/{entry.stage}/best.safetensors"
        if str(path) not in networks:
            about = refuse_other(path, KIND, setup.params, str(entry.stage), clip=taught_by)
            network = VAST(**about.keywords)
            load_into(network, load_weights(path), path)
            networks[str(path)] = network.to(setup.device).eval()
        yield _KINDS[entry.asked](entry.name, networks[str(path)], clip, words, view, setup.masked)
